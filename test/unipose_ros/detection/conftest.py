"""Rooms with people of simple shape, drawn as depth images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.frame import RgbdFrame

CAMERA = Camera(262.5, 262.5, 159.5, 119.5, 320, 240)
#: Meters from the camera to the floor below it and the wall before it.
FLOOR, WALL = 1.2, 5.0
#: Ellipsoids of a standing person of 1.7 m: middle above the floor, radii across, up and along the view.
BODY = ((1.58, 0.10, 0.12, 0.11), (1.2, 0.24, 0.32, 0.13), (0.85, 0.19, 0.2, 0.13), (0.45, 0.16, 0.45, 0.10))


@pytest.fixture
def camera() -> Camera:
    return CAMERA


@pytest.fixture
def room() -> Callable[..., RgbdFrame]:
    return draw_room


def draw_room(
    people: Sequence[tuple[float, float]] = (),
    cupboards: Sequence[tuple[float, float]] = (),
    camera: Camera = CAMERA,
    tilt: float = 0.0,
    scenery: bool = True,
) -> RgbdFrame:
    """A frame with people and man-high boxes at (x, z) meters on the floor; ``tilt`` radians downwards."""
    rows, columns = np.indices((camera.height, camera.width))
    x, y = (columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy
    # Rays in a level frame; they are as long as to z = 1 of the camera, so a distance along one is its depth.
    ray = np.stack([x, y * np.cos(tilt) + np.sin(tilt), np.cos(tilt) - y * np.sin(tilt)], axis=-1)
    depth = np.full(x.shape, np.inf)
    if scenery:
        with np.errstate(divide="ignore"):
            depth = np.minimum(np.where(ray[..., 1] > 0, FLOOR / ray[..., 1], np.inf), WALL / ray[..., 2])
    for person in people:
        for up, *radii in BODY:
            depth = np.minimum(depth, _ellipsoid(ray, (person[0], FLOOR - up, person[1]), radii))
    for across, along in cupboards:
        front = along / ray[..., 2]
        point = ray * front[..., None]
        inside = (np.abs(point[..., 0] - across) < 0.3) & (point[..., 1] > FLOOR - 1.8) & (point[..., 1] < FLOOR)
        depth = np.where(inside, np.minimum(depth, front), depth)
    depth = np.where(np.isfinite(depth), depth, 0)
    return RgbdFrame(1, "optical", camera, depth.astype(np.float32))


def _ellipsoid(ray: NDArray[np.float64], middle: Sequence[float], radii: Sequence[float]) -> NDArray[np.float64]:
    """Distance along each ray to its first point on an ellipsoid; infinite without one."""
    scaled, center = ray / radii, np.array(middle) / radii
    a, b = (scaled**2).sum(-1), scaled @ center
    root = b**2 - a * ((center**2).sum() - 1)
    return np.where(root > 0, (b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
