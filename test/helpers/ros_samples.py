"""People and messages that the tests of this folder share."""

from __future__ import annotations

from typing import Any

import numpy as np

from unipose_ros.frame import JointStatus, Skeletons, TrackState
from unipose_ros.joint_sets import ITOP15

FRAME = "camera_color_optical_frame"
STAMP = 1_700_000_000_123_456_789
HEAD, LEFT_HAND, RIGHT_HAND = (ITOP15.index(joint) for joint in ("head", "left_hand", "right_hand"))


def upright(x: float, z: float) -> np.ndarray:
    """(15, 3) of a person who faces the camera with the middle of the hips at (x, 0, z)."""
    heights = {"head": -0.75, "neck": -0.5, "torso": -0.25, "shoulder": -0.5, "elbow": -0.2, "hand": 0.05,
               "hip": 0.0, "knee": 0.45, "foot": 0.9}  # fmt: skip
    positions = np.zeros((15, 3), np.float32)
    for index, joint in enumerate(ITOP15.joints):
        side, _, part = joint.rpartition("_")
        # Who faces the camera has the left side at the image's right, positive x.
        positions[index] = ({"left": 0.15, "right": -0.15}.get(side, 0.0) + x, heights[part], z)
    return positions


def people(*ids: str, **changes: Any) -> Skeletons:
    """People side by side; all people lacks the left hand, and the right one is inferred."""
    count = len(ids)
    positions = np.stack([upright(float(k), 3.0) for k in range(count)]) if count else np.zeros((0, 15, 3), np.float32)
    status = np.full((count, 15), JointStatus.MEASURED, np.uint8)
    positions[:, LEFT_HAND], status[:, LEFT_HAND] = np.nan, JointStatus.MISSING
    status[:, RIGHT_HAND] = JointStatus.INFERRED
    values = {
        "stamp_ns": STAMP, "frame_id": FRAME, "modality": "lookup", "positions": positions,
        "confidences": np.where(status == JointStatus.MISSING, 0, 0.5).astype(np.float32), "status": status,
        "scores": np.linspace(0.5, 0.9, count, dtype=np.float32), "ids": ids,
        "states": np.full(count, TrackState.TRACKED, np.uint8), "ages_ns": np.arange(count) * 1_500_000_000,
    }  # fmt: skip
    return Skeletons(**{**values, **changes})


class Hand:
    """A clock moved by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now
