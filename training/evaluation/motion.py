"""Speed, and how much joints tremble from frame to frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NANOSECONDS = 1e9


@dataclass(frozen=True)
class Jitter:
    """Lengths of second differences p[t+1] - 2 p[t] + p[t-1], millimetres; NaN of none.

    They grow with the frame period, so only figures of one frame rate can be compared.

    Attributes:
        count: how many joints in how many triples of frames.
    """

    count: int
    median_mm: float
    mean_mm: float
    p95_mm: float


def joint_speeds(
    positions: NDArray[np.float64], stamps_ns: NDArray[np.int64], runs: Iterable[NDArray[np.intp]]
) -> NDArray[np.float64]:
    """(N, J) metres per second by central differences, one-sided at the ends of a run; NaN where unknown.

    Args:
        positions: (N, J, 3) metres.
        runs: rows of one person in successive frames.
    """
    speeds = np.full(positions.shape[:2], np.nan)
    for rows in runs:
        if len(rows) < 2:
            continue
        before = np.maximum(np.arange(len(rows)) - 1, 0)
        after = np.minimum(np.arange(len(rows)) + 1, len(rows) - 1)
        seconds = (stamps_ns[rows[after]] - stamps_ns[rows[before]]) / NANOSECONDS
        moved = np.linalg.norm(positions[rows[after]] - positions[rows[before]], axis=-1)
        speeds[rows] = moved / seconds[:, None]
    return speeds


def second_differences(positions: NDArray[np.float64], runs: Iterable[NDArray[np.intp]]) -> NDArray[np.float64]:
    """(N, J) metres: how far a joint is from continuing its motion; NaN at the ends of a run."""
    result = np.full(positions.shape[:2], np.nan)
    for rows in runs:
        if len(rows) > 2:
            path = positions[rows]
            result[rows[1:-1]] = np.linalg.norm(path[2:] - 2 * path[1:-1] + path[:-2], axis=-1)
    return result


def jitter(differences: NDArray[np.float64]) -> Jitter:
    """Summary of second differences in metres, NaN left out."""
    known = differences[np.isfinite(differences)] * 1e3
    if not known.size:
        return Jitter(0, *[float("nan")] * 3)
    return Jitter(known.size, float(np.median(known)), float(known.mean()), float(np.percentile(known, 95)))
