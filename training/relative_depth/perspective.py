"""All that perspective says about a picture of people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import JointStatus
from unipose_ros.skeletons import COCO17
from unipose_training.data.labels import Labels2D
from unipose_training.relative_depth import within
from unipose_training.relative_depth.across import order_of_people, pairs_across
from unipose_training.relative_depth.pairs import DepthPairs, pairs_of_people
from unipose_training.relative_depth.segments import LIMBS, apparent_scales, person_scales
from unipose_training.relative_depth.settings import PerspectiveSettings

FloatArray = NDArray[np.float64]

#: Trust in a keypoint that was labelled although it is hidden; in others it is 1.
HIDDEN_TRUST = 0.5


def perspective_pairs(
    people: Labels2D,
    settings: PerspectiveSettings,
    trust: NDArray[np.floating] | None = None,
    certain: NDArray[np.bool_] | None = None,
) -> DepthPairs:
    """Which keypoints are nearer than which, without any 3D.

    Args:
        people: COCO-17 in one picture.
        trust: (N, 17) in [0, 1], such as a 2D network's confidences; by default that of people who label.
        certain: (N, 17) whether a keypoint is seen or hidden is known; all are by default. Of others,
            nothing is concluded from their status.

    Raises:
        ValueError: the people are of another joint set.
    """
    if people.joint_set is not COCO17:
        raise ValueError(f"joint set '{people.joint_set.name}': perspective is read off {COCO17.name}")
    labelled = people.status != JointStatus.MISSING
    given = np.where(people.status == JointStatus.MEASURED, 1.0, HIDDEN_TRUST) if trust is None else trust
    given = np.where(labelled & np.isfinite(people.pixels).all(axis=-1), given, 0.0)
    scales = person_scales(apparent_scales(people.pixels), settings.segments)
    orders = order_of_people(scales, settings)
    parts = [pairs_across(orders, given, settings)]
    sure = np.ones_like(labelled) if certain is None else certain
    visible, hidden = (sure & (people.status == kind) for kind in (JointStatus.MEASURED, JointStatus.INFERRED))
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
        visible, hidden: (N, 17); a keypoint may be neither, if nobody knows.
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
