"""The Panoptic Studio's files into clips."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from unipose_ros.frame import JointStatus
from unipose_training.datasets.panoptic import KinectTimes, match_times, open_panoptic
from unipose_training.errors import DataError


@pytest.fixture(scope="session")
def files(layout: Callable[[str], ModuleType]) -> ModuleType:
    return layout("panoptic")


@pytest.fixture
def sequence(files: ModuleType, tmp_path: Path) -> Path:
    folder = files.write(tmp_path, color=True)
    assert isinstance(folder, Path)
    return folder


def test_one_clip_a_kinect(sequence: Path) -> None:
    (clip,) = open_panoptic(sequence.parent)
    assert (clip.name, clip.subset, len(clip)) == ("170101_tiny/50_01", "170101_tiny", 3)
    assert clip.losses() == {}


def test_sequences_are_split_as_published(files: ModuleType, tmp_path: Path) -> None:
    folder = files.write(tmp_path)
    assert [clip.subset for clip in open_panoptic(tmp_path, "train")] == [files.SEQUENCE]
    with pytest.raises(DataError, match=r"no folder test/hdPose3d_stage1_coco19"):
        open_panoptic(tmp_path, "test")
    for path in folder.glob("*.json"):
        path.rename(folder / path.name.replace(files.SEQUENCE, "160906_pizza1"))
    folder.rename(tmp_path / "160906_pizza1")
    assert [clip.subset for clip in open_panoptic(tmp_path, "test")] == ["160906_pizza1"]


def test_depth_is_flipped(files: ModuleType, sequence: Path) -> None:
    (clip,) = open_panoptic(sequence.parent)
    for n, frame in enumerate(clip.frames()):
        np.testing.assert_allclose(frame.depth, files.depth(n) / 1000, rtol=1e-6)


def test_joints_come_through_the_whole_chain(files: ModuleType, sequence: Path) -> None:
    (clip,) = open_panoptic(sequence.parent)
    for n, ground_truth in enumerate(clip.ground_truth()):
        expected = files.joints_in_depth(n)
        expected[:, [7, 8]] = np.nan
        np.testing.assert_allclose(ground_truth.positions, expected, atol=1e-5)
        assert ground_truth.ids == ("3", "4")


def test_stamps_are_those_of_the_labels(sequence: Path) -> None:
    (clip,) = open_panoptic(sequence.parent)
    stamps = [ground_truth.stamp_ns for ground_truth in clip.ground_truth()]
    assert stamps == [frame.stamp_ns for frame in clip.frames()]
    np.testing.assert_allclose(np.diff(stamps) / 1e6, [33.37, 33.36], atol=1e-4)


def test_hidden_joints_are_inferred(files: ModuleType, sequence: Path) -> None:
    (clip,) = open_panoptic(sequence.parent)
    # A wall at 1 m before the first person's half of the image.
    store = sequence / "kinect_shared_depth" / "KINECTNODE1" / "depthdata.dat"
    wall = np.stack([files.depth(n) for n in range(3)])
    wall[:, :, :256] = 1000
    ground_truth = clip.ground_truth_at(0)
    seen = ground_truth.status != JointStatus.MISSING
    assert (ground_truth.status[seen] == JointStatus.MEASURED).all()
    store.write_bytes(wall[:, :, ::-1].astype("<u2").tobytes())
    behind = clip.ground_truth_at(0)
    assert (behind.status[0][seen[0]] == JointStatus.INFERRED).all()
    assert (behind.status[1][seen[1]] == JointStatus.MEASURED).all()


def test_color_is_registered_to_depth(sequence: Path) -> None:
    (clip,) = open_panoptic(sequence.parent, color=True)
    color = clip.frame_at(1).color
    assert color is not None
    assert color.shape == (424, 512, 3)
    assert (color[150:270, 40:180, 0] < 20).all()
    assert np.abs(color[150:270, 330:480, 0].astype(int) - 160).max() < 20  # the second image, red
    assert (color[0, 0] == 0).all()  # no depth, no place in the color image


def test_color_comes_out_of_the_video(files: ModuleType, tmp_path: Path) -> None:
    folder = files.write(tmp_path)
    path = files.write_video(folder)
    (clip,) = open_panoptic(tmp_path, color=None)
    for n in (2, 0, 1):
        color = clip.frame_at(n).color
        assert color is not None
        assert (color[150:270, 40:180] < 30).all()
        assert np.abs(color[150:270, 330:480, 0].astype(int) - 80 * (n + 1)).max() < 25
    path.write_bytes(b"no video")
    with pytest.raises(DataError, match=r"kinect_50_01\.mp4: no readable video; download it again"):
        clip.frame_at(0)


@pytest.mark.parametrize("sense", ["toolbox", "local_to_color"])
def test_the_reading_of_m_color_is_found(files: ModuleType, tmp_path: Path, sense: str) -> None:
    m_color = files.rigid(files.rotation(1, 2.0), (0.06, 0.0, 0.20))
    files.write(tmp_path, m_color, sense)
    (clip,) = open_panoptic(tmp_path)
    assert clip.convention == sense
    expected = files.joints_in_depth(0)
    expected[:, [7, 8]] = np.nan
    np.testing.assert_allclose(clip.ground_truth_at(0).positions, expected, atol=1e-5)
    with pytest.raises(DataError, match="m_color_convention = 'other'"):
        open_panoptic(tmp_path, convention="other")[0].ground_truth_at(0)


def test_times_that_do_not_suit_are_lost_and_counted() -> None:
    labels = [(Path(str(n)), 100.0 * n) for n in range(1, 5)]
    times = KinectTimes(depth=np.array([100.0, 217.5, 310.0, 400.0]), color=np.array([106.25, 206.25, 303.4, 436.3]))
    kept, lost = match_times(labels, times, color=True)
    assert [(m.depth, m.color) for m in kept] == [(0, 0)]
    assert list(lost.values()) == [1, 1, 1]
    kept, lost = match_times(labels, times, color=False)
    assert [m.depth for m in kept] == [0, 2, 3]
    assert lost == {"labels without depth within 17.0 ms": 1}


def test_short_depth_is_refused(sequence: Path) -> None:
    path = sequence / "kinect_shared_depth" / "KINECTNODE1" / "depthdata.dat"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"depthdata\.dat: holds 2 frames, the labels need 3; download it again"):
        open_panoptic(sequence.parent)


@pytest.mark.parametrize("name", ["kcalibration_170101_tiny", "calibration_170101_tiny", "ksynctables_170101_tiny"])
def test_missing_and_damaged_files_are_named(sequence: Path, name: str) -> None:
    path = sequence / f"{name}.json"
    whole = path.read_text()
    path.write_text(whole[:-20])
    with pytest.raises(DataError, match=f"{name}.json: no readable JSON"):
        open_panoptic(sequence.parent)
    path.unlink()
    with pytest.raises(DataError, match=f"{name}.json: not found"):
        open_panoptic(sequence.parent)


def test_labels_of_another_version_are_named(sequence: Path) -> None:
    path = sequence / "hdPose3d_stage1_coco19" / "body3DScene_00000101.json"
    path.write_text(path.read_text().replace("joints19", "joints15"))
    with pytest.raises(DataError, match=r"body3DScene_00000101\.json: key 'joints19' is missing"):
        open_panoptic(sequence.parent)


def test_kinects_and_matrices_are_checked(sequence: Path) -> None:
    with pytest.raises(DataError, match=r"KINECTNODE2.univ_time. is missing"):
        open_panoptic(sequence.parent, node=2)
    path = sequence / "kcalibration_170101_tiny.json"
    record = json.loads(path.read_text())
    record["sensors"][0]["M_depth"] = [[1, 0], [0, 1]]
    path.write_text(json.dumps(record))
    with pytest.raises(DataError, match=r"key 'M_depth' is not numbers of shape \[4, 4\]"):
        open_panoptic(sequence.parent)


def test_an_empty_root_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give the folder that holds the sequences"):
        open_panoptic(tmp_path)
