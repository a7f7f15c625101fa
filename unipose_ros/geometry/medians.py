"""Medians of few numbers: NumPy's take more time for looking at what they were given than for the numbers."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = TypeVar("Floats", bound="np.floating[Any]")  # a string: NumPy 1.21 has no parameters there


def nan_median(values: NDArray[Floats]) -> NDArray[Floats]:
    """Median along the last axis of what is not NaN; NaN where nothing is.

    ``np.nanmedian`` loops in Python along the other axes, which costs milliseconds here.

    Args:
        values: (..., K); K is at least 1.
    """
    size = values.shape[-1]
    ordered = np.sort(values, axis=-1).reshape(-1, size)  # NaN sorts to the end
    count = size - np.isnan(ordered).sum(axis=-1)
    row = np.arange(len(ordered))
    low = ordered[row, np.maximum(count - 1, 0) // 2]
    high = ordered[row, np.minimum(count // 2, size - 1)]
    return np.asarray(0.5 * (low + high)).reshape(values.shape[:-1])


def median(values: NDArray[Floats]) -> Floats:
    """The same number as ``np.median`` gives for (K,) values without NaN; K is at least 1."""
    low, high = (len(values) - 1) // 2, len(values) // 2
    parted = np.partition(values, (low, high))
    middle: Floats = parted[low] if low == high else (parted[low] + parted[high]) * values.dtype.type(0.5)
    return middle
