"""The order of one person's keypoints.

Foreshortening gives how far the ends of a limb are apart in depth, but not which of them is nearer.
The sign comes from what an image shows besides: where the nose is, which way the shoulders
lie, in which direction joints bend, and what hides what. Every rule takes N people and gives
(N, K) orders of K pairs: 1 the first keypoint is nearer, -1 farther, 0 equally far, NaN not known.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from unipose_ros.geometry.body_model import FLANK_LENGTH, HIP_WIDTH, LIMB_LENGTHS, NOSE_LENGTH, SHOULDER_WIDTH
from unipose_ros.joint_sets import COCO17

# How large people appear, from the rigid parts between their keypoints.
#
# A part of length L at depth Z, inclined by phi against the image, appears ``f L cos(phi) / Z`` pixels
# long, at most ``f L / Z``. The longest of a person's parts, each as a multiple of its usual length,
# therefore gives about f / Z: pixels per meter. Pixels are taken as square.


FloatArray = NDArray[np.float64]


def keypoint(name: str) -> int:
    """Number of a COCO keypoint."""
    return COCO17.index(name)


def sides(*parts: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The keypoints of parts on the left, and on the right."""
    left, right = (tuple(keypoint(f"{side}_{part}") for part in parts) for side in ("left", "right"))
    return left, right


_ARMS, _LEGS = sides("shoulder", "elbow", "wrist"), sides("hip", "knee", "ankle")
#: (8, 2) upper arms, forearms, thighs and shins; left before right.
LIMBS = np.array([limb[part : part + 2] for kind in (_ARMS, _LEGS) for part in (0, 1) for limb in kind])
#: Rows of :data:`SEGMENTS`.
FOREARMS, THIGHS, SHINS, SHOULDERS = np.array([2, 3]), np.array([4, 5]), np.array([6, 7]), 8
#: (12, 2) the limbs, the width of the shoulders, that of the hips, and the two flanks.
SEGMENTS = np.concatenate(
    [
        LIMBS,
        [
            [_ARMS[0][0], _ARMS[1][0]],
            [_LEGS[0][0], _LEGS[1][0]],
            [_ARMS[0][0], _LEGS[0][0]],
            [_ARMS[1][0], _LEGS[1][0]],
        ],
    ]
)
#: (12,) meters of an average adult.
LENGTHS = np.concatenate(
    [
        np.array([[arm, arm, fore, fore] for arm, fore in LIMB_LENGTHS[[0]]]).ravel(),
        np.array([[thigh, thigh, shin, shin] for thigh, shin in LIMB_LENGTHS[[2]]]).ravel(),
        [SHOULDER_WIDTH, HIP_WIDTH, FLANK_LENGTH, FLANK_LENGTH],
    ]
)


def apparent_scales(pixels: NDArray[np.floating]) -> FloatArray:
    """(N, 17, 2) pixels -> (N, 12) pixels per meter that each segment appears to have; NaN where it is not known."""
    ends = np.asarray(pixels, np.float64)[:, SEGMENTS]
    result: FloatArray = np.linalg.norm(ends[:, :, 0] - ends[:, :, 1], axis=-1) / LENGTHS
    return result


def person_scales(apparent: FloatArray, segments: int) -> FloatArray:
    """(N, 12) -> (N,) pixels per meter: the largest; NaN of fewer known segments than ``segments``."""
    known = np.isfinite(apparent)
    largest = np.where(known, apparent, 0.0).max(axis=1, initial=0.0)
    return np.where((known.sum(axis=1) >= segments) & (largest > 0), largest, np.nan)


# Where perspective is believed, and where it is not.


@dataclass(frozen=True)
class PerspectiveSettings:
    """Limits of the sign rules; between them lie the zones in which a rule says nothing.

    Attributes:
        segments: a person's scale needs this many known segments.
        nearer: one person is nearer than another when its scale is larger by more than this part.
        alike: two people are equally far when their scales differ by less than this part. 0, for
            never, is the default: 5 % of 5 m is more than a shoulder's width, and a tall person may
            stand behind a small one; five of six such labels are wrong by more than 10 cm.
        alike_weight: of such a pair, as a part of that of others.
        level: a limb lies across the view when its depth differs by less than this part of its length.
        head_turn: the nose is so far beside the middle of the ears, in lengths of a nose, for one
            ear to be nearer. Half of it is enough when that ear is seen and the other is not.
        body_turn: the same for the shoulders, which turn less than the head.
        turned_width: and the shoulders have to appear narrower than this part of their width.
        facing: one shoulder is so far beside the other, in widths, for front or back to be known.
        forearm, shin, thigh: a limb appears shorter than this part of its length for the direction in
            which its joint bends to decide; 0 switches the rule off.
        inside: meters that an elbow or wrist lies within the outline of the trunk to be in front
            of it, or behind when it is hidden.

    Raises:
        ValueError: a value is out of range.
    """

    segments: int = 3
    nearer: float = 0.15
    alike: float = 0.0
    alike_weight: float = 0.25
    level: float = 0.15
    head_turn: float = 0.5
    body_turn: float = 0.6
    turned_width: float = 0.85
    facing: float = 0.4
    forearm: float = 0.65
    shin: float = 0.75
    thigh: float = 0.4
    inside: float = 0.02

    def __post_init__(self) -> None:
        if self.segments < 1:
            raise ValueError(f"segments = {self.segments}: must be positive")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "segments" and not 0 <= value <= 1:
                raise ValueError(f"{field.name} = {value}: must be within [0, 1]")
        if self.alike_weight == 0:
            raise ValueError("alike_weight = 0: must be positive; alike = 0 leaves such pairs out")
        if self.alike > self.nearer:
            raise ValueError(f"alike = {self.alike}: must not be more than nearer = {self.nearer}")


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
    a camera that looks down sees the shins of all people foreshortened, so theirs count from the front only.

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
        visible, hidden: (N, 17); a keypoint that is neither is left open.
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
