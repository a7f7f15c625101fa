"""The order of keypoints as a depth camera measures it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_training.relative_depth.pairs import DepthPairs


@dataclass(frozen=True)
class MeasuredSettings:
    """When a difference of depth is believed.

    Attributes:
        least: metres that the nearer keypoint has to be nearer.
        deviations: and so many standard deviations of the difference.
        alike: metres within which two keypoints are equally far, when the standard deviation of
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
    trust: NDArray[np.floating],
    settings: MeasuredSettings,
    across: bool = True,
) -> DepthPairs:
    """All pairs of keypoints in one picture whose order is sure.

    Args:
        depths: (N, J) metres along z of N people's joints; NaN where nothing was measured.
        variances: (N, J) of them, square metres.
        trust: (N, J) in [0, 1]; a joint of no trust is left out.
        across: also pairs of two people.
    """
    people, joints = depths.shape
    place = np.stack(np.meshgrid(np.arange(people), np.arange(joints), indexing="ij"), axis=-1).reshape(-1, 2)
    known = (np.isfinite(depths) & np.isfinite(variances) & (trust > 0)).ravel()
    place = place[known]
    first, second = np.triu_indices(len(place), k=1)
    if not across:
        same = place[first, 0] == place[second, 0]
        first, second = first[same], second[same]
    z, variance, weight = (np.asarray(values, np.float64).ravel()[known] for values in (depths, variances, trust))
    order = order_of_depths(z[second] - z[first], np.sqrt(variance[first] + variance[second]), settings)
    sure = np.isfinite(order)
    first, second, order = first[sure], second[sure], order[sure]
    return DepthPairs(
        place[first].astype(np.int32),
        place[second].astype(np.int32),
        order.astype(np.int8),
        np.minimum(weight[first] * weight[second], 1).astype(np.float32),
    )


def order_of_depths(
    farther: NDArray[np.float64], deviations: NDArray[np.float64], settings: MeasuredSettings
) -> NDArray[np.float64]:
    """(M,) by how much the second is farther, and its standard deviation, metres -> 1, -1, 0 or NaN."""
    apart = np.abs(farther)
    order = np.where(apart > np.maximum(settings.least, settings.deviations * deviations), np.sign(farther), np.nan)
    return np.where((apart < settings.alike) & (deviations <= settings.alike), 0.0, order)
