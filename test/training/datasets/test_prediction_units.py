"""Predictions in units or axes that cannot be right are refused with the ones that would fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from unipose_ros.camera import project
from unipose_training.datasets.coco import CocoImages
from unipose_training.datasets.itop import AXES, CAMERA
from unipose_training.evaluation.command import main


@pytest.fixture
def itop(layout: Callable[[str], ModuleType], tmp_path: Path) -> np.ndarray:
    """(5, 15, 3) the valid poses of a copy of ITOP that has labels alone, in its axes; some centimeters off."""
    files = layout("itop")
    files.write(tmp_path / "itop")
    (tmp_path / "itop" / "ITOP_side_test_depth_map.h5").unlink()
    return files.joints(6)[files.VALID == 1].astype(float) + 0.03


def score(folder: Path, poses: np.ndarray, coordinates: str) -> int:
    np.save(folder / "poses.npy", poses)
    data = ["--dataset", "itop", "--root", str(folder / "itop"), "--predictions", str(folder / "poses.npy")]
    return main([*data, "--coordinates", coordinates, "--output", str(folder / "out")])


def pixels(poses: np.ndarray) -> np.ndarray:
    return np.concatenate([project(CAMERA, poses * AXES), poses[..., 2:]], axis=-1)


@pytest.mark.parametrize("coordinates", ["itop", "optical", "pixels"])
def test_what_is_right_needs_the_labels_alone(
    itop: np.ndarray, tmp_path: Path, coordinates: str, capsys: pytest.CaptureFixture[str]
) -> None:
    poses = {"itop": itop, "optical": itop * AXES, "pixels": pixels(itop)}[coordinates]
    assert score(tmp_path, poses, coordinates) == 0
    assert "5 frames with valid labels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "coordinates", "fits"),
    [
        (lambda p: 1000 * p, "itop", ("'itop' in millimeters", "multiply by 0.001")),
        (lambda p: 100 * p, "itop", ("'itop' in centimeters", "multiply by 0.01")),
        (lambda p: p * AXES, "itop", ("'optical' in meters", "--coordinates optical")),
        (lambda p: p, "optical", ("'itop' in meters", "--coordinates itop")),
        (lambda p: 1000 * p * AXES, "itop", ("'optical' in millimeters", "--coordinates optical", "0.001")),
        (pixels, "itop", ("'pixels' in meters", "--coordinates pixels")),
        (lambda p: pixels(p) * [1, 1, 1000], "pixels", ("'pixels' in millimeters", "0.001")),
        (lambda p: pixels(p) / [320, 240, 1], "pixels", ("fractions of the image", "320", "240")),
        (lambda p: p - p[:, 8:9], "itop", ("relative to the body",)),
        (lambda p: p - 1e6, "itop", ("belong to this data set",)),
    ],
)
def test_what_cannot_be_right_is_refused(
    itop: np.ndarray, tmp_path: Path, change: Callable[[np.ndarray], np.ndarray], coordinates: str,
    fits: tuple[str, ...], capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert score(tmp_path, change(itop), coordinates) == 1
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert all(text in printed.err for text in fits), printed.err
    assert not (tmp_path / "out" / "itop.md").exists()


def test_bad_predictions_are_scored(itop: np.ndarray, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert score(tmp_path, itop + [0, 0, 0.3], "itop") == 0
    assert not caplog.records
    assert score(tmp_path, itop[::-1] + [0, 2.0, 0], "itop") == 0
    assert "order of their frames" in caplog.text
    assert score(tmp_path, np.full_like(itop, np.nan), "itop") == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, size: p / size, "fractions of the image"),
        (lambda p, size: p[:, ::-1], "v before u"),
        (lambda p, size: p, ""),
        (lambda p, size: p[::-1] + 1000, ""),
    ],
)
def test_keypoints_of_coco(
    layout: Callable[[str], ModuleType], tmp_path: Path, change: Callable[[np.ndarray, np.ndarray], np.ndarray],
    message: str, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    layout("coco").write(tmp_path / "coco")
    image = CocoImages(tmp_path / "coco")[0]
    found = change(np.nan_to_num(image.people.pixels[0]), np.array([image.width, image.height]))
    row = {"category_id": 1, "keypoints": np.column_stack([found, np.ones(17)]).ravel().tolist(), "score": 0.9}
    (tmp_path / "theirs.json").write_text(json.dumps([{"image_id": image.image_id, **row}]))
    data = ["--dataset", "coco", "--root", str(tmp_path / "coco"), "--predictions", str(tmp_path / "theirs.json")]
    assert main([*data, "--output", str(tmp_path / "out")]) == bool(message)
    assert message in capsys.readouterr().err
