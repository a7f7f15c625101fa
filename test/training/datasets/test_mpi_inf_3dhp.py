"""MPI-INF-3DHP's files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
import scipy.io

from unipose_ros.camera import project
from unipose_training.datasets.mpi_inf_3dhp import open_test, open_train
from unipose_training.errors import DataError


@pytest.fixture(scope="session")
def files(layout: Callable[[str], ModuleType]) -> ModuleType:
    return layout("mpi_inf_3dhp")


@pytest.fixture
def labels(files: ModuleType, tmp_path: Path) -> Path:
    path = files.write_test(tmp_path, 1)
    assert isinstance(path, Path)
    return path


@pytest.fixture(scope="module")
def train(files: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    files.write_train(folder)
    return folder


def test_test_clips(files: ModuleType, labels: Path, tmp_path: Path) -> None:
    files.write_test(tmp_path, 5, row=True)
    clips = open_test(tmp_path)
    assert [(clip.name, len(clip)) for clip in clips] == [("TS1", 12), ("TS5", 12)]
    for clip, number in zip(clips, (1, 5), strict=True):
        assert [clip.ground_truth_at(n) is not None for n in range(12)] == files.VALID.tolist()
        ground_truth, flat = clip.ground_truth_at(1), clip.labels_at(1)
        assert ground_truth is not None
        assert flat is not None
        np.testing.assert_allclose(ground_truth.positions[0], files.positions(number, 17)[1] / 1000, atol=1e-6)
        camera = clip.camera
        np.testing.assert_allclose([camera.fx, camera.fy, camera.cx, camera.cy], files.K[number], atol=1e-3)
        np.testing.assert_allclose(project(camera, ground_truth.positions[0]), flat.pixels[0], atol=0.01)


def test_images_count_from_one(labels: Path, tmp_path: Path) -> None:
    (clip,) = open_test(tmp_path)
    for n in (0, 1):
        color = clip.frame_at(n).color
        assert color is not None
        assert np.abs(color[::256, ::256].astype(int) - 40 * (n + 1)).max() <= 2
    with pytest.raises(DataError, match=r"img_000003\.jpg: no readable color image"):
        clip.frame_at(2)


def test_the_universal_skeleton(labels: Path, tmp_path: Path) -> None:
    (metric,), (universal,) = open_test(tmp_path), open_test(tmp_path, universal=True)
    one, other = metric.ground_truth_at(0), universal.ground_truth_at(0)
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(other.positions, one.positions * 1.1, rtol=1e-6)
    assert metric.camera == universal.camera  # the pixels belong to the metric one


def test_without_enough_labels_the_lens_is_taken(labels: Path, tmp_path: Path) -> None:
    with h5py.File(labels, "a") as file:
        file["valid_frame"][...] = 0
    (clip,) = open_test(tmp_path)
    assert clip.camera.fx == pytest.approx(0.732 * 2048)
    assert list(clip.ground_truth()) == []


def test_train_sequences(files: ModuleType, train: Path) -> None:
    sequences = list(open_train(train))
    assert [sequence.name for sequence in sequences[:2]] == ["S1/Seq1/0", "S1/Seq1/1"]
    assert len(sequences) == 14
    third = sequences[3]
    assert (len(third), third.rate_hz) == (6416, 25.0)  # what runs on after the video is cut
    np.testing.assert_allclose(
        third.positions, files.positions(103, 28, 6420)[:6416, files.KEPT] / 1000, rtol=1e-6, atol=1e-6
    )
    assert third.camera is not None
    assert (third.camera.fy, third.camera.cy) == (files.TRAIN_K[1], files.TRAIN_K[3])
    np.testing.assert_allclose(project(third.camera, third.positions), third.pixels, atol=0.01)
    taller = next(open_train(train, universal=True))
    np.testing.assert_allclose(taller.positions, sequences[0].positions * 1.1, rtol=1e-5)


def _replace(key: str, value: np.ndarray | None) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[key]
        if value is not None:
            file[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (_replace("annot2", np.zeros((12, 1, 28, 2))), r"key 'annot2' is float64\[12, 1, 28, 2\], expected"),
        (_replace("annot2", np.zeros((11, 1, 17, 2))), r"keys .* differ in length"),
        (_replace("valid_frame", None), "key 'valid_frame' is missing"),
    ],
)
def test_other_versions_of_the_test_labels_are_named(
    labels: Path, tmp_path: Path, change: Callable[[h5py.File], None], text: str
) -> None:
    with h5py.File(labels, "a") as file:
        change(file)
    with pytest.raises(DataError, match=r"annot_data\.mat: " + text):
        open_test(tmp_path)


def test_truncated_test_labels_are_named(labels: Path, tmp_path: Path) -> None:
    labels.write_bytes(labels.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"annot_data\.mat: no readable HDF5 file"):
        open_test(tmp_path)


def test_unknown_sequences_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mpi_inf_3dhp_test_set" / "TS9").mkdir(parents=True)
    with pytest.raises(DataError, match="TS1 to TS6"):
        open_test(tmp_path)
    with pytest.raises(DataError, match="no TS1 to TS6"):
        open_test(tmp_path / "other")
    with pytest.raises(DataError, match="no S1/Seq1"):
        list(open_train(tmp_path))


def test_damaged_train_labels_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "S2" / "Seq2"
    folder.mkdir(parents=True)
    (folder / "annot.mat").write_bytes(b"no matlab")
    with pytest.raises(DataError, match=r"annot\.mat: no readable MATLAB 5 file"):
        list(open_train(tmp_path))
    scipy.io.savemat(folder / "annot.mat", {"annot2": np.zeros(3)})
    with pytest.raises(DataError, match=r"camera\.calibration: no readable camera calibration"):
        list(open_train(tmp_path))
    (folder / "camera.calibration").write_text("Skeletool Camera Calibration File V1.0\n")
    with pytest.raises(DataError, match=r"annot\.mat: key 'annot3' is missing, there are \['annot2'\]"):
        list(open_train(tmp_path))
    cells = np.empty((14, 1), object)
    for n in range(14):
        cells[n, 0] = np.zeros((2, 51))
    scipy.io.savemat(folder / "annot.mat", {"annot2": cells, "annot3": cells})
    with pytest.raises(DataError, match=r"expected 14 of \[n, 84\]"):
        list(open_train(tmp_path))
