"""Medians and other order statistics within compiled loops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_ros.compiled import compiled_part


@compiled_part()
def select(values: NDArray[np.floating], rank: int) -> float:
    """The value that would be at a place in order; (K,) values without NaN, which change their places.

    None before that place is greater afterwards, and none behind it less. Quickselect (Hoare, Communications of the
    ACM 1961).
    """
    low, high = 0, len(values) - 1
    while low < high:
        pivot = values[(low + high) // 2]
        left, right = low, high
        while left <= right:
            while values[left] < pivot:
                left += 1
            while values[right] > pivot:
                right -= 1
            if left <= right:
                values[left], values[right] = values[right], values[left]
                left += 1
                right -= 1
        if rank <= right:
            high = right
        elif rank >= left:
            low = left
        else:
            break
    return values[rank]  # type: ignore[no-any-return]


@compiled_part()
def select_median(values: NDArray[np.floating]) -> float:
    """The same number as ``np.median`` gives for at least one value without NaN; they change their places."""
    low = (len(values) - 1) // 2
    middle: float = select(values, low)
    if len(values) % 2 == 1:
        return middle
    above = values[low + 1]
    for place in range(low + 2, len(values)):
        above = min(above, values[place])
    halfway: float = (middle + above) / 2
    return halfway
