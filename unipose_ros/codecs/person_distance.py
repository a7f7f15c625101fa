"""How far away a person is by its size in the image, where no depth says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, rays
from unipose_ros.frame import RgbdFrame
from unipose_ros.geometry import body_model as body
from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_ros.keypoints import Keypoints2D

if TYPE_CHECKING:
    from unipose_ros.lifting import Lifter

_BONES = (
    ("left_shoulder", "left_elbow", body.LIMB_LENGTHS[0, 0]),
    ("right_shoulder", "right_elbow", body.LIMB_LENGTHS[1, 0]),
    ("left_elbow", "left_wrist", body.LIMB_LENGTHS[0, 1]),
    ("right_elbow", "right_wrist", body.LIMB_LENGTHS[1, 1]),
    ("left_hip", "left_knee", body.LIMB_LENGTHS[2, 0]),
    ("right_hip", "right_knee", body.LIMB_LENGTHS[3, 0]),
    ("left_knee", "left_ankle", body.LIMB_LENGTHS[2, 1]),
    ("right_knee", "right_ankle", body.LIMB_LENGTHS[3, 1]),
    ("left_shoulder", "right_shoulder", body.SHOULDER_WIDTH),
    ("left_shoulder", "left_hip", body.FLANK_LENGTH),
    ("right_shoulder", "right_hip", body.FLANK_LENGTH),
)
_STARTS = np.array([COCO17.index(start) for start, _, _ in _BONES])
_ENDS = np.array([COCO17.index(end) for _, end, _ in _BONES])
_LENGTHS = np.array([length for _, _, length in _BONES])
#: A bone looks at most as long as it is, so the true distance is among the nearest that bones allow;
#: not the nearest, for keypoints are not exact and people are not average. This part of the bones (by
#: length) says a nearer one: on 129 rendered people seen by MoveNet the median error is then least.
_NEARER = 0.25
#: Standard deviation of the distance as a part of it; measured on the same people.
_SPREAD = 0.09
_TRUNK = [ITOP15.index(f"{side}_{part}") for part in ("shoulder", "hip") for side in ("left", "right")]


def size_distance(camera: Camera, pixels: NDArray[np.floating], seen: NDArray[np.bool_]) -> tuple[float, float]:
    """Distance along z in meters and its standard deviation; NaN where no bone is seen.

    Args:
        pixels: (17, 2) COCO keypoints.
        seen: (17,) those that are believed.
    """
    there = np.flatnonzero(seen[_STARTS] & seen[_ENDS])
    directions = rays(camera, np.where(seen[:, None], pixels, 0))
    apart = np.linalg.norm(directions[_STARTS[there]] - directions[_ENDS[there]], axis=-1)
    there, apart = there[apart > 0], apart[apart > 0]
    if len(there) == 0:
        return float("nan"), float("nan")
    distances, weights = _LENGTHS[there] / apart, _LENGTHS[there]
    order = np.argsort(distances)
    below = np.cumsum(weights[order])
    distance = float(distances[order[np.searchsorted(below, _NEARER * below[-1])]])
    return distance, _SPREAD * distance


def lifted_distance(lifter: Lifter, frame: RgbdFrame, keypoints: Keypoints2D) -> tuple[float, float]:
    """Distance along z of one person's trunk in meters by the lifter's pose, and its standard deviation.

    Depth readings of the frame are fused in. NaN where the person shows too few keypoints, or no trunk.
    """
    found = lifter.lift(keypoints, frame.camera, frame.depth)
    if len(found) == 0 or found.covariances is None:
        return float("nan"), float("nan")
    seen = np.flatnonzero(np.isfinite(found.positions[0, _TRUNK, 2]))
    if len(seen) == 0:
        return float("nan"), float("nan")
    joints = np.array(_TRUNK)[seen]
    std = np.sqrt(found.covariances[0, joints, 5].mean())
    return float(found.positions[0, joints, 2].mean()), float(std)
