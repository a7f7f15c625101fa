"""Cutting a person out of a depth image and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unipose_ros.camera import Camera, project, unproject
from unipose_ros.codecs.points import (
    Paint,
    PointCloudConfig,
    PointSample,
    collate,
    encode_person,
    stack_clip,
)
from unipose_ros.frame import RgbdFrame

CAMERA = Camera(fx=525, fy=520, cx=319.5, cy=239.5, width=640, height=480)
BOX = np.array([260, 100, 380, 400])
CONFIG = PointCloudConfig()


def frame(depth: np.ndarray, camera: Camera = CAMERA) -> RgbdFrame:
    return RgbdFrame(0, "camera", camera, depth=depth.astype(np.float32))


def person(distance: float = 3.0) -> np.ndarray:
    """A slanted board before a wall."""
    depth = np.full((480, 640), 6.0, np.float32)
    depth[100:401, 260:381] = distance + np.linspace(-0.1, 0.1, 121)
    return depth


def test_points_are_where_the_depth_image_says() -> None:
    sample = encode_person(frame(person()), BOX, 3.0, CONFIG)
    assert sample.features.shape == (2048, 3)
    points = sample.to_camera(sample.features)
    pixels = project(CAMERA, points)
    assert (pixels >= BOX[:2] - 0.5).all()
    assert (pixels <= BOX[2:] + 0.5).all()
    expected = 2.9 + (pixels[:, 0] - 260) / 120 * 0.2
    assert np.abs(points[:, 2] - expected).max() < 1e-3
    # The origin is what the proposal says: the middle of its box at the person's distance.
    np.testing.assert_allclose(sample.center, unproject(CAMERA, (BOX[:2] + BOX[2:]) / 2, 3.0), rtol=1e-6)


def test_distortion_is_undone() -> None:
    camera = Camera(525, 525, 319.5, 239.5, 640, 480, distortion=(0.1, -0.2, 0.001, 0.002, 0.0))
    sample = encode_person(frame(person(), camera), BOX, 3.0, CONFIG)
    pixels = project(camera, sample.to_camera(sample.features))
    # Means of cells lie a little inside; the outline must be that of the raw image.
    assert np.abs(pixels.min(axis=0) - BOX[:2]).max() < 3
    assert np.abs(pixels.max(axis=0) - BOX[2:]).max() < 3


@given(st.integers(0, 2**31), st.floats(0.5, 10))
def test_joints_come_back_from_the_sample(seed: int, distance: float) -> None:
    random = np.random.default_rng(seed)
    sample = PointSample(np.zeros((4, 3), np.float32), random.uniform(-3, 3, 3).astype(np.float32))
    joints = random.normal(0, 1, (2, 15, 3)) + [0, 0, distance]
    assert np.abs(sample.to_camera(sample.to_sample(joints)) - joints).max() < 1e-5


def test_the_same_frame_gives_the_same_sample() -> None:
    noisy = person() + np.random.default_rng(0).normal(0, 0.01, (480, 640))
    first, second = (encode_person(frame(noisy), BOX, 3.0, CONFIG) for _ in range(2))
    assert np.array_equal(first.features, second.features)


def test_holes_and_the_wall_stay_out() -> None:
    depth = person()
    depth[150:200, 300:340], depth[220:240, 300:340] = 0, np.nan
    sample = encode_person(frame(depth), BOX, 3.0, CONFIG)
    assert np.isfinite(sample.features).all()
    assert sample.to_camera(sample.features)[:, 2].max() < 3.2


def test_a_second_cluster_stays_out() -> None:
    depth = person()
    depth[100:130, 260:300] = 3.6
    sample = encode_person(frame(depth), BOX, 3.0, CONFIG)
    assert sample.to_camera(sample.features)[:, 2].max() < 3.2
    everything = encode_person(frame(depth), BOX, 3.0, PointCloudConfig(cluster=0))
    assert everything.to_camera(everything.features)[:, 2].max() == pytest.approx(3.6, abs=1e-3)


def test_too_few_points_are_no_person() -> None:
    assert encode_person(frame(np.zeros((480, 640))), BOX, 3.0, CONFIG) is None
    assert encode_person(frame(person()), BOX + 5000, 3.0, CONFIG) is None
    assert encode_person(frame(person()), BOX, 1.5, CONFIG) is None


def test_a_small_person_repeats_points() -> None:
    sample = encode_person(frame(person()), np.array([300, 200, 309, 209]), 3.0, CONFIG)
    assert sample.features.shape == (2048, 3)
    assert 10 < len(np.unique(sample.features, axis=0)) <= 12 * 12


def test_paint_shines_at_its_keypoint_and_nowhere_else() -> None:
    config = PointCloudConfig(paint=3)
    paint = Paint(np.array([[320, 250], [290, 380], [np.nan, np.nan]]), np.array([0.8, 0.5, 0.0]))
    sample = encode_person(frame(person()), BOX, 3.0, config, paint)
    assert sample.features.shape == (2048, 6)
    shine, pixels = sample.features[:, 3:], project(CAMERA, sample.to_camera(sample.features[:, :3]))
    assert shine[:, 0].max() == pytest.approx(0.8, abs=0.02)
    assert np.abs(pixels[shine[:, 1].argmax()] - [290, 380]).max() < 4
    assert shine[np.linalg.norm(pixels - [320, 250], axis=1) > 40, 0].max() < 1e-3
    assert (shine[:, 2] == 0).all()


def test_paint_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="paint"):
        encode_person(frame(person()), BOX, 3.0, PointCloudConfig(paint=3))


@pytest.mark.parametrize("wrong", [{"points": 0}, {"centers": 4096}, {"margin": 0.5}, {"cell": float("nan")}])
def test_a_bad_configuration_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=f"point_cloud.{next(iter(wrong))}"):
        PointCloudConfig(**wrong)


def test_a_clip_shares_the_last_center() -> None:
    pytest.importorskip("torch")
    samples = [encode_person(frame(person(z)), BOX, z, CONFIG) for z in (3.0, 2.9, 2.8)]
    clip = stack_clip(samples)
    assert clip.features.shape == (3, 2048, 3)
    for t, sample in enumerate(samples):
        assert np.allclose(clip.to_camera(clip.features[t]), sample.to_camera(sample.features), atol=1e-5)
    assert collate([clip, clip]).shape == (2, 3, 2048, 3)
    assert collate(samples).shape == (3, 1, 2048, 3)
