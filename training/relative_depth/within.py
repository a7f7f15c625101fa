"""The order of one person's keypoints.

Foreshortening gives how far the ends of a limb are apart in depth, but not which of them is nearer.
The sign comes from what a picture shows besides: where the nose is, which way the shoulders
lie, in which direction joints bend, and what hides what. Every rule takes N people and gives
(N, K) orders of K pairs: 1 the first keypoint is nearer, -1 farther, 0 equally far, NaN not known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_ros.lookup.body import NOSE_LENGTH, SHOULDER_WIDTH
from unipose_training.relative_depth.segments import (
    FOREARMS,
    LIMBS,
    SEGMENTS,
    SHINS,
    SHOULDERS,
    THIGHS,
    keypoint,
    sides,
)
from unipose_training.relative_depth.settings import PerspectiveSettings

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

NOSE = keypoint("nose")
EYES = np.array([keypoint("left_eye"), keypoint("right_eye")])
EARS = np.array([keypoint("left_ear"), keypoint("right_ear")])
#: Corners of the trunk, one after the other around it.
OUTLINE = np.array(
    [
        keypoint(f"{side}_{part}")
        for side, part in zip(("left", "right", "right", "left"), ("shoulder", "shoulder", "hip", "hip"), strict=True)
    ]
)
_ARM_JOINTS = np.array(sides("elbow", "wrist")).ravel()

EAR_PAIR = EARS[None]
SHOULDER_PAIR = SEGMENTS[[SHOULDERS]]
NOSE_PAIRS = np.array([[NOSE, ear] for ear in EARS])
BENT_PAIRS = SEGMENTS[np.concatenate([FOREARMS, SHINS, THIGHS])]
TRUNK_PAIRS = np.array([[joint, corner] for joint in _ARM_JOINTS for corner in OUTLINE])


def level_limbs(lengths: FloatArray, level: float) -> FloatArray:
    """Limbs that appear in full length: their ends are equally far.

    ``|dz| = L sqrt(1 - (l / L)^2) < level L``.

    Args:
        lengths: (N, 12) apparent lengths as parts of the true ones.

    Returns:
        (N, 8) of :data:`LIMBS`.
    """
    return np.where(lengths[:, : len(LIMBS)] > np.sqrt(1 - level**2), 0.0, np.nan)


def head_turns(pixels: FloatArray, scales: FloatArray) -> FloatArray:
    """(N,) how far the nose is to the right of the middle of the ears, in lengths of a nose: the sine of the turn.

    A head that turns right, as the camera sees it, brings its right ear nearer, whether it is seen
    from the front or from behind.
    """
    beside: FloatArray = pixels[:, NOSE, 0] - pixels[:, EARS, 0].mean(axis=1)
    return beside / (scales * NOSE_LENGTH)


def turned_head(turns: FloatArray, visible: BoolArray, hidden: BoolArray, zone: float) -> FloatArray:
    """Left and right ear.

    Args:
        turns: from :func:`head_turns`.
        visible, hidden: (N, 17).
        zone: no word below this turn, or below half of it when the farther ear is hidden.

    Returns:
        (N, 1) of :data:`EAR_PAIR`; NaN also where the nearer ear would be hidden and the other is not.
    """
    left, right = EARS
    nearer = -np.sign(turns)
    seen = np.where(visible[:, left] & hidden[:, right], 1.0, 0.0) - (visible[:, right] & hidden[:, left])
    limit = np.where(seen == nearer, zone / 2, zone)
    return np.where((np.abs(turns) > limit) & (seen != -nearer), nearer, np.nan)[:, None]


def turned_shoulders(turns: FloatArray, lengths: FloatArray, settings: PerspectiveSettings) -> FloatArray:
    """Left and right shoulder of those who have turned with their head and therefore appear narrow: (N, 1)."""
    narrow = lengths[:, SHOULDERS] < settings.turned_width
    return np.where(narrow & (np.abs(turns) > settings.body_turn), -np.sign(turns), np.nan)[:, None]


def facings(pixels: FloatArray, scales: FloatArray) -> FloatArray:
    """(N,) how far the left shoulder is to the right of the other, in widths: 1 face to face, -1 from behind."""
    left, right = SHOULDER_PAIR[0]
    return np.asarray((pixels[:, left, 0] - pixels[:, right, 0]) / (scales * SHOULDER_WIDTH))


def nose_and_ears(
    fronts: FloatArray, turns: FloatArray, visible: BoolArray, hidden: BoolArray, zone: float
) -> FloatArray:
    """The nose against both ears of a head that looks towards the camera, or away from it.

    Args:
        fronts: (N,) 1 from the front, -1 from behind, NaN not known.
        turns: from :func:`head_turns`.
        visible, hidden: (N, 17). From the front nose and eyes must be seen, from behind the nose must be hidden.
        zone: a head turned farther has one ear in front of its nose.

    Returns:
        (N, 2) of :data:`NOSE_PAIRS`.
    """
    face = visible[:, NOSE] & visible[:, EYES].all(axis=1)
    agrees = np.where(fronts > 0, face, hidden[:, NOSE])
    order = np.where(agrees & (np.abs(turns) < zone), fronts, np.nan)
    return np.repeat(order[:, None], 2, axis=1)


def bent_limbs(lengths: FloatArray, fronts: FloatArray, settings: PerspectiveSettings) -> FloatArray:
    """Limbs that appear short, by the way in which their joint bends.

    Elbows and hips bend forwards and knees backwards. From the front a foreshortened forearm or thigh
    therefore points at the camera and a shin away from it, and from behind the other way round; but
    a camera that looks down sees the shins of everybody foreshortened, so theirs count from the front only.

    Args:
        fronts: (N,) 1 from the front, -1 from behind, NaN not known.

    Returns:
        (N, 6) of :data:`BENT_PAIRS`.
    """
    fronts = fronts[:, None]
    forearms = np.where(lengths[:, FOREARMS] < settings.forearm, -fronts, np.nan)
    shins = np.where((lengths[:, SHINS] < settings.shin) & (fronts > 0), 1.0, np.nan)
    thighs = np.where(lengths[:, THIGHS] < settings.thigh, -fronts, np.nan)
    return np.concatenate([forearms, shins, thighs], axis=1)


def arms_and_trunk(pixels: FloatArray, visible: BoolArray, hidden: BoolArray, margins: FloatArray) -> FloatArray:
    """Elbows and wrists within the outline of the trunk: those that are seen are in front of it, hidden ones behind.

    Args:
        visible, hidden: (N, 17); of a keypoint that is neither nothing is said.
        margins: (N,) pixels within the outline.

    Returns:
        (N, 16) of :data:`TRUNK_PAIRS`.
    """
    corners = pixels[:, OUTLINE]
    edges = np.roll(corners, -1, axis=1) - corners
    away = pixels[:, _ARM_JOINTS][:, :, None] - corners[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        depth = (edges[:, None, :, 0] * away[..., 1] - edges[:, None, :, 1] * away[..., 0]) / np.linalg.norm(
            edges, axis=-1
        )[:, None]
        # On one side of all edges: left of them from the front, right from behind.
        inside = (depth > margins[:, None, None]).all(axis=-1) | (depth < -margins[:, None, None]).all(axis=-1)
    order = np.where(visible[:, _ARM_JOINTS], 1.0, np.where(hidden[:, _ARM_JOINTS], -1.0, np.nan))
    order = np.where(inside, order, np.nan)
    return np.repeat(order, len(OUTLINE), axis=1)
