"""REP-155's body frame from the joints of one person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.joint_sets import JointSet

#: Below these lengths in meters an axis is noise: the trunk's height, and its width across that.
MIN_HEIGHT = 0.10
MIN_WIDTH = 0.03


@dataclass(frozen=True, eq=False)
class BodyFrame:
    """Pose of a body in the camera's optical frame.

    Attributes:
        origin: (3,) middle of the hips, meters.
        rotation: (3, 3) turns body into camera coordinates; its columns are the body's axes in
            the camera frame: x forward out of the chest, y to the person's left, z to the head.
    """

    origin: NDArray[np.float64]
    rotation: NDArray[np.float64]


def body_frame(positions: NDArray[np.floating], joint_set: JointSet) -> BodyFrame | None:
    """The body frame of REP-155 (origin mid-hips, x forward, z to the head, right-handed).

    Each part is taken from the first of these that the joints allow:

    * origin: middle of the hips; the set's own pelvis; as far below the torso as the neck is above it.
    * up: origin to the middle of the shoulders; to the neck; to the torso.
    * left: right to left across hips and shoulders together; across either alone.

    Up is kept and left is made perpendicular to it.

    Args:
        positions: (J, 3) meters, NaN for a missing joint.
        joint_set: names of the J joints.

    Returns:
        ``None`` when a part cannot be had or the axes are too short or too parallel to tell.
    """
    points = _Points(positions, joint_set)
    origin = _first(points.middle("hip"), points["pelvis"], 2 * points["torso"] - points["neck"])
    up = _first(points.middle("shoulder") - origin, points["neck"] - origin, points["torso"] - origin)
    hips, shoulders = points.across("hip"), points.across("shoulder")
    left = _first(hips + shoulders, hips, shoulders)
    height = np.linalg.norm(up)
    if not height >= MIN_HEIGHT:
        return None
    z = up / height
    sideways = left - (left @ z) * z
    width = np.linalg.norm(sideways)
    if not width >= MIN_WIDTH:
        return None
    y = sideways / width
    return BodyFrame(origin, np.column_stack([np.cross(y, z), y, z]))


class _Points:
    """Joints by landmark; NaN for one that is missing, in this frame or in the whole set."""

    def __init__(self, positions: NDArray[np.floating], joint_set: JointSet) -> None:
        self._positions = np.asarray(positions, np.float64)
        self._landmarks = joint_set.landmarks

    def __getitem__(self, landmark: str) -> NDArray[np.float64]:
        if landmark not in self._landmarks:
            return np.full(3, np.nan)
        return np.asarray(self._positions[self._landmarks.index(landmark)])

    def middle(self, part: str) -> NDArray[np.float64]:
        """Between left and right."""
        return 0.5 * (self[f"left_{part}"] + self[f"right_{part}"])

    def across(self, part: str) -> NDArray[np.float64]:
        """From right to left."""
        return self[f"left_{part}"] - self[f"right_{part}"]


def _first(*candidates: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first vector without NaN; the last one if all have some."""
    return next((vector for vector in candidates if np.isfinite(vector).all()), candidates[-1])
