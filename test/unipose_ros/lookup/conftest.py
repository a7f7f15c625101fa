"""A body of spheres in front of a wall: depth rendered exactly, keypoints known exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project, rays
from unipose_ros.geometry.body_model import BODY13, SURFACE_OFFSETS
from unipose_ros.joint_sets import COCO17
from unipose_ros.keypoints import Keypoints2D

CAMERA = Camera(262.5, 262.5, 159.5, 119.5, 320, 240)

#: Standing adult seen from the front, meters, x right, y down, z away from the camera; the origin
#: is the middle of the trunk. Its left is the image's right.
STANDING = {
    "nose": (0.0, -0.47, -0.108), "left_eye": (0.03, -0.5, -0.09), "right_eye": (-0.03, -0.5, -0.09),
    "left_ear": (0.075, -0.47, 0.0), "right_ear": (-0.075, -0.47, 0.0),
    "left_shoulder": (0.172, -0.25, 0.0), "right_shoulder": (-0.172, -0.25, 0.0),
    "left_elbow": (0.27, 0.02, 0.0), "right_elbow": (-0.27, 0.02, 0.0),
    "left_wrist": (0.3, 0.27, -0.05), "right_wrist": (-0.3, 0.27, -0.05),
    "left_hip": (0.1, 0.25, 0.0), "right_hip": (-0.1, 0.25, 0.0),
    "left_knee": (0.11, 0.68, -0.02), "right_knee": (-0.11, 0.68, -0.02),
    "left_ankle": (0.12, 1.1, 0.03), "right_ankle": (-0.12, 1.1, 0.03),
}  # fmt: skip

_BONES = (
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"), ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"), ("left_hip", "left_knee"), ("left_knee", "left_ankle"),
    ("right_hip", "right_knee"), ("right_knee", "right_ankle"), ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"), ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"),
)  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """An image of one person: what goes in, and the ground truth."""

    camera: Camera
    depth: NDArray[np.float32]
    keypoints: Keypoints2D
    ground_truth: NDArray[np.float64]

    @property
    def seen(self) -> NDArray[np.bool_]:
        return self.keypoints.confidences > 0.1

    def with_depth(self, depth: NDArray[np.float32]) -> Scene:
        return replace(self, depth=depth)

    def patch(self, joint: str, meters: float) -> tuple[slice, slice]:
        """Rows and columns around a joint's keypoint."""
        u, v = self.keypoints.pixels[0, COCO17.index(joint)]
        radius = meters * self.camera.fx / self.ground_truth[BODY13.index(joint), 2]
        return (
            slice(max(int(v - radius), 0), int(v + radius) + 1),
            slice(max(int(u - radius), 0), int(u + radius) + 1),
        )


def body13(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """COCO-17 joints -> the 13 that are lifted."""
    return np.concatenate([joints[3:5].mean(axis=0, keepdims=True), joints[5:]])


def make_scene(
    yaw: float = 0.0,
    center: tuple[float, float, float] = (0.0, -0.3, 2.6),
    camera: Camera = CAMERA,
    wall: float = 4.0,
    size: float = 1.0,
) -> Scene:
    """The standing person turned by ``yaw`` (positive: towards the image's right)."""
    joints = np.array([STANDING[name] for name in COCO17.joints]) * size
    turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    joints = joints @ turn.T + np.array(center)
    depth = np.full((camera.height, camera.width), wall, np.float32)
    for middle, radius in _spheres(joints, size):
        _draw_sphere(depth, camera, middle, radius)
    pixels = project(camera, joints)[None].astype(np.float32)
    keypoints = Keypoints2D(
        pixels=pixels,
        confidences=np.full((1, 17), 0.7, np.float32),
        scores=np.array([0.9], np.float32),
        boxes=np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1),
    )
    return Scene(camera, depth, keypoints, body13(joints))


def _spheres(joints: NDArray[np.float64], size: float) -> list[tuple[NDArray[np.float64], float]]:
    """Each bone as a row of spheres whose radius goes from one joint's flesh to the other's."""
    ground_truth = body13(joints)
    radii = np.maximum(SURFACE_OFFSETS, 0.04) * size
    spheres = [(ground_truth[0], radii[0])]
    for start, end in _BONES:
        a, b = BODY13.index(start), BODY13.index(end)
        for part in np.linspace(0, 1, 12):
            spheres.append(
                (ground_truth[a] * (1 - part) + ground_truth[b] * part, radii[a] * (1 - part) + radii[b] * part)
            )
    return spheres


def _draw_sphere(depth: NDArray[np.float32], camera: Camera, middle: NDArray[np.float64], radius: float) -> None:
    """Nearest of the depth so far and the sphere's front."""
    reach = 1.5 * radius * camera.fx / (middle[2] - radius) + 1
    u, v = project(camera, middle)
    rows = np.arange(max(int(v - reach), 0), min(int(v + reach) + 1, camera.height))
    columns = np.arange(max(int(u - reach), 0), min(int(u + reach) + 1, camera.width))
    if not (len(rows) and len(columns)):
        return
    ray = rays(camera, np.stack(np.meshgrid(columns, rows), axis=-1))
    along, square = ray @ middle, (ray**2).sum(axis=-1)
    inside = along**2 - square * (middle @ middle - radius**2)
    front = np.where(inside >= 0, (along - np.sqrt(np.maximum(inside, 0))) / square, np.inf)
    box = np.ix_(rows, columns)
    depth[box] = np.minimum(depth[box], front)


@pytest.fixture(scope="session")
def scene() -> Callable[..., Scene]:
    """Makes scenes; see :func:`make_scene`."""
    return make_scene
