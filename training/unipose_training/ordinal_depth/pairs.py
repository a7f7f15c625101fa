"""Pairs of keypoints in one image, with their order in depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import JointStatus
from unipose_ros.joint_sets import COCO17
from unipose_training.datasets.base import Labels2D
from unipose_training.ordinal_depth import rules as within
from unipose_training.ordinal_depth.rules import LIMBS, PerspectiveSettings, apparent_scales, keypoint, person_scales

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DepthPairs:
    """M pairs of keypoints of the people in one image.

    Attributes:
        first, second: (M, 2) int32 person and keypoint.
        order: (M,) int8: 1 the first is nearer to the camera, -1 it is farther, 0 they are equally far.
        weights: (M,) float32 confidence in the label, in (0, 1].

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


# All that perspective says about an image of people.

# The order of people: who appears larger is nearer.


#: The scale is that of the person; arms and legs may reach far out of it.
TRUNK = np.array([keypoint(f"{side}_{part}") for part in ("shoulder", "hip") for side in ("left", "right")])


def order_of_people(scales: FloatArray, settings: PerspectiveSettings) -> FloatArray:
    """Which of two people is nearer.

    Args:
        scales: (N,) pixels per meter; NaN unknown. Only their ratios count, so the focal length does not.

    Returns:
        (N, N): 1 where the person of the row is nearer, -1 farther, 0 equally far, NaN not known.
    """
    ratios = scales[:, None] / scales[None]
    larger = np.maximum(ratios, 1 / ratios)
    result = np.full(ratios.shape, np.nan)
    result[larger > 1 + settings.nearer] = 1.0
    if settings.alike:
        result[larger < 1 + settings.alike] = 0.0
    return np.asarray(np.where(ratios < 1, -result, result) + 0.0)  # -0.0 is 0


def pairs_across(orders: FloatArray, confidence: NDArray[np.floating], settings: PerspectiveSettings) -> DepthPairs:
    """The same trunk keypoint of every two people.

    Args:
        orders: from :func:`order_of_people`.
        confidence: (N, 17) in the keypoints; 0 without one.
    """
    first, second = np.triu_indices(len(orders), k=1)
    weights = confidence[first][:, TRUNK] * confidence[second][:, TRUNK]
    couple, joint = np.nonzero(np.isfinite(orders[first, second])[:, None] & (weights > 0))
    order = orders[first[couple], second[couple]]
    share = np.where(order == 0, settings.alike_weight, 1.0)
    return DepthPairs(
        first=np.stack([first[couple], TRUNK[joint]], axis=1).astype(np.int32),
        second=np.stack([second[couple], TRUNK[joint]], axis=1).astype(np.int32),
        order=order.astype(np.int8),
        weights=(weights[couple, joint] * share).astype(np.float32),
    )


#: Weight of a keypoint that was labeled although it is hidden; in others it is 1.
OCCLUDED_WEIGHT = 0.5


def perspective_pairs(
    people: Labels2D,
    settings: PerspectiveSettings,
    confidence: NDArray[np.floating] | None = None,
    certain: NDArray[np.bool_] | None = None,
) -> DepthPairs:
    """Which keypoints are nearer than which, without any 3D.

    Args:
        people: COCO-17 in one image.
        confidence: (N, 17) in [0, 1], such as a 2D network's confidences; by default that of people who label.
        certain: (N, 17) whether a keypoint is seen or hidden is known; all are by default. Of others,
            nothing is concluded from their status.

    Raises:
        ValueError: the people are of another joint set.
    """
    if people.joint_set is not COCO17:
        raise ValueError(f"joint set '{people.joint_set.name}': perspective is read off {COCO17.name}")
    labeled = people.status != JointStatus.MISSING
    given = np.where(people.status == JointStatus.MEASURED, 1.0, OCCLUDED_WEIGHT) if confidence is None else confidence
    given = np.where(labeled & np.isfinite(people.pixels).all(axis=-1), given, 0.0)
    scales = person_scales(apparent_scales(people.pixels), settings.segments)
    orders = order_of_people(scales, settings)
    parts = [pairs_across(orders, given, settings)]
    certain = np.ones_like(labeled) if certain is None else certain
    visible, hidden = (certain & (people.status == kind) for kind in (JointStatus.MEASURED, JointStatus.INFERRED))
    with np.errstate(invalid="ignore"):  # what is not known compares false
        within_people = rules(np.asarray(people.pixels, np.float64), visible, hidden, settings)
    parts += [pairs_of_people(ends, found, given) for ends, found in within_people.values()]
    return DepthPairs.joined(parts)


def rules(
    pixels: FloatArray, visible: NDArray[np.bool_], hidden: NDArray[np.bool_], settings: PerspectiveSettings
) -> dict[str, tuple[NDArray[np.intp], FloatArray]]:
    """Name -> (K, 2) pairs and (N, K) orders of every rule within a person.

    Args:
        pixels: (N, 17, 2); NaN without a label.
        visible, hidden: (N, 17); a keypoint may be neither, if it is unknown.
    """
    apparent = apparent_scales(pixels)
    scales = person_scales(apparent, settings.segments)
    lengths = apparent / scales[:, None]
    turns, facing = within.head_turns(pixels, scales), within.facings(pixels, scales)
    fronts = np.where(np.abs(facing) > settings.facing, np.sign(facing), np.nan)
    return {
        "level limbs": (LIMBS, within.level_limbs(lengths, settings.level)),
        "ears": (within.EAR_PAIR, within.turned_head(turns, visible, hidden, settings.head_turn)),
        "shoulders": (within.SHOULDER_PAIR, within.turned_shoulders(turns, lengths, settings)),
        "nose and ears": (within.NOSE_PAIRS, within.nose_and_ears(fronts, turns, visible, hidden, settings.head_turn)),
        "bent limbs": (within.BENT_PAIRS, within.bent_limbs(lengths, fronts, settings)),
        "arms and trunk": (
            within.TRUNK_PAIRS,
            within.arms_and_trunk(pixels, visible, hidden, settings.inside * scales),
        ),
    }
