"""Anyone's ITOP predictions, from a file to the table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import scipy.io

from unipose_ros.camera import project
from unipose_training.datasets.itop import AXES, CAMERA, ItopFile
from unipose_training.datasets.predictions import align_predictions, read_predictions
from unipose_training.errors import DataError
from unipose_training.evaluation.protocols.itop import score_itop


@pytest.fixture(scope="session")
def files(layout: Callable[[str], ModuleType]) -> ModuleType:
    return layout("itop")


@pytest.fixture
def itop(files: ModuleType, tmp_path: Path) -> ItopFile:
    files.write(tmp_path)
    return ItopFile.open(tmp_path, "side", "test")


@pytest.fixture
def valid(files: ModuleType) -> np.ndarray:
    """(5, 15, 3) the valid poses in ITOP's axes and the labels' order."""
    return files.joints(6)[files.VALID == 1].astype(float)


def as_pixels(poses: np.ndarray) -> np.ndarray:
    return np.concatenate([project(CAMERA, poses * AXES), poses[..., 2:]], axis=-1)


def check_exact(path: Path, itop: ItopFile, coordinates: str = "", atol: float = 1e-9) -> None:
    predicted, ground_truth = align_predictions(read_predictions(path, coordinates), itop)
    assert len(ground_truth) == 5
    np.testing.assert_allclose(predicted, ground_truth, atol=atol)


def test_text_as_a2j_writes_it(itop: ItopFile, valid: np.ndarray, tmp_path: Path) -> None:
    lines = [" ".join(str(value) for value in pose.ravel()) + " " for pose in as_pixels(valid)]
    (tmp_path / "result.txt").write_text("\n".join(lines) + "\n")
    check_exact(tmp_path / "result.txt", itop)


def test_matlab_as_a2j_publishes_it(itop: ItopFile, valid: np.ndarray, tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "result.mat", {"resultUVD": as_pixels(valid)})
    check_exact(tmp_path / "result.mat", itop)


def test_numpy(itop: ItopFile, valid: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "result.npy"
    np.save(path, valid)
    check_exact(path, itop)
    np.save(path, (valid * AXES).reshape(5, 45))
    check_exact(path, itop, "optical")


def test_all_frames_in_the_order_of_the_labels(files: ModuleType, itop: ItopFile, tmp_path: Path) -> None:
    np.save(tmp_path / "all.npy", files.joints(6).astype(float))
    check_exact(tmp_path / "all.npy", itop)


def test_json_by_name_in_any_order(files: ModuleType, itop: ItopFile, tmp_path: Path) -> None:
    poses = dict(zip(files.IDS, files.joints(6).astype(float).tolist(), strict=True))
    path = tmp_path / "result.json"
    path.write_text(json.dumps(dict(reversed(poses.items()))))
    check_exact(path, itop)
    del poses["00_00003"]  # the first valid one
    poses["00_00001"][2] = [None, None, None]  # type: ignore[call-overload]
    path.write_text(json.dumps(poses))
    predicted, _ = align_predictions(read_predictions(path), itop)
    assert np.isnan(predicted[0]).all()
    assert np.isnan(predicted[1]).any(axis=-1).tolist() == [n == 2 for n in range(15)]


def test_a_known_error(itop: ItopFile, valid: np.ndarray, tmp_path: Path) -> None:
    shifted = valid.copy()
    shifted[:, 0, 0] += 0.2  # every head is wrong
    shifted[0, 6:8, 1] -= 0.05  # two hands are 5 cm off, which counts as right
    np.save(tmp_path / "result.npy", shifted)
    score = score_itop(*align_predictions(read_predictions(tmp_path / "result.npy"), itop))
    assert score.part("head") == 0
    assert score.part("hands") == 1
    assert score.mean == pytest.approx(14 / 15)
    assert score.mean_mm == pytest.approx(1000 * (5 * 0.2 + 2 * 0.05) / 75)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.txt", "1 2 3\n", "3 numbers a line, expected 45"),
        ("a.txt", "1 2 x\n", "no poses of 15 joints"),
        ("a.json", "[[1, 2], [3, 4]]", "expected .n, 15, 3."),
        ("a.json", "{", "no poses of 15 joints"),
        ("a.npy", "no array", "no poses of 15 joints"),
        ("a.mat", "no array", "no poses of 15 joints"),
        ("a.csv", "", "predictions are read from .txt, .mat, .npy, .json"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, content: str, text: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=text) as caught:
        read_predictions(tmp_path / name)
    assert name in str(caught.value)


def test_files_that_do_not_fit_are_refused(itop: ItopFile, valid: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "short.npy", valid[:3])
    with pytest.raises(DataError, match=r"have 3 frames; .* has 5 with valid labels and 6 in all"):
        align_predictions(read_predictions(tmp_path / "short.npy"), itop)
    (tmp_path / "other.json").write_text(json.dumps({"99_00000": valid[0].tolist()}))
    with pytest.raises(DataError, match=r"name frame '99_00000', which ITOP_side_test_labels\.h5 does not have"):
        align_predictions(read_predictions(tmp_path / "other.json"), itop)
    with pytest.raises(DataError, match=r"none\.npy: not found"):
        read_predictions(tmp_path / "none.npy")
    with pytest.raises(DataError, match="coordinates = 'world'"):
        read_predictions(tmp_path / "short.npy", "world")


def test_a2js_own_predictions_have_its_published_figures(shared_data: Path) -> None:
    """Files of zhangboshen/A2J: ``itop_side_88.mat`` of ITOP_side_results.zip and the test labels in data/itop_side."""
    folder = shared_data / "a2j"
    if not folder.is_dir():
        pytest.skip(f"no {folder} with itop_side_88.mat and itop_side_keypoints3D_test.mat")
    ground_truth = scipy.io.loadmat(folder / "itop_side_keypoints3D_test.mat")["keypoints3D"].astype(float) * AXES
    score = score_itop(read_predictions(folder / "itop_side_88.mat").optical(), ground_truth)
    # Xiong et al., ICCV 2019, front view.
    published = {
        "head": 98.54, "neck": 99.20, "shoulders": 96.23, "elbows": 78.92, "hands": 68.35, "torso": 98.52,
        "hips": 90.85, "knees": 90.75, "feet": 86.91,
    }  # fmt: skip
    assert {part: round(100 * score.part(part), 2) for part in published} == pytest.approx(published, abs=0.011)
    assert (score.frames, round(score.mean_mm, 1), round(100 * score.mean, 1)) == (4863, 58.5, 88.0)
