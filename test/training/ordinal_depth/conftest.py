"""A stiff person of usual proportions, seen by any pinhole."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from unipose_ros.joint_sets import COCO17

FloatArray = NDArray[np.float64]
Photograph = Callable[..., FloatArray]

#: Facing the camera, in its optical frame: their left is to the right, and their nose is nearer.
_PLACES = {
    "nose": (0.0, -0.53, -0.108), "left_eye": (0.03, -0.56, -0.09), "right_eye": (-0.03, -0.56, -0.09),
    "left_ear": (0.075, -0.53, 0.0), "right_ear": (-0.075, -0.53, 0.0),
    "left_shoulder": (0.1725, -0.32, 0.0), "right_shoulder": (-0.1725, -0.32, 0.0),
    "left_elbow": (0.21, -0.03, 0.0), "right_elbow": (-0.21, -0.03, 0.0),
    "left_wrist": (0.22, 0.23, 0.0), "right_wrist": (-0.22, 0.23, 0.0),
    "left_hip": (0.1, 0.19, 0.0), "right_hip": (-0.1, 0.19, 0.0),
    "left_knee": (0.1, 0.62, 0.0), "right_knee": (-0.1, 0.62, 0.0),
    "left_ankle": (0.1, 1.04, 0.0), "right_ankle": (-0.1, 1.04, 0.0),
}  # fmt: skip


@pytest.fixture
def body() -> FloatArray:
    """(17, 3) meters about the trunk's middle."""
    return np.array([_PLACES[joint] for joint in COCO17.joints])


@pytest.fixture
def photograph() -> Photograph:
    """Joints (17, 3) -> pixels (17, 2), after a turn to the camera's right by ``yaw`` degrees."""

    def take(joints: FloatArray, at: tuple[float, float, float], yaw: float = 0.0, focal: float = 500.0) -> FloatArray:
        placed = turned(joints, yaw) + at
        return np.asarray(focal * placed[:, :2] / placed[:, 2:] + [320.0, 240.0])

    return take


def turned(joints: FloatArray, yaw: float) -> FloatArray:
    """A person who faced the camera, turned towards the right of the image."""
    c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    return np.asarray(joints @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]))


@pytest.fixture
def turn() -> Callable[[FloatArray, float], FloatArray]:
    """See :func:`turned`."""
    return turned
