"""Windows of depth and color images, and joints back in camera coordinates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unipose_ros.camera import Camera
from unipose_ros.codecs.windows import ColorImageConfig, CropSample, DepthImageConfig, encode_color, encode_depth
from unipose_ros.frame import RgbdFrame
from unipose_ros.geometry.crop import Crop

CAMERA = Camera(fx=525, fy=500, cx=319.5, cy=239.5, width=640, height=480)
BOX = np.array([260.0, 100.0, 380.0, 400.0])


def frame(depth: np.ndarray | None = None, color: np.ndarray | None = None, camera: Camera = CAMERA) -> RgbdFrame:
    return RgbdFrame(0, "camera", camera, depth=depth, color=color)


def wall(meters: float) -> np.ndarray:
    return np.full((480, 640), meters, np.float32)


@given(st.integers(0, 2**31), st.floats(0.8, 8))
def test_joints_come_back_from_the_window(seed: int, distance: float) -> None:
    random = np.random.default_rng(seed)
    camera = Camera(*random.uniform(300, 900, 2), 330, 230, 640, 480, distortion=(0.05, -0.1, 0.001, 0.0, 0.0))
    joints = random.normal(0, 0.3, (15, 3)) * [distance / 4, distance / 4, 0.3] + [0, 0, distance]
    sample = encode_depth(frame(wall(distance), camera=camera), BOX, distance, DepthImageConfig())
    assert np.abs(sample.to_camera(*sample.to_sample(joints)) - joints).max() < 1e-4


def test_a_window_shows_what_its_pixels_say() -> None:
    image = np.random.default_rng(0).uniform(1, 2, (480, 640)).astype(np.float32)
    window = Crop(u=300, v=200, width=90, height=60, size=30)
    shown = window.cut(image, smooth=False)
    for u, v in ((0, 0), (29, 29), (7, 20)):
        at = window.to_image(np.array([u, v]))
        assert shown[v, u] in image[int(at[1]) : int(at[1]) + 2, int(at[0]) : int(at[0]) + 2]
        assert window.to_window(at) == pytest.approx([u, v])


def test_a_window_of_the_whole_image_is_the_image() -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    assert np.array_equal(Crop(31.5, 31.5, 64, 64, 64).cut(image, smooth=True), image)


@pytest.mark.parametrize("focal", [300.0, 525.0, 900.0])
def test_people_look_equally_large_through_every_camera_and_at_every_distance(focal: float) -> None:
    camera = Camera(focal, 0.8 * focal, 320, 240, 640, 480)
    for distance in (1.0, 3.0, 7.0):
        sample = encode_depth(
            frame(wall(1), camera=camera), np.array([310, 230, 330, 250]), distance, DepthImageConfig()
        )
        ends = np.array([[-0.6, -0.6, distance], [0.6, 0.6, distance]])
        pixels, _ = sample.to_sample(ends)
        assert pixels[1] - pixels[0] == pytest.approx([96, 96], abs=1e-3)


def test_depth_is_relative_and_clipped_and_holes_are_far() -> None:
    depth = wall(3.25)
    depth[:, :310], depth[:, 330:], depth[:200] = 0.5, 0.0, np.nan
    image = encode_depth(frame(depth), BOX, 3.0, DepthImageConfig()).image
    assert image.shape == (1, 192, 192)
    assert image.dtype == np.float32
    assert image[0, 96, 96] == pytest.approx(0.5)
    assert image[0, 96, 40] == -2
    assert image[0, 96, 150] == 2
    assert image[0, 10, 96] == 2


def test_depth_is_never_mixed_across_an_edge() -> None:
    depth = wall(3.0)
    depth[:, 320:] = 3.5
    image = encode_depth(frame(depth), BOX, 3.0, DepthImageConfig(size=320)).image
    assert set(np.unique(image[:, 40:280])) == {0.0, 1.0}


def test_the_same_person_nearer_gives_the_same_image() -> None:
    near, far = (encode_depth(frame(wall(z + 0.2)), BOX, z, DepthImageConfig()).image for z in (2.0, 3.0))
    assert np.abs(near[0, 60:130, 60:130] - far[0, 60:130, 60:130]).max() < 1e-6


def test_color_is_centered_and_channels_come_first() -> None:
    color = np.zeros((480, 640, 3), np.uint8)
    color[..., 0], color[..., 2] = 255, 51
    sample = encode_color(frame(color=color), BOX, 3.0, ColorImageConfig())
    assert sample.image.shape == (3, 256, 256)
    assert sample.image[:, 128, 128] == pytest.approx([1.0, -1.0, -0.6])
    corners, _ = sample.to_sample(np.array([[0.0, 0.0, 3.0]]))
    assert sample.to_camera(corners, np.zeros(1)) == pytest.approx(np.array([[0, 0, 3]]), abs=1e-5)


def test_the_whole_person_is_in_the_color_window_whatever_the_pixels_shape() -> None:
    camera = Camera(fx=900, fy=400, cx=319.5, cy=239.5, width=640, height=480)
    sample = encode_color(frame(color=np.zeros((480, 640, 3), np.uint8), camera=camera), BOX, 3.0, ColorImageConfig())
    corners = sample.window.to_window(BOX.reshape(2, 2))
    assert corners.min() >= 0
    assert corners.max() <= 255
    assert corners[1, 1] - corners[0, 1] == pytest.approx(256 / 1.25)


def test_covariances_are_those_of_many_draws() -> None:
    random = np.random.default_rng(0)
    camera = Camera(fx=525, fy=300, cx=319.5, cy=239.5, width=640, height=480)
    sample = encode_depth(frame(wall(3), camera=camera), BOX, 3.0, DepthImageConfig())
    pixel, depth = np.array([150.0, 40.0]), 0.1
    root = np.array([[2.0, 0, 0], [0.7, 1.5, 0], [0.01, 0.0, 0.05]])
    draws = random.normal(size=(200_000, 3)) @ root.T
    points = sample.to_camera(pixel + draws[:, :2], depth + draws[:, 2])
    upper = np.triu_indices(3)
    expected = np.cov(points.T)[upper]
    found = sample.covariances_to_camera(pixel, np.array(depth), (root @ root.T)[upper])
    assert np.abs(found - expected).max() < 0.02 * expected.max()


def test_what_cannot_be_cut_is_named() -> None:
    with pytest.raises(ValueError, match="no depth"):
        encode_depth(frame(color=np.zeros((480, 640, 3), np.uint8)), BOX, 3.0, DepthImageConfig())
    with pytest.raises(ValueError, match="no color"):
        encode_color(frame(wall(3)), BOX, 3.0, ColorImageConfig())
    with pytest.raises(ValueError, match="distance = nan"):
        encode_depth(frame(wall(3)), BOX, float("nan"), DepthImageConfig())
    with pytest.raises(ValueError, match="window"):
        encode_depth(frame(wall(3)), np.full(4, np.nan), 3.0, DepthImageConfig())
    with pytest.raises(ValueError, match=r"depth_image\.unit"):
        DepthImageConfig(unit=0)
    with pytest.raises(ValueError, match=r"color_image\.margin"):
        ColorImageConfig(margin=0.5)


def test_a_window_beside_the_image_is_empty() -> None:
    sample = encode_depth(frame(wall(3)), BOX + 5000, 3.0, DepthImageConfig())
    assert (sample.image == 2).all()
    assert isinstance(sample, CropSample)
