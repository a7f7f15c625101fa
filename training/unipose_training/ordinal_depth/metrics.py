"""How right orders are, by how far the two points are apart in depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Meters: edges of the bins of |dz|.
EDGES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
#: Two points are equally far when they differ by less, meters.
EQUAL = 0.1


@dataclass(frozen=True)
class OrderAccuracy:
    """What became of labeled pairs whose true depths are known.

    Attributes:
        pairs: that have an order.
        right: part of them with the right sign; NaN of none.
        bins: (pairs, right) for |dz| between two successive :data:`EDGES`, and beyond the last.
        level: pairs that are said to be equally far.
        level_right: part of them that differ by less than :data:`EQUAL`; NaN of none.
    """

    pairs: int
    right: float
    bins: tuple[tuple[int, float], ...]
    level: int
    level_right: float


def evaluate_orders(
    orders: NDArray[np.integer], farther: NDArray[np.floating], edges: Sequence[float] = EDGES
) -> OrderAccuracy:
    """Compare with the ground truth.

    Args:
        orders: (M,) 1, -1 or 0.
        farther: (M,) meters by which the second truly is farther; pairs with NaN are left out.
    """
    known = np.isfinite(farther)
    orders, farther = orders[known], farther[known]
    signed = orders != 0
    right, apart = np.sign(farther[signed]) == orders[signed], np.abs(farther[signed])
    numbers = np.digitize(apart, edges) - 1
    bins = tuple((int((numbers == k).sum()), _mean(right[numbers == k])) for k in range(len(edges)))
    level = np.abs(farther[~signed]) < EQUAL
    return OrderAccuracy(len(right), _mean(right), bins, len(level), _mean(level))


def _mean(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")
