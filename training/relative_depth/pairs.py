"""Pairs of keypoints in one picture, with their order in depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DepthPairs:
    """M pairs of keypoints of the people in one picture.

    Attributes:
        first, second: (M, 2) int32 person and keypoint.
        order: (M,) int8: 1 the first is nearer to the camera, -1 it is farther, 0 they are equally far.
        weights: (M,) float32 trust in the label, in (0, 1].

    Raises:
        ValueError: shapes disagree, or a value is out of range.
    """

    first: NDArray[np.int32]
    second: NDArray[np.int32]
    order: NDArray[np.int8]
    weights: NDArray[np.float32]

    def __post_init__(self) -> None:
        count = len(self.order)
        for name, shape in (("first", (count, 2)), ("second", (count, 2)), ("weights", (count,))):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name}: shape {getattr(self, name).shape}, expected {shape}")
        if not np.isin(self.order, (-1, 0, 1)).all():
            raise ValueError("order: give -1, 0 or 1")
        if not ((self.weights > 0) & (self.weights <= 1)).all():
            raise ValueError("weights: must be within (0, 1]")

    def __len__(self) -> int:
        return len(self.order)

    @property
    def across(self) -> NDArray[np.bool_]:
        """(M,) the two keypoints belong to two people."""
        return np.asarray(self.first[:, 0] != self.second[:, 0])

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> DepthPairs:
        """Some of the pairs."""
        return DepthPairs(self.first[chosen], self.second[chosen], self.order[chosen], self.weights[chosen])

    @classmethod
    def empty(cls) -> DepthPairs:
        """No pairs."""
        ends = np.zeros((0, 2), np.int32)
        return cls(ends, ends, np.zeros(0, np.int8), np.zeros(0, np.float32))

    @classmethod
    def joined(cls, parts: Sequence[DepthPairs]) -> DepthPairs:
        """All pairs of several lists."""
        names = ("first", "second", "order", "weights")
        return cls(*(np.concatenate([getattr(part, name) for part in (cls.empty(), *parts)]) for name in names))


def pairs_of_people(ends: NDArray[np.intp], orders: FloatArray, trust: NDArray[np.floating]) -> DepthPairs:
    """Pairs within people.

    Args:
        ends: (K, 2) keypoints.
        orders: (N, K) 1, -1 or 0; NaN where nothing is known.
        trust: (N, J) in the keypoints; pairs of no trust are left out.
    """
    weights = trust[:, ends[:, 0]] * trust[:, ends[:, 1]]
    person, pair = np.nonzero(np.isfinite(orders) & (weights > 0))
    return DepthPairs(
        first=np.stack([person, ends[pair, 0]], axis=1).astype(np.int32),
        second=np.stack([person, ends[pair, 1]], axis=1).astype(np.int32),
        order=orders[person, pair].astype(np.int8),
        weights=weights[person, pair].astype(np.float32),
    )
