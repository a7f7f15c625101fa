"""Depth at one angular resolution."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from unipose_ros.camera import Camera
from unipose_ros.detection.heatmap import FARTHEST, NEAREST, canonical_depth, canonical_view, network_input
from unipose_ros.frame import RgbdFrame


def test_any_camera_gives_the_same_image(room: Callable[..., RgbdFrame]) -> None:
    """Twice the resolution, and pixels that are not square."""
    images = []
    for camera in (Camera(262.5, 262.5, 159.5, 119.5, 320, 240), Camera(525, 393.75, 319.5, 179.5, 640, 360)):
        frame = room(people=[(0.2, 2.5)], camera=camera)
        assert frame.depth is not None
        images.append(canonical_depth(frame.depth, canonical_view(camera, 96, 32)))
    assert images[0].shape == images[1].shape == (2, 96, 128)
    assert np.median(np.abs(images[0][0] - images[1][0])) < 0.01
    assert (np.abs(images[0][0] - images[1][0]) > 0.3).mean() < 0.02  # outlines only


def test_holes_do_not_mix_with_readings() -> None:
    depth = np.zeros((240, 320), np.float32)
    depth[::2], depth[101] = 2.0, np.nan
    image = canonical_depth(depth, canonical_view(Camera(200, 200, 159.5, 119.5, 320, 240), 100, 1))
    np.testing.assert_allclose(image[0], 2.0, rtol=1e-6)
    np.testing.assert_allclose(image[1], 0.5, rtol=1e-6)


def test_depth_and_holes_are_resized_as_one_by_one() -> None:
    depth = np.random.default_rng(0).uniform(0, 12, (480, 640)).astype(np.float32)
    depth[::7, ::3] = np.nan
    view = canonical_view(Camera(525, 525, 319.5, 239.5, 640, 480), 96, 32)
    valid = (depth > NEAREST) & (depth < FARTHEST)
    total, part = (
        cv2.resize(each.astype(np.float32), view.content, interpolation=cv2.INTER_AREA)
        for each in (np.where(valid, depth, 0), valid)
    )
    inside = canonical_depth(depth, view)[:, : view.content[1], : view.content[0]]
    np.testing.assert_allclose(inside[1], part, atol=1e-6)
    expected = np.divide(total, part, out=np.zeros_like(part), where=part > 0)
    np.testing.assert_allclose(inside[0], expected, rtol=1e-6)


def test_readings_out_of_range_are_none() -> None:
    depth = np.array([[0.1, np.inf], [np.nan, 60.0]], np.float32)
    image = canonical_depth(depth, canonical_view(Camera(1, 1, 0.5, 0.5, 2, 2), 1, 1))
    assert not image.any()


def test_boxes_come_back_to_their_pixels() -> None:
    view = canonical_view(Camera(525, 500, 319.5, 239.5, 640, 480), 96, 32)
    assert view.padded == (128, 96)
    points = np.array([[0, 0], [639, 479], [100.25, 30.5]], np.float32)
    np.testing.assert_allclose(view.to_image(view.to_padded(points)), points, atol=1e-3)


def test_the_network_sees_logs_and_zeros_in_holes() -> None:
    image = np.array([[[3.0, 0.0]], [[0.5, 0.0]]], np.float32)
    np.testing.assert_allclose(network_input(image, float(np.log(3.0))), [[[0, 0]], [[0.5, 0]]], atol=1e-6)
