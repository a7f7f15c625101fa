"""How a camera is mounted, from the people that it sees: no inertial sensor and no floor in view is needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.joint_sets import ITOP15

FloatArray = NDArray[np.float64]

_NECK = ITOP15.index("neck")
_HIPS = [ITOP15.index(f"{side}_hip") for side in ("left", "right")]
_LEGS = [[ITOP15.index(f"{side}_{part}") for part in ("hip", "knee", "foot")] for side in ("left", "right")]
#: The joint of a foot lies so far above the floor, meters.
_ANKLE = 0.08
#: Legs are straight when hip to foot is at least this fraction of the way over the knee, and longer than so
#: many meters: people who stand.
_STRAIGHT = 0.94
_SHORTEST = 0.5
_FEWEST = 20
_ROUNDS = 10


@dataclass(frozen=True)
class EstimatedMounting:
    """Of a camera.

    Attributes:
        height: above the floor, meters.
        pitch, roll: degrees; pitch is down.
        people: poses that say so.
    """

    height: float
    pitch: float
    roll: float
    people: int


def estimate_mounting(joints: NDArray[np.floating]) -> EstimatedMounting | None:
    """The mounting by people who stand: on average their trunks point up, and their feet are on the floor.

    The mean direction of the trunks is taken robustly (iterated, with those within 25 degrees of the last mean).

    Args:
        joints: (N, 15, 3) meters in the optical frame (x right, y down, z forward).

    Returns:
        ``None`` where fewer than 20 people stand.
    """
    poses = np.asarray(joints, np.float64)
    standing = poses[np.isfinite(poses).all(axis=(1, 2)) & _stands(poses)]
    if len(standing) < _FEWEST:
        return None
    trunk = standing[:, _NECK] - standing[:, _HIPS].mean(axis=1)
    trunk /= np.maximum(np.linalg.norm(trunk, axis=-1, keepdims=True), 1e-6)
    up = np.median(trunk, axis=0)
    for _ in range(_ROUNDS):
        up /= np.linalg.norm(up)
        near = trunk @ up > np.cos(np.radians(25))
        if near.sum() < _FEWEST:
            return None
        up = trunk[near].mean(axis=0)
    up /= np.linalg.norm(up)
    feet = -(standing[:, [leg[2] for leg in _LEGS]] @ up)
    height = float(np.median(feet.max(axis=1))) + _ANKLE
    # The optical axis z points down by the pitch: z . up = -sin(pitch).
    pitch = float(np.degrees(np.arcsin(np.clip(-up[2], -1, 1))))
    roll = float(np.degrees(np.arctan2(-up[0], -up[1])))
    return EstimatedMounting(max(height, 0.1), pitch, roll, int(near.sum()))


def _stands(poses: FloatArray) -> NDArray[np.bool_]:
    straight = np.ones(len(poses), np.bool_)
    for hip, knee, foot in _LEGS:
        whole, over = (
            np.linalg.norm(poses[:, hip] - poses[:, foot], axis=-1),
            np.linalg.norm(poses[:, hip] - poses[:, knee], axis=-1)
            + np.linalg.norm(poses[:, knee] - poses[:, foot], axis=-1),
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            straight &= (whole >= _STRAIGHT * over) & (whole > _SHORTEST)
    return straight
