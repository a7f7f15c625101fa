"""Whether the joints called uncertain are the wrong ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REMOVED = tuple(round(0.05 * step, 2) for step in range(20))


@dataclass(frozen=True)
class Sparsification:
    """Mean error of the joints left when the least certain are removed (Ilg et al., ECCV 2018).

    Errors are relative to the mean of all, so every curve begins at 1.

    Attributes:
        removed: shares removed.
        curve: by the uncertainty given.
        oracle: by the errors themselves, the best that can be.
        ause: area between the two; 0 is perfect.
        ause_random: the same area for an order by chance, whose curve stays at 1.
        mean_mm: mean error of all.
        count: joints.
    """

    count: int
    removed: tuple[float, ...]
    curve: tuple[float, ...]
    oracle: tuple[float, ...]
    ause: float
    ause_random: float
    mean_mm: float


def sparsification(errors: NDArray[np.floating], uncertainty: NDArray[np.floating]) -> Sparsification | None:
    """The curve of errors in metres; joints with a NaN on either side are left out.

    Joints of equal uncertainty share their mean error, so that their order does not matter.
    ``None`` when no joint is left or none has an error.
    """
    known = np.isfinite(errors) & np.isfinite(uncertainty)
    values, doubts = np.asarray(errors[known], np.float64), np.asarray(uncertainty[known])
    if not values.size or values.mean() == 0:
        return None
    curve = _remaining(_tied_means(values, doubts))
    oracle = _remaining(np.sort(values))
    return Sparsification(
        count=int(values.size),
        removed=REMOVED,
        curve=tuple(curve.tolist()),
        oracle=tuple(oracle.tolist()),
        ause=_area(curve - oracle),
        ause_random=_area(1 - oracle),
        mean_mm=1e3 * float(values.mean()),
    )


def _tied_means(values: NDArray[np.float64], doubts: NDArray[np.floating]) -> NDArray[np.float64]:
    """Errors from the surest to the least sure, ties replaced by their mean."""
    _, group, sizes = np.unique(doubts, return_inverse=True, return_counts=True)
    means = np.bincount(group, weights=values) / sizes
    return np.asarray(np.repeat(means, sizes))


def _remaining(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of what is left, relative to the mean of all, for each share removed from the end."""
    kept = [max(1, round(len(ordered) * (1 - share))) for share in REMOVED]
    return np.asarray(np.array([ordered[:k].mean() for k in kept]) / ordered.mean())


def _area(difference: NDArray[np.float64]) -> float:
    return float(((difference[1:] + difference[:-1]) / 2 * np.diff(REMOVED)).sum())
