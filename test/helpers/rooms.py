"""Depth images of an empty room: a floor and walls, seen by a camera that looks down."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, rays
from unipose_ros.frame import RgbdFrame

CAMERA = Camera(fx=250.0, fy=250.0, cx=159.5, cy=119.5, width=320, height=240)
_HEIGHT, _WALL, _SIDE = 1.5, 2.0, 1.0


def upright(pitch: float) -> NDArray[np.float64]:
    """(3,) the direction up of a camera that looks down by so many degrees."""
    angle = np.radians(pitch)
    return np.array([0.0, -np.cos(angle), -np.sin(angle)])


def room_depth(pitch: float, wall: float | None = _WALL, lean: float = 0.0) -> NDArray[np.float64]:
    """(H, W) meters; 0 where nothing is seen.

    Args:
        pitch: degrees down.
        wall: distance of the wall in front; ``None`` for an endless floor.
        lean: degrees by which the wall leans away.
    """
    v, u = np.mgrid[: CAMERA.height, : CAMERA.width]
    directions = rays(CAMERA, np.stack([u, v], axis=-1))
    up = upright(pitch)
    forward = np.cross(up, [1.0, 0.0, 0.0])
    leaning = np.cos(np.radians(lean)) * forward - np.sin(np.radians(lean)) * up
    planes = [-up / _HEIGHT, np.array([-1.0, 0.0, 0.0]) / _SIDE]
    if wall is not None:
        planes.append(leaning / wall)
    # The nearest of all surfaces has the greatest inverse depth.
    inverse = np.max([directions @ plane for plane in planes], axis=0)
    with np.errstate(divide="ignore"):
        return np.where(inverse > 0.1, 1 / inverse, 0.0)


def room_frames(
    pitch: float, given: float = 1.0, count: int = 24, wall: float | None = _WALL, lean: float = 0.0
) -> list[RgbdFrame]:
    """Noisy frames, five a second.

    Args:
        given: focal length of camera_info relative to the true one.
    """
    camera = Camera(CAMERA.fx * given, CAMERA.fy * given, CAMERA.cx, CAMERA.cy, CAMERA.width, CAMERA.height)
    images = _noisy(pitch, count, wall, lean)
    return [RgbdFrame((1 + i) * 200_000_000, "camera", camera, image) for i, image in enumerate(images)]


@lru_cache
def _noisy(pitch: float, count: int, wall: float | None, lean: float) -> tuple[NDArray[np.float32], ...]:
    rng = np.random.default_rng(0)
    depth = room_depth(pitch, wall, lean)
    # Errors of stereo and structured light grow with the square of the depth.
    return tuple((depth + 0.003 * depth**2 * rng.normal(size=depth.shape)).astype(np.float32) for _ in range(count))
