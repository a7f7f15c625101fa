"""Human3.6M in VideoPose3D's files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from unipose_ros.camera import project
from unipose_training.datasets.human36m import open_human36m
from unipose_training.errors import DataError


@pytest.fixture(scope="session")
def files(layout: Callable[[str], ModuleType]) -> ModuleType:
    return layout("human36m")


@pytest.fixture(scope="session")
def root(files: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("h36m")
    files.write(folder)
    return folder


def test_the_test_split(root: Path) -> None:
    sequences = list(open_human36m(root))
    names = [sequence.name for sequence in sequences]
    assert len(names) == 12  # two actions of S9, one of S11, four cameras
    assert "S9/Directions/54138969" in names
    assert not any(name.startswith("S11/Directions") for name in names)
    assert {sequence.subset for sequence in sequences} == {"Directions", "Walking"}
    assert all(len(sequence) == 40 for sequence in sequences)  # what runs on after the capture is cut


def test_the_train_split(root: Path) -> None:
    assert {s.name.split("/")[0] for s in open_human36m(root, "train")} == {"S1", "S5", "S6", "S7", "S8"}


def test_cameras_are_found(files: ModuleType, root: Path) -> None:
    for number, sequence in enumerate(list(open_human36m(root))[:4]):
        assert sequence.camera is not None
        np.testing.assert_allclose(sequence.camera.K, files.K[number], atol=0.05)
        assert np.abs(project(sequence.camera, sequence.positions) - sequence.pixels).max() < 1e-3
        turn, shift = files.world(number)
        kept = files.positions("S9", "Directions")[:, files.KEPT]
        np.testing.assert_allclose(sequence.positions, kept @ turn.T + shift, atol=3e-4)
        assert (sequence.camera.width, sequence.camera.height) == files.SIZES[number]


def test_other_keypoints_with_the_same_cameras(root: Path) -> None:
    exact, other = next(open_human36m(root)), next(open_human36m(root, keypoints="hr"))
    np.testing.assert_allclose(other.pixels, exact.pixels + 2)
    assert other.camera == exact.camera


def _rewrite(root: Path, tmp_path: Path, change: Callable[[dict[str, dict[str, np.ndarray]]], object]) -> Path:
    for name in ("data_3d_h36m.npz", "data_2d_h36m_gt.npz"):
        (tmp_path / name).write_bytes((root / name).read_bytes())
    with np.load(tmp_path / "data_3d_h36m.npz", allow_pickle=True) as stored:
        table = stored["positions_3d"].item()
    change(table)
    np.savez_compressed(tmp_path / "data_3d_h36m.npz", positions_3d=np.array(table, object))
    return tmp_path


def test_files_that_do_not_belong_together_are_refused(files: ModuleType, root: Path, tmp_path: Path) -> None:
    def shuffle(table: dict[str, dict[str, np.ndarray]]) -> None:
        table["S9"]["Directions"] = table["S9"]["Directions"][::-1]

    with pytest.raises(DataError, match=r"S9, camera 54138969: the best camera is \d+\.\d px off"):
        list(open_human36m(_rewrite(root, tmp_path, shuffle)))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda t: t.pop("S9"), "data_3d_h36m.npz: 'S9' is missing, there are"),
        (lambda t: t["S9"].update({"Directions": np.zeros((40, 17, 3))}), r"S9/Directions is \[40, 17, 3\]"),
        (lambda t: t["S9"].update({"Directions": np.zeros((99, 32, 3))}), r"is \[43, 17, 2\], expected \[99, 17, 2\]"),
    ],
)
def test_other_versions_are_named(
    root: Path, tmp_path: Path, change: Callable[[dict[str, dict[str, np.ndarray]]], object], text: str
) -> None:
    with pytest.raises(DataError, match=text):
        list(open_human36m(_rewrite(root, tmp_path, change)))


def test_missing_files_and_splits_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data_3d_h36m\.npz: not found"):
        list(open_human36m(tmp_path))
    with pytest.raises(DataError, match=r"data_2d_h36m_cpn\.npz: not found"):
        list(open_human36m(root, keypoints="cpn"))
    with pytest.raises(DataError, match="split = 'val'"):
        list(open_human36m(root, "val"))
