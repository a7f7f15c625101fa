"""Windows of a batch: encoded as the codecs do, and changed together with K and the joints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from unipose_ros.camera import Camera
from unipose_ros.codecs.windows import ColorImageConfig, CropSample, DepthImageConfig, encode_color, encode_depth
from unipose_ros.frame import RgbdFrame
from unipose_ros.geometry.crop import Crop
from unipose_ros.joint_sets import ITOP15
from unipose_training.losses.projection import project
from unipose_training.samples.augment_windows import (
    NO_AUGMENTATION,
    WindowAugmentation,
    Windows,
    color_input,
    depth_input,
    disturb_color,
    disturb_depth,
    no_warp,
    old_pixels,
    sample_warp,
    to_camera,
    to_window,
    unwarp_joints,
    warp_joints,
    warp_windows,
)
from unipose_training.samples.dataset import window_camera

CAMERA = Camera(fx=361, fy=340, cx=250, cy=222, width=512, height=424)
BOX, DISTANCE = np.array([200.0, 60.0, 330.0, 390.0]), 3.1
MIRROR = torch.tensor(ITOP15.mirror)
STRONG = WindowAugmentation(turn=60, shift=0.2, zoom=0.3, scale=0.3, distance=0.1)
PEOPLE = 16


def as_windows(sample: CropSample, image: np.ndarray) -> Windows:
    """What a store keeps of a window, read back."""
    camera = np.array([[CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy]], np.float32)
    window = np.array([[sample.window.u, sample.window.v, sample.window.width, sample.window.height]], np.float32)
    intrinsics = torch.from_numpy(window_camera(camera, window, sample.window.size))
    return Windows(torch.from_numpy(image)[None], intrinsics, torch.tensor([sample.distance]))


def depth_frame() -> RgbdFrame:
    depth = np.random.default_rng(0).integers(0, 6000, (424, 512)).astype(np.float32) / 1000
    return RgbdFrame(0, "camera", CAMERA, depth=depth)


def people(size: int = 64) -> tuple[Windows, torch.Tensor]:
    """Empty windows of several cameras, and joints within them."""
    torch.manual_seed(1)
    distances = 2 + 2 * torch.rand(PEOPLE)
    focal = (size / 2.4 * distances)[:, None].expand(-1, 2)
    camera = torch.cat([focal, size * torch.randn(PEOPLE, 2)], dim=-1)
    pixels, depths = size * torch.rand(PEOPLE, 15, 2), 0.3 * torch.randn(PEOPLE, 15)
    windows = Windows(torch.zeros(PEOPLE, 1, size, size), camera, distances)
    return windows, to_camera(pixels, depths, windows)


def test_depth_is_encoded_as_the_codec_does() -> None:
    config = DepthImageConfig()
    sample = encode_depth(depth_frame(), BOX, DISTANCE, config)
    kept = sample.window.cut(depth_frame().depth, smooth=False)
    assert np.abs(depth_input(as_windows(sample, kept[None]), config)[0].numpy() - sample.image).max() < 1e-5


def test_color_is_encoded_as_the_codec_does() -> None:
    color = np.random.default_rng(0).integers(0, 256, (424, 512, 3), np.uint8)
    sample = encode_color(RgbdFrame(0, "camera", CAMERA, color=color), BOX, DISTANCE, ColorImageConfig(size=96))
    kept = sample.window.cut(color, smooth=True).transpose(2, 0, 1).astype(np.float32)
    assert np.array_equal(color_input(as_windows(sample, kept))[0].numpy(), sample.image)


def test_joints_in_a_window_are_where_the_codec_has_them() -> None:
    sample = encode_depth(depth_frame(), BOX, DISTANCE, DepthImageConfig())
    joints = np.random.default_rng(0).normal(0, 0.4, (15, 3)) + [0, 0, 3]
    windows = as_windows(sample, sample.image)
    pixels, depths = to_window(torch.tensor(joints, dtype=torch.float32)[None], windows)
    expected = sample.to_sample(joints)
    assert np.abs(pixels[0].numpy() - expected[0]).max() < 1e-3
    assert np.abs(depths[0].numpy() - expected[1]).max() < 1e-6
    assert np.abs(to_camera(pixels, depths, windows)[0].numpy() - joints).max() < 1e-5


def test_no_warp_changes_no_value() -> None:
    windows, joints = people()
    windows = windows._replace(image=torch.rand(PEOPLE, 1, 64, 64) + 1)
    for smooth in (True, False):
        same = warp_windows(windows, no_warp(windows), smooth)
        assert (same.image - windows.image).abs().max() < (1e-3 if smooth else 1e-9)
    warp = sample_warp(windows, NO_AUGMENTATION, by_distance=True)
    assert torch.equal(warp_joints(joints, warp, MIRROR), joints)
    assert torch.allclose(warp.camera, windows.camera, rtol=1e-4)


@pytest.mark.parametrize("by_distance", [True, False])
def test_joints_stay_on_the_pixels_that_show_them(by_distance: bool) -> None:
    windows, joints = people()
    warp = sample_warp(windows, STRONG, by_distance)
    unmirrored = warp_joints(joints, warp, torch.arange(15))
    now = project(unmirrored, warp.camera)
    for person in range(PEOPLE):
        one = type(warp)(*(value[person : person + 1] for value in warp))
        before = old_pixels(now[person], windows.camera[person : person + 1], one)[0]
        assert (before - project(joints[person], windows.camera[person])).abs().max() < 0.02


def test_a_warp_can_be_undone() -> None:
    windows, joints = people()
    warp = sample_warp(windows, STRONG, by_distance=True)
    assert (unwarp_joints(warp_joints(joints, warp, MIRROR), warp, MIRROR) - joints).abs().max() < 1e-5


def test_mirroring_exchanges_left_and_right() -> None:
    windows, joints = people()
    warp = sample_warp(windows, replace(NO_AUGMENTATION, mirror=1.0), by_distance=True)
    moved = warp_joints(joints, warp, MIRROR)
    left, right = ITOP15.index("left_hand"), ITOP15.index("right_hand")
    assert torch.allclose(moved[:, left], joints[:, right] * torch.tensor([-1.0, 1, 1]))
    pixels = project(moved, warp.camera)[:, left]
    assert torch.allclose(pixels[:, 0], 63 - project(joints, windows.camera)[:, right, 0], atol=0.02)


@pytest.mark.parametrize("smooth", [True, False])
def test_the_image_goes_with_the_joint(smooth: bool) -> None:
    """A bright spot at a joint's pixel is at the joint's pixel afterwards."""
    windows, _ = people(size=128)
    spots = 44 + 40 * torch.rand(PEOPLE, 2)
    ticks = torch.arange(128.0)
    apart = (ticks[None, :] - spots[:, :1])[:, None, :] ** 2 + (ticks[None, :] - spots[:, 1:])[:, :, None] ** 2
    shining = windows._replace(image=torch.exp(-apart / 18)[:, None])
    joint = to_camera(spots[:, None], torch.zeros(PEOPLE, 1), shining)
    settings = WindowAugmentation(turn=45, shift=0.05, zoom=0.1, scale=0.1, distance=0.05)
    warp = sample_warp(shining, settings, by_distance=True)
    moved = warp_windows(shining, warp, smooth).image[:, 0]
    mass = moved / moved.sum((1, 2), keepdim=True)
    middle = torch.stack([(mass.sum(1) * ticks).sum(1), (mass.sum(2) * ticks).sum(1)], dim=-1)
    expected = project(warp_joints(joint, warp, torch.zeros(1, dtype=torch.long)), warp.camera)[:, 0]
    assert (middle - expected).abs().max() < (0.05 if smooth else 0.5)


def test_a_larger_person_is_farther_and_deeper() -> None:
    windows, joints = people()
    windows = windows._replace(image=torch.full((PEOPLE, 1, 64, 64), 2.0))
    warp = sample_warp(windows, replace(NO_AUGMENTATION, scale=0.3), by_distance=True)
    moved = warp_windows(windows, warp, smooth=False)
    zoom = warp.zoom[:, None]
    assert torch.allclose(moved.image[:, 0, 32, 32], 2 * warp.zoom)
    assert torch.allclose(moved.distances, windows.distances * warp.zoom)
    # The window shows 2.4 m as before.
    assert torch.allclose(64 / moved.camera[:, 0] * moved.distances, torch.tensor(2.4))
    bones = [(joints[:, 3] - joints[:, 5]).norm(dim=-1)]
    bones.append((warp_joints(joints, warp, MIRROR)[:, 3] - warp_joints(joints, warp, MIRROR)[:, 5]).norm(dim=-1))
    assert torch.allclose(bones[1], bones[0] * zoom[:, 0], rtol=1e-4)


def test_color_tells_neither_size_nor_distance_so_they_stay() -> None:
    windows, _ = people()
    warp = sample_warp(windows, STRONG, by_distance=False)
    assert torch.equal(warp.zoom, torch.ones(PEOPLE))
    assert torch.equal(warp.distances, windows.distances)


def test_disturbed_depth_is_depth() -> None:
    torch.manual_seed(0)
    windows, _ = people()
    wall = windows._replace(image=torch.full((PEOPLE, 1, 64, 64), 2.5))
    noisy = disturb_depth(wall, replace(NO_AUGMENTATION, noise=1.0)).image
    assert 0.0005 < (noisy - 2.5).std() < 0.02
    missing = (disturb_depth(wall, replace(NO_AUGMENTATION, holes=0.5)).image == 0).flatten(1).float().mean(1)
    assert missing.max() < 0.55
    assert 0.1 < missing.mean() < 0.4
    erased = disturb_depth(wall, replace(NO_AUGMENTATION, erase=1.0)).image
    assert (erased <= 0.9 * windows.distances.max()).flatten(1).any(1).all()
    assert (erased >= 0).all()
    empty = windows._replace(image=torch.zeros(PEOPLE, 1, 64, 64))
    assert disturb_depth(empty, replace(NO_AUGMENTATION, noise=1.0, holes=0.5)).image.abs().max() == 0


def test_disturbed_colors_are_colors() -> None:
    torch.manual_seed(0)
    windows, _ = people()
    image = windows._replace(image=255 * torch.rand(PEOPLE, 3, 64, 64))
    disturbed = disturb_color(image, WindowAugmentation(noise=2.0, light=0.8)).image
    assert disturbed.min() >= 0
    assert disturbed.max() <= 255
    gray = disturb_color(image, replace(NO_AUGMENTATION, gray=1.0)).image
    assert (gray[:, 0] - gray[:, 2]).abs().max() == 0


def test_nothing_is_disturbed_unless_asked_for() -> None:
    windows, _ = people()
    depth = windows._replace(image=3 * torch.rand(PEOPLE, 1, 64, 64))
    color = windows._replace(image=255 * torch.rand(PEOPLE, 3, 64, 64))
    assert torch.equal(disturb_depth(depth, NO_AUGMENTATION).image, depth.image)
    assert (disturb_color(color, NO_AUGMENTATION).image - color.image).abs().max() < 1e-4


@pytest.mark.parametrize("wrong", [{"mirror": 1.5}, {"turn": -1.0}, {"noise": float("nan")}, {"shift": 2.0}])
def test_an_impossible_change_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        WindowAugmentation(**wrong)


def test_windows_of_other_sizes_are_the_same_camera() -> None:
    window = Crop(u=250, v=220, width=200, height=190, size=96)
    at = np.array([[210.0, 180.0]])
    camera = np.array([CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy], np.float32)
    intrinsics = window_camera(camera, np.array([250, 220, 200, 190], np.float32), 96)
    ray = (at - camera[2:]) / camera[:2]
    assert ray * intrinsics[:2] + intrinsics[2:] == pytest.approx(window.to_window(at), abs=1e-3)
