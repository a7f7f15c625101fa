"""How large people appear, from the rigid parts between their keypoints.

A part of length L at depth Z, inclined by phi against the picture, appears ``f L cos(phi) / Z`` pixels
long, at most ``f L / Z``. The longest of a person's parts, each as a multiple of its usual length,
therefore gives about f / Z: pixels per metre. Pixels are taken as square.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_ros.lookup.body import FLANK_LENGTH, HIP_WIDTH, LIMB_LENGTHS, SHOULDER_WIDTH
from unipose_ros.skeletons import COCO17

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
#: (12,) metres of an average adult.
LENGTHS = np.concatenate(
    [
        np.array([[arm, arm, fore, fore] for arm, fore in LIMB_LENGTHS[[0]]]).ravel(),
        np.array([[thigh, thigh, shin, shin] for thigh, shin in LIMB_LENGTHS[[2]]]).ravel(),
        [SHOULDER_WIDTH, HIP_WIDTH, FLANK_LENGTH, FLANK_LENGTH],
    ]
)


def apparent_scales(pixels: NDArray[np.floating]) -> FloatArray:
    """(N, 17, 2) pixels -> (N, 12) pixels per metre that each segment appears to have; NaN where it is not known."""
    ends = np.asarray(pixels, np.float64)[:, SEGMENTS]
    result: FloatArray = np.linalg.norm(ends[:, :, 0] - ends[:, :, 1], axis=-1) / LENGTHS
    return result


def person_scales(apparent: FloatArray, segments: int) -> FloatArray:
    """(N, 12) -> (N,) pixels per metre: the largest; NaN of fewer known segments than ``segments``."""
    known = np.isfinite(apparent)
    largest = np.where(known, apparent, 0.0).max(axis=1, initial=0.0)
    return np.where((known.sum(axis=1) >= segments) & (largest > 0), largest, np.nan)
