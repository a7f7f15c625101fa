"""All that perspective says about an image of people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import JointStatus
from unipose_ros.joint_sets import COCO17
from unipose_training.datasets.base import Labels2D
from unipose_training.ordinal_depth import rules as within
from unipose_training.ordinal_depth.pairs import DepthPairs, pairs_of_people
from unipose_training.ordinal_depth.rules import LIMBS, PerspectiveSettings, apparent_scales, keypoint, person_scales

# The order of people: who appears larger is nearer.


FloatArray = NDArray[np.float64]

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


#: Trust in a keypoint that was labeled although it is hidden; in others it is 1.
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
