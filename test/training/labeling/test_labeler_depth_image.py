"""Depth shown as an image."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_training.labeling.labeler import shade_depth

CAMERA = Camera(fx=285, fy=285, cx=159.5, cy=119.5, width=320, height=240)


def room() -> np.ndarray:
    """A wall at 4 m, a board at 2 m before it, and one at 3 m."""
    depth = np.full((240, 320), 4.0, np.float32)
    depth[60:200, 40:120] = 2.0
    depth[60:200, 200:280] = 3.0
    return depth


def test_near_is_bright() -> None:
    image = shade_depth(CAMERA, room())
    assert (image.shape, image.dtype) == ((240, 320, 3), np.uint8)
    assert (image == image[..., :1]).all()
    near, middle, far = (int(np.median(image[100:160, u : u + 40, 0])) for u in (60, 220, 140))
    assert near > 240
    assert near > middle + 50 > far + 80
    assert far > 40  # darker, not lost


def test_no_reading_is_black_and_a_single_hole_is_filled() -> None:
    depth = room()
    depth[:30] = 0
    depth[30:40] = np.nan
    depth[100, 80] = 0
    image = shade_depth(CAMERA, depth)
    assert (image[:36] == 0).all()
    assert image[100, 80, 0] > 240


def test_surfaces_that_turn_away_are_darker() -> None:
    """A cylinder, upright, of a person's size."""
    u = np.arange(320)
    across = (u - 159.5) / 285 * 2.0
    inside = np.abs(across) < 0.2
    surface = np.where(inside, 2.0 - np.sqrt(np.maximum(0.04 - across**2, 0)), 4.0)
    image = shade_depth(CAMERA, np.tile(surface.astype(np.float32), (240, 1)))
    row = image[120, :, 0].astype(int)
    edge, middle = int(np.flatnonzero(inside)[3]), 160
    assert row[middle] > 240
    assert row[edge] < 0.75 * row[middle]
    assert (np.diff(row[edge:middle]) >= -2).all()  # no steps between


@pytest.mark.parametrize("value", [0.0, np.nan, 2.5])
def test_any_depth_is_shown(value: float) -> None:
    image = shade_depth(CAMERA, np.full((240, 320), value, np.float32))
    assert (image.max() > 0) == (value == 2.5)


def test_the_same_depth_gives_the_same_image_and_stays_as_it_is() -> None:
    depth = room()
    before = depth.copy()
    np.testing.assert_array_equal(shade_depth(CAMERA, depth), shade_depth(CAMERA, depth))
    np.testing.assert_array_equal(depth, before)
