"""2D pseudo-labels behind CameraPose's refiner: files that samples are built from, with all but the pixels kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.frame import RgbdFrame
from unipose_ros.joint_sets import COCO17
from unipose_ros.keypoints import Keypoints2D
from unipose_training.adaptation import refining as module
from unipose_training.adaptation.command import _parser, adapt_settings
from unipose_training.adaptation.refining import refine_labels
from unipose_training.datasets.keypoint_files import KeypointLabels, LabelerId, keypoint_path, read_keypoints
from unipose_training.errors import AdaptationError

CAMERA = Camera(fx=525, fy=525, cx=319.5, cy=239.5, width=640, height=480)


class Part:
    """A clip of which only the camera counts."""

    def __init__(self, name: str) -> None:
        self.name = name

    def frames(self) -> Iterator[RgbdFrame]:
        yield RgbdFrame(1, "camera", CAMERA, np.zeros((480, 640), np.float32), None)


def labels_of(name: str, people: int) -> KeypointLabels:
    pixels = np.random.default_rng(0).uniform(100, 300, (people, 17, 2)).astype(np.float32)
    boxes = np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1) if people else np.zeros((0, 4), np.float32)
    found = Keypoints2D(pixels, np.full((people, 17), 0.5, np.float32), np.full(people, 0.8, np.float32), boxes, COCO17)
    return KeypointLabels(name, LabelerId("x", {"a": 1}), np.array([5, 6]), np.array([0, people, people]), found)


def test_pixels_are_refined_with_the_camera_and_the_rest_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Camera] = []

    def shifted(people: Keypoints2D, camera: Camera) -> Keypoints2D:
        seen.append(camera)
        return replace(people, pixels=people.pixels + np.float32(1))

    monkeypatch.setattr(module, "default_refiner", lambda: shifted)
    monkeypatch.setattr(module, "refiner_sha256", lambda: "abc")
    parts, labels = (
        [Part("a/adaptation"), Part("a/held_out")],
        [labels_of("a/adaptation", 3), labels_of("a/held_out", 0)],
    )
    assert refine_labels(parts, labels, tmp_path) == {"people": 3}  # type: ignore[arg-type]
    first, second = (read_keypoints(keypoint_path(tmp_path, part.name)) for part in parts)
    assert seen == [CAMERA]
    assert np.array_equal(first.people.pixels, labels[0].people.pixels + 1)
    assert np.array_equal(first.people.confidences, labels[0].people.confidences)
    assert np.array_equal(first.stamps_ns, labels[0].stamps_ns)
    assert first.teacher == LabelerId("x", {"a": 1, "refiner": "abc"})
    assert len(second.people) == 0


def test_without_weights_of_a_refiner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "weights_path", lambda network: None)
    assert module.refiner_sha256() == ""
    with pytest.raises(AdaptationError, match="refiner"):
        refine_labels([Part("a")], [labels_of("a", 1)], tmp_path)  # type: ignore[list-item]


def test_labels_are_refined_only_where_that_is_asked_for() -> None:
    for option, wanted in (([], False), (["--refine"], True)):
        options = _parser().parse_args(["bag", "--output", "out", *option])
        assert adapt_settings(options).refine is wanted
