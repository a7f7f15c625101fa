"""Pairs of keypoints in one image, with their order in depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DepthPairs:
    """M pairs of keypoints of the people in one image.

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


def pairs_of_people(ends: NDArray[np.intp], orders: FloatArray, confidence: NDArray[np.floating]) -> DepthPairs:
    """Pairs within people.

    Args:
        ends: (K, 2) keypoints.
        orders: (N, K) 1, -1 or 0; NaN where nothing is known.
        confidence: (N, J) in the keypoints; pairs without confidence are left out.
    """
    weights = confidence[:, ends[:, 0]] * confidence[:, ends[:, 1]]
    person, pair = np.nonzero(np.isfinite(orders) & (weights > 0))
    return DepthPairs(
        first=np.stack([person, ends[pair, 0]], axis=1).astype(np.int32),
        second=np.stack([person, ends[pair, 1]], axis=1).astype(np.int32),
        order=orders[person, pair].astype(np.int8),
        weights=weights[person, pair].astype(np.float32),
    )


# The order of keypoints as a depth camera measures it.


@dataclass(frozen=True)
class MeasuredSettings:
    """When a difference of depth is believed.

    Attributes:
        least: meters that the nearer keypoint has to be nearer.
        deviations: and so many standard deviations of the difference.
        alike: meters within which two keypoints are equally far, when the standard deviation of
            the difference is no more than that; 0 for never.

    Raises:
        ValueError: a value is negative, or ``alike`` is more than ``least``.
    """

    least: float = 0.05
    deviations: float = 2.0
    alike: float = 0.03

    def __post_init__(self) -> None:
        for name in ("least", "deviations", "alike"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 0")
        if self.alike > self.least:
            raise ValueError(f"alike = {self.alike}: must not be more than least = {self.least}")


def measured_pairs(
    depths: NDArray[np.floating],
    variances: NDArray[np.floating],
    confidence: NDArray[np.floating],
    settings: MeasuredSettings,
    across: bool = True,
) -> DepthPairs:
    """All pairs of keypoints in one image whose order is sure.

    Args:
        depths: (N, J) meters along z of N people's joints; NaN where nothing was measured.
        variances: (N, J) of them, square meters.
        confidence: (N, J) in [0, 1]; a joint without confidence is left out.
        across: also pairs of two people.
    """
    people, joints = depths.shape
    place = np.stack(np.meshgrid(np.arange(people), np.arange(joints), indexing="ij"), axis=-1).reshape(-1, 2)
    known = (np.isfinite(depths) & np.isfinite(variances) & (confidence > 0)).ravel()
    place = place[known]
    first, second = np.triu_indices(len(place), k=1)
    if not across:
        same = place[first, 0] == place[second, 0]
        first, second = first[same], second[same]
    z, variance, weight = (np.asarray(values, np.float64).ravel()[known] for values in (depths, variances, confidence))
    order = order_of_depths(z[second] - z[first], np.sqrt(variance[first] + variance[second]), settings)
    certain = np.isfinite(order)
    first, second, order = first[certain], second[certain], order[certain]
    return DepthPairs(
        place[first].astype(np.int32),
        place[second].astype(np.int32),
        order.astype(np.int8),
        np.minimum(weight[first] * weight[second], 1).astype(np.float32),
    )


def order_of_depths(
    farther: NDArray[np.float64], deviations: NDArray[np.float64], settings: MeasuredSettings
) -> NDArray[np.float64]:
    """(M,) by how much the second is farther, and its standard deviation, meters -> 1, -1, 0 or NaN."""
    apart = np.abs(farther)
    order = np.where(apart > np.maximum(settings.least, settings.deviations * deviations), np.sign(farther), np.nan)
    return np.where((apart < settings.alike) & (deviations <= settings.alike), 0.0, order)
