"""Predictions in units or axes that cannot be right are refused with the ones that would fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
from standing_body import STANDING

from unipose_ros.camera import project
from unipose_ros.joint_sets import COCO17, ITOP15
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
        (lambda p: p / 0.3048, "itop", ("'itop' in feet", "multiply by 0.3048")),
        (lambda p: p / 0.0254 * AXES, "optical", ("'optical' in inches", "multiply by 0.0254")),
        (lambda p: 10 * p, "itop", ("'itop' in decimeters", "multiply by 0.1")),
        (lambda p: pixels(p) / [1, 1, 0.3048], "pixels", ("'pixels' in feet", "multiply by 0.3048")),
        (lambda p: p * [-1, 1, 1], "itop", ("(-x, y, z) of what is stored", "store (-x, y, z)")),
        (lambda p: p * [1, 1, -1], "itop", ("store (x, y, -z)",)),
        (lambda p: p[..., [1, 0, 2]], "itop", ("store (y, x, z)",)),
        (lambda p: p[..., [2, 0, 1]], "optical", ("store (y, -z, x)",)),
        (lambda p: p[..., [0, 2, 1]] / 0.3048, "itop", ("store (x, z, y)", "multiply by 0.3048")),
        (lambda p: [319, 0, 0] + pixels(p) * [-1, 1, 1], "pixels", ("store (319-u, v, z)",)),
        (lambda p: [0, 239, 0] + pixels(p) * [1, -1, 1], "pixels", ("store (u, 239-v, z)",)),
        (lambda p: pixels(p)[..., [1, 0, 2]], "pixels", ("store (v, u, z)",)),
        (lambda p: p[:, list(ITOP15.mirror)], "itop", ("left and right exchanged",)),
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


@pytest.mark.parametrize("noise", [0.02, 0.1])
@pytest.mark.parametrize(
    ("change", "fits"),
    [(lambda p: p * [-1, 1, 1], "store (-x, y, z)"), (lambda p: p[:, list(ITOP15.mirror)], "left and right exchanged")],
)
def test_people_who_face_the_camera_are_not_mirrored_in_silence(
    noise: float, change: Callable[[np.ndarray], np.ndarray], fits: str, layout: Callable[[str], ModuleType],
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Their median error is that of a poor method: most joints are near the middle."""
    files = layout("itop")
    files.write(tmp_path / "itop")
    rng = np.random.default_rng(0)
    body = np.array([STANDING[joint] for joint in ITOP15.joints]) * AXES
    truth = body + [0.1, 0, 2.5] + rng.normal(0, 0.02, (6, 15, 3))
    with h5py.File(tmp_path / "itop" / "ITOP_side_test_labels.h5", "r+") as file:
        file["real_world_coordinates"][...] = truth
    found = truth + rng.normal(0, noise / np.sqrt(3), truth.shape)
    assert score(tmp_path, change(found), "itop") == 1
    assert fits in capsys.readouterr().err
    assert score(tmp_path, found, "itop") == 0


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
        (lambda p, size: size * [1, 0] - [1, 0] + p * [-1, 1], "mirrored; use width - 1 - u"),
        (lambda p, size: size * [0, 1] - [0, 1] + p * [1, -1], "upside down; use height - 1 - v"),
        (lambda p, size: p / size * 256, "stretched to 256x256"),
        (lambda p, size: p / size * 100, "stretched to 100x100"),
        (lambda p, size: p / size.max() * 640, "a longer side of 640"),
        (lambda p, size: p[list(COCO17.mirror)], "left and right exchanged"),
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
