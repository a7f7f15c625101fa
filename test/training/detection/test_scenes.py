"""Scenes for the person detector: labels, where they land in a window, and files."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.detection import DetectionConfig
from unipose_ros.frame import RgbdFrame
from unipose_ros.keypoints import Keypoints2D
from unipose_training.detection.scenes import (
    Scene,
    ViewTransform,
    apply_view,
    label_scene,
    read_scene_file,
    write_scenes,
)
from unipose_training.errors import DataError

CAMERA = Camera(200.0, 200.0, 159.5, 119.5, 320, 240)
#: (u, v) of the keypoints of a person 100 pixels tall, from the middle of the trunk.
SHAPE = np.array([
    [0, -28], [2, -30], [-2, -30], [4, -29], [-4, -29], [10, -16], [-10, -16], [14, 0], [-14, 0], [15, 16],
    [-15, 16], [7, 16], [-7, 16], [7, 41], [-7, 41], [7, 66], [-7, 66],
], np.float32)  # fmt: skip


def labeled(*people: tuple[float, float, float], depth: float = 3.0) -> Scene:
    """People at (u, v) with a score, before a plane; a third of the focal length is kept."""
    pixels = np.array([SHAPE + (u, v) for u, v, _ in people], np.float32)
    scores = np.array([score for *_, score in people], np.float32)
    boxes = np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)
    keypoints = Keypoints2D(pixels, np.full(pixels.shape[:2], 0.9, np.float32), scores, boxes)
    size = (CAMERA.height, CAMERA.width)
    frame = RgbdFrame(1, "optical", CAMERA, np.full(size, depth, np.float32), np.zeros((*size, 3), np.uint8))
    return label_scene(frame, keypoints, DetectionConfig(), 100.0, "clip")


def test_labels_are_in_the_pixels_of_the_smaller_image() -> None:
    scene = labeled((100.0, 120.0, 0.8))
    assert scene.depth.shape == (120, 160)
    np.testing.assert_allclose(scene.pixels[0, 5], ([110.5, 104.5] - np.array([0.5, 0.5])) / 2 - 0.25, atol=0.3)
    np.testing.assert_allclose(scene.distances, 3.0, rtol=1e-3)


def test_whoever_the_2d_network_is_unsure_of_is_neither_person_nor_scenery() -> None:
    scene = labeled((100.0, 120.0, 0.8), (200.0, 120.0, 0.15), (260.0, 120.0, 0.05))
    assert len(scene) == 1
    assert len(scene.ignore_regions) == 1
    assert scene.ignore_regions[0, 0] == pytest.approx(185 / 2, abs=0.5)


def test_people_without_depth_are_ignored_regions() -> None:
    scene = labeled((100.0, 120.0, 0.8), depth=0.0)
    assert len(scene) == 0
    assert len(scene.ignore_regions) == 1


def middle(
    zoom: float = 1.0, turn: float = 0.0, mirror: bool = False, at: tuple[float, float] = (64, 48)
) -> ViewTransform:
    """The person of ``labeled((100, 120, ...))`` lands at a place in the window."""
    return ViewTransform(zoom, turn, mirror, (49.75, 59.75), at)


def test_placed_people_stay_on_their_depth() -> None:
    """What is seen nearer is larger, so lengths across the view stay."""
    scene = labeled((100.0, 120.0, 0.8))
    plain, nearer = (apply_view(scene, middle(zoom), 1.0, (128, 96)) for zoom in (1.0, 1.25))
    np.testing.assert_allclose(plain.centers, [[64, 48]], atol=0.3)
    np.testing.assert_allclose(nearer.image[0, 48, 64], 3.0 / 1.25, rtol=1e-3)
    np.testing.assert_allclose(nearer.distances, 3.0 / 1.25, rtol=1e-3)
    widths = [(view.boxes[0, 2] - view.boxes[0, 0]) * view.distances[0] for view in (plain, nearer)]
    assert widths[0] == pytest.approx(widths[1], rel=1e-4)


def test_mirror_and_turn() -> None:
    scene = labeled((100.0, 120.0, 0.8))
    pixels, plain = scene.pixels.copy(), apply_view(scene, middle(), 1.0, (128, 96))
    mirrored = apply_view(scene, middle(mirror=True), 1.0, (128, 96))
    np.testing.assert_allclose(mirrored.boxes[0, [0, 2]], 128 - plain.boxes[0, [2, 0]], atol=0.6)
    turned = apply_view(scene, middle(turn=np.pi / 2), 1.0, (128, 96))
    assert turned.boxes[0, 2] - turned.boxes[0, 0] > turned.boxes[0, 3] - turned.boxes[0, 1]
    np.testing.assert_array_equal(scene.pixels, pixels)


def test_whoever_is_cut_by_the_window_is_in_it_as_far_as_seen() -> None:
    """As at the border of a real image: the box ends there, and the center lies within the box."""
    scene = labeled((100.0, 120.0, 0.8))
    view = apply_view(scene, middle(at=(64, 90)), 1.0, (128, 96))
    assert view.boxes[0, 3] <= 95
    assert view.boxes[0, 1] <= view.centers[0, 1] <= view.boxes[0, 3]
    gone = apply_view(scene, middle(at=(64, 105)), 1.0, (128, 96))
    assert len(gone.boxes) == 0
    assert len(gone.ignore_regions) == 1


def test_files_give_the_scenes_back(tmp_path: Path) -> None:
    path = tmp_path / "crowd" / "clip.npz"
    assert read_scene_file(path, "as now") is None
    scenes = [labeled((100.0, 120.0, 0.8)), labeled((100.0, 120.0, 0.15))]
    write_scenes(path, scenes, "as now")
    back = read_scene_file(path, "as now")
    assert back is not None
    for one, other in zip(scenes, back, strict=True):
        for field in fields(Scene):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
    assert read_scene_file(path, "otherwise") is None


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "clip.npz"
    path.write_bytes(b"PK no")
    with pytest.raises(DataError, match=r"clip\.npz: no readable scenes"):
        read_scene_file(path, "as now")
