"""How people stand to the camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_ros.body_frame import body_frame
from unipose_ros.skeletons import JointSet


def facing_angles(positions: NDArray[np.floating], joint_set: JointSet) -> NDArray[np.float64]:
    """Angle about the body's own vertical from straight ahead to the camera.

    Args:
        positions: (N, J, 3) in the camera's optical frame, metres.

    Returns:
        (N,) degrees: 0 for a person who faces the camera, 90 with the left side towards it, -90
        with the right side, +-180 with the back; NaN where the body frame cannot be had.
    """
    return np.array([_angle(pose, joint_set) for pose in positions], np.float64)


def _angle(pose: NDArray[np.floating], joint_set: JointSet) -> float:
    frame = body_frame(pose, joint_set)
    if frame is None:
        return float("nan")
    ahead, left, _ = frame.rotation.T @ -frame.origin
    return float(np.degrees(np.arctan2(left, ahead)))
