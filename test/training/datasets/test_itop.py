"""ITOP's files into clips."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest

from unipose_ros.camera import project, unproject
from unipose_ros.frame import JointStatus
from unipose_training.datasets.itop import CAMERA, ItopClip, open_itop
from unipose_training.errors import DataError


@pytest.fixture(scope="session")
def files(layout: Callable[[str], ModuleType]) -> ModuleType:
    return layout("itop")


@pytest.fixture
def root(files: ModuleType, tmp_path: Path) -> Path:
    files.write(tmp_path)
    return tmp_path


def by_id(clips: list[ItopClip]) -> dict[str, tuple[ItopClip, int]]:
    return {clip.id_at(n): (clip, n) for clip in clips for n in range(len(clip))}


def test_clips_are_runs_of_one_person(root: Path) -> None:
    clips = open_itop(root)
    found = [[clip.id_at(n) for n in range(len(clip))] for clip in clips]
    assert found == [["00_00001", "00_00002", "00_00003"], ["00_00005"], ["01_00000"], ["04_00000"]]
    assert clips[0].subset == "side/test"


def test_stamps_follow_the_frame_numbers(root: Path) -> None:
    first, second = open_itop(root)[:2]
    stamps = [frame.stamp_ns for frame in first.frames()] + [frame.stamp_ns for frame in second.frames()]
    assert np.diff(stamps).tolist() == [100_000_000, 100_000_000, 200_000_000]


def test_depth_is_matched_by_id(files: ModuleType, root: Path) -> None:
    for name, (clip, n) in by_id(open_itop(root)).items():
        expected = files.depths(6)[files.IDS.index(name)]
        depth = clip.frame_at(n).depth
        assert depth is not None
        assert depth.dtype == np.float32
        np.testing.assert_array_equal(depth, expected.astype(np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_what_is_no_reading_becomes_0(root: Path, value: float) -> None:
    with h5py.File(root / "ITOP_side_test_depth_map.h5", "a") as file:
        file["data"][:, 7, 9] = value
    depth = open_itop(root)[0].frame_at(0).depth
    assert depth is not None
    assert depth[7, 9] == 0
    assert depth[7, 10] == 4


def test_ground_truth_is_turned_to_the_optical_frame(files: ModuleType, root: Path) -> None:
    clip, n = by_id(open_itop(root))["00_00005"]
    ground_truth, labels = clip.ground_truth_at(n), clip.labels_at(n)
    stored = files.joints(6)[files.IDS.index("00_00005")].astype(np.float32)
    assert ground_truth is not None
    assert labels is not None
    np.testing.assert_array_equal(ground_truth.positions[0], stored * [1, -1, 1])
    # The labels' pixels are the projections, cut to whole numbers.
    assert np.abs(project(CAMERA, ground_truth.positions[0]) - labels.pixels[0]).max() < 1
    assert ground_truth.status[0].tolist() == [JointStatus.INFERRED, JointStatus.MEASURED] * 7 + [JointStatus.INFERRED]
    assert ground_truth.ids == ("00",)


def test_frames_that_are_not_valid_have_no_ground_truth(root: Path) -> None:
    clip = open_itop(root)[0]
    assert clip.ground_truth_at(1) is None
    assert clip.labels_at(1) is None
    assert [t.stamp_ns for t in clip.ground_truth()] == [f.stamp_ns for n, f in enumerate(clip.frames()) if n != 1]


def test_point_clouds_stand_in_for_depth_maps(files: ModuleType, root: Path, tmp_path: Path) -> None:
    files.write(tmp_path / "cloud", cloud=True)
    one, other = open_itop(root)[0].frame_at(0), open_itop(tmp_path / "cloud")[0].frame_at(0)
    np.testing.assert_array_equal(one.depth, other.depth)


def test_the_camera_is_that_of_the_clouds(files: ModuleType, tmp_path: Path) -> None:
    files.write(tmp_path, cloud=True)
    with h5py.File(tmp_path / "ITOP_side_test_point_cloud.h5") as file:
        cloud = file["data"][0].astype(float).reshape(240, 320, 3)[100, 150]
    np.testing.assert_allclose(unproject(CAMERA, [150, 100], cloud[2]), cloud * [1, -1, 1], atol=1e-3)


def test_labels_without_depth_are_reported(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with h5py.File(root / "ITOP_side_test_depth_map.h5", "a") as file:
        file["id"][0] = b"09_00000"  # was 04_00000
    assert "04_00000" not in by_id(open_itop(root))
    assert "1 labeled frames have no depth" in caplog.text


def test_validation_persons(files: ModuleType, tmp_path: Path) -> None:
    files.write(tmp_path, split="train")
    assert [clip.id_at(0) for clip in open_itop(tmp_path, split="val")] == ["04_00000"]


def _sum_of(clip: ItopClip) -> float:
    depth = clip.frame_at(0).depth
    assert depth is not None
    return float(depth.sum())


def test_clips_travel_to_other_processes(root: Path) -> None:
    clips = open_itop(root)
    here = [_sum_of(clip) for clip in clips]  # the file is open in this process when the workers fork
    assert [_sum_of(pickle.loads(pickle.dumps(clip))) for clip in clips] == here
    with get_context("fork").Pool(2) as pool:
        assert pool.map(_sum_of, clips) == here


def test_packed_files_are_named(root: Path) -> None:
    path = root / "ITOP_side_test_depth_map.h5"
    path.rename(path.with_name(path.name + ".gz"))
    with pytest.raises(DataError, match=r"ITOP_side_test_depth_map\.h5: not found; unpack it: gunzip"):
        open_itop(root)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ITOP_top_train_labels\.h5: not found"):
        open_itop(tmp_path, "top", "train")


def test_truncated_files_are_named(root: Path) -> None:
    path = root / "ITOP_side_test_labels.h5"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"ITOP_side_test_labels\.h5: no readable HDF5 file .* download it again"):
        open_itop(root)


@pytest.mark.parametrize("key", ["id", "is_valid"])
def test_missing_keys_are_named(root: Path, key: str) -> None:
    with h5py.File(root / "ITOP_side_test_labels.h5", "a") as file:
        del file[key]
    with pytest.raises(DataError, match=f"labels.h5: key '{key}' is missing"):
        open_itop(root)


def test_another_version_is_refused(root: Path) -> None:
    with h5py.File(root / "ITOP_side_test_labels.h5", "a") as file:
        del file["real_world_coordinates"]
        file["real_world_coordinates"] = np.zeros((6, 14, 3), np.float16)
    with pytest.raises(DataError, match=r"'real_world_coordinates' is float16\[6, 14, 3\], expected \['n', 15, 3\]"):
        open_itop(root)[0].ground_truth_at(0)


@pytest.mark.parametrize(("ids", "text"), [("x_1", "expected PP_FFFFF"), ("00_00001", "twice")])
def test_bad_ids_are_refused(root: Path, ids: str, text: str) -> None:
    with h5py.File(root / "ITOP_side_test_labels.h5", "a") as file:
        del file["id"]
        file["id"] = np.array([ids] * 6, "S8")
    with pytest.raises(DataError, match=text):
        open_itop(root)


@pytest.mark.parametrize("choice", [{"view": "front"}, {"split": "dev"}])
def test_unknown_choices_are_refused(root: Path, choice: dict[str, str]) -> None:
    with pytest.raises(DataError, match="ITOP has"):
        open_itop(root, **choice)
