"""The scene from where the camera was not: the colored cloud and the skeletons in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project, rays
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.visualization.overlay import Figure, Image, by_id, draw_figures, person_color

_BACKGROUND = (24, 26, 32)
_GRID = (62, 68, 80)


@dataclass(frozen=True, eq=False)
class Viewpoint:
    """A virtual camera.

    Attributes:
        rotation: (3, 3), optical frame of the real camera -> that of the virtual one.
        position: (3,) in the real camera's optical frame, meters.
        camera: its intrinsics.
    """

    rotation: NDArray[np.float64]
    position: NDArray[np.float64]
    camera: Camera

    def transform(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points (..., 3) of the real optical frame -> the virtual one."""
        return np.asarray((points - self.position) @ self.rotation.T, np.float64)


def side_view(
    target: NDArray[np.floating], distance: float, yaw: float, pitch: float, width: int, height: int
) -> Viewpoint:
    """Look at ``target`` from ``distance`` meters.

    Args:
        target: (3,) in the real optical frame.
        yaw: radians about the vertical; 0 is the real camera's direction, positive from the left of the image.
        pitch: radians; positive looks down from above.
    """
    turn, _ = cv2.Rodrigues(np.array([0.0, yaw, 0.0]))
    tilt, _ = cv2.Rodrigues(np.array([-pitch, 0.0, 0.0]))
    forward = turn @ tilt @ np.array([0.0, 0.0, 1.0])
    focal = 0.9 * width
    camera = Camera(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)
    return Viewpoint(
        np.asarray((turn @ tilt).T, np.float64), np.asarray(target, np.float64) - distance * forward, camera
    )


def point_of_view(people: Sequence[Skeletons]) -> tuple[NDArray[np.floating], float]:
    """Where the virtual camera looks and how far away it stands so that all people fit."""
    joints = np.concatenate([s.positions.reshape(-1, 3) for s in people] or [np.zeros((0, 3), np.float32)])
    joints = joints[np.isfinite(joints).all(axis=1)]
    if not len(joints):
        return np.array([0.0, 0.0, 3.0]), 3.5
    low, high = np.percentile(joints, [2, 98], axis=0)
    return (low + high) / 2, 1.5 + 1.05 * float(np.linalg.norm(high - low))


def render_scene(frame: RgbdFrame, skeletons: Skeletons, view: Viewpoint, thickness: int = 3) -> Image:
    """(h, w, 3) RGB of the cloud, a floor grid under the people, and the people on top."""
    image = np.full((view.camera.height, view.camera.width, 3), _BACKGROUND, np.uint8)
    _draw_floor(image, skeletons, view)
    if frame.depth is not None:
        _draw_cloud(image, frame, frame.depth, view)
    figures = []
    for person in by_id(skeletons):
        pixels = project(view.camera, view.transform(skeletons.positions[person]))
        label = skeletons.ids[person]
        figures.append(Figure(pixels, skeletons.status[person], person_color(label), label))
    draw_figures(image, figures, skeletons.joint_set, thickness)
    return image


def _draw_cloud(image: Image, frame: RgbdFrame, depth: NDArray[np.float32], view: Viewpoint) -> None:
    """Splat every depth pixel as a 2x2 square, far ones first, so that near ones cover them."""
    turned = _turned_rays(frame.camera, tuple(view.rotation.ravel().tolist()))
    there = np.flatnonzero(np.isfinite(depth) & (depth > 0))
    z = depth.reshape(-1)[there]
    offset = (-view.rotation @ view.position).astype(np.float32)
    x, y, far = (turned[axis][there] * z + offset[axis] for axis in range(3))
    camera = view.camera
    with np.errstate(invalid="ignore", divide="ignore"):
        u = np.float32(camera.fx) * x / far + np.float32(camera.cx)
        v = np.float32(camera.fy) * y / far + np.float32(camera.cy)
        # False for NaN.
        shown = np.flatnonzero((far > 0) & (u > 0) & (v > 0) & (u < camera.width - 2) & (v < camera.height - 2))
    # Millimeters in 16 bits are sorted by their digits, which takes a tenth of comparing them.
    order = shown[np.argsort(65535 - np.minimum(1e3 * far[shown], 65535).astype(np.uint16), kind="stable")]
    corner = v[order].astype(np.int32) * camera.width + u[order].astype(np.int32)
    # A pixel's channels in one number are written at once.
    colors = cv2.cvtColor(_cloud_colors(frame, depth), cv2.COLOR_RGB2RGBA).view(np.uint32).reshape(-1)[there[order]]
    packed = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA).view(np.uint32).reshape(-1)
    for step in (camera.width + 1, camera.width, 1, 0):
        packed[corner + step] = colors
    cv2.cvtColor(packed.view(np.uint8).reshape(camera.height, camera.width, 4), cv2.COLOR_RGBA2RGB, dst=image)


@lru_cache(maxsize=2)
def _turned_rays(camera: Camera, rotation: tuple[float, ...]) -> tuple[NDArray[np.float32], ...]:
    """Three times (H * W,): viewing rays of all pixels along a virtual camera's axes."""
    v, u = np.mgrid[: camera.height, : camera.width]
    turned = rays(camera, np.stack([u, v], axis=-1)).reshape(-1, 3) @ np.reshape(rotation, (3, 3)).T
    return tuple(np.ascontiguousarray(turned[:, axis], np.float32) for axis in range(3))


def _cloud_colors(frame: RgbdFrame, depth: NDArray[np.float32]) -> Image:
    if frame.color is None:
        level = np.clip(255 - 40 * np.nan_to_num(depth), 40, 220).astype(np.uint8)
        return np.asarray(cv2.cvtColor(level, cv2.COLOR_GRAY2RGB), np.uint8)
    # A little darker than life, so that the skeletons stand out.
    return np.asarray(cv2.convertScaleAbs(frame.color, alpha=0.8), np.uint8)


def _draw_floor(image: Image, skeletons: Skeletons, view: Viewpoint) -> None:
    """Half-meter grid at the lowest joint; the camera is taken to be level."""
    joints = skeletons.positions.reshape(-1, 3)
    joints = joints[np.isfinite(joints).all(axis=1)]
    if not len(joints):
        return
    floor = joints[:, 1].max() + 0.08
    middle = np.round(np.median(joints[:, [0, 2]], axis=0) * 2) / 2
    steps = np.arange(-2.5, 2.51, 0.5)
    for step in steps:
        for start, end in (((step, -2.5), (step, 2.5)), ((-2.5, step), (2.5, step))):
            ends = np.array([[middle[0] + x, floor, middle[1] + z] for x, z in (start, end)])
            _draw_line(image, view, ends)


def _draw_line(image: Image, view: Viewpoint, ends: NDArray[np.float64]) -> None:
    # In pieces: a piece behind the virtual camera is left out without losing the rest.
    pixels = project(view.camera, view.transform(np.linspace(ends[0], ends[1], 24)))
    whole = np.isfinite(pixels).all(axis=1) & (np.abs(np.nan_to_num(pixels)).max(axis=1) < 10_000)
    places = np.nan_to_num(pixels).clip(-10_000, 10_000).astype(int).tolist()
    for (start, end), drawn in zip(pairwise(places), (whole[:-1] & whole[1:]).tolist(), strict=True):
        if drawn:
            cv2.line(image, start, end, _GRID, 1, cv2.LINE_AA)
