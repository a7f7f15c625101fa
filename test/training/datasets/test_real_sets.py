"""Sets of frames of real people, in their publishers' layouts."""

from __future__ import annotations

import json
import logging
import resource
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.frame import JointStatus
from unipose_training.datasets.real_frames import read_pcd
from unipose_training.datasets.real_sets import FOLDERS, depth_on_color, open_real_frames, read_mask
from unipose_training.errors import DataError

Layout = Callable[[str], ModuleType]


@pytest.fixture
def files(layout: Layout) -> ModuleType:
    return layout("real_sets")


def test_every_set_is_read(files: ModuleType, tmp_path: Path) -> None:
    files.write(tmp_path)
    clips = open_real_frames(tmp_path)
    assert list(dict.fromkeys(clip.subset for clip in clips)) == list(FOLDERS)
    assert [clip.name for clip in clips if clip.subset == "human4d"] == ["human4d/200_M72e", "human4d/207_other"]
    assert [len(clip) for clip in clips if len(clip) > 1] == [3]  # the one sequence
    for clip in clips:
        assert clip.frame_at(0).depth is not None


def test_whatever_names_lie_there_are_read(files: ModuleType, tmp_path: Path) -> None:
    files.write_human4d(tmp_path / "human4d", names=("1_a", "99_zz", "5_m72x"))
    assert {clip.name for clip in open_real_frames(tmp_path)} == {"human4d/1_a", "human4d/99_zz", "human4d/5_m72x"}


def test_an_absent_set_is_one_line_and_no_set_an_error(
    files: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files.write_uc3m(tmp_path / "uc3m_kinect")
    (tmp_path / "tue_robot").mkdir()
    with caplog.at_level(logging.WARNING):
        assert {clip.subset for clip in open_real_frames(tmp_path)} == {"uc3m_kinect"}
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == len(FOLDERS) - 1
    assert all(line.startswith(str(tmp_path)) and "\n" not in line for line in lines)
    with pytest.raises(DataError, match="--root"):
        open_real_frames(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"itop.*uc3m_kinect"):
        open_real_frames(tmp_path, "uc3m_kinect,itop")
    assert len(open_real_frames(tmp_path, "uc3m_kinect")) == 3


def test_human4d_in_both_cameras(files: ModuleType, tmp_path: Path) -> None:
    files.write_human4d(tmp_path / "human4d")
    clip = open_real_frames(tmp_path, "human4d")[0]
    on_color, on_depth = clip.seen_by(color=True).real_frame(0), clip.seen_by(color=False).real_frame(0)
    assert (on_depth.frame.camera.width, on_depth.frame.camera.height) == (18, 32)
    assert on_depth.frame.camera.fx == 24
    assert (on_color.frame.camera.width, on_color.frame.camera.height) == (36, 64)
    assert on_color.frame.camera.fx == 48
    assert on_color.ground_truth is not None
    assert on_depth.ground_truth is not None
    np.testing.assert_allclose(on_depth.ground_truth.positions[0], files.JOINTS, atol=1e-6)
    np.testing.assert_allclose(on_color.ground_truth.positions[0], files.JOINTS - [files.OFFSET, 0, 0], atol=1e-6)
    assert on_color.people == 1
    # The wall is everywhere at its distance, without gaps between the coarser image's pixels.
    assert on_color.frame.depth is not None
    inner = on_color.frame.depth[4:-4, 4:-4]
    np.testing.assert_allclose(inner, 2.1, atol=1e-3)
    # A point at x = 0 of the color camera lies 2 cm to the right for the depth camera, where red turns to blue.
    assert on_depth.frame.color is not None
    edge = 8.5 + 24 * files.OFFSET / 2.1
    assert tuple(on_depth.frame.color[16, round(edge - 3)] > 128) == (True, False, False)
    assert tuple(on_depth.frame.color[16, round(edge + 3)] > 128) == (False, False, True)


def test_without_depth_only_color_is_left(files: ModuleType, tmp_path: Path) -> None:
    files.write(tmp_path)
    for clip in open_real_frames(tmp_path):
        frame = clip.seen_by(color=True, depth=False).frame_at(0)
        assert (frame.depth is None) == (frame.color is not None)


def test_whoever_is_there_is_to_be_found(files: ModuleType, tmp_path: Path) -> None:
    files.write_human4d(tmp_path / "human4d")
    # A wall at 0.5 m before all people: depth shows nothing of the person.
    cv2.imwrite(str(tmp_path / "human4d" / "200_M72e_depth.png"), np.full((32, 18), 500, np.uint16))
    clips = [clip.seen_by(color=False) for clip in open_real_frames(tmp_path, "human4d")]
    hidden, seen = (clip.ground_truth_at(0) for clip in clips)
    assert hidden is not None
    assert seen is not None
    assert (hidden.status == JointStatus.MEASURED).sum() >= 3
    assert (seen.status == JointStatus.MEASURED).all()


def test_masks_say_who_is_where(files: ModuleType, tmp_path: Path) -> None:
    files.write_uc3m(tmp_path / "uc3m_kinect")
    frames = {clip.name.partition("/")[2]: clip.real_frame(0) for clip in open_real_frames(tmp_path)}
    assert [frames[name].people for name in ("two", "one", "empty")] == [2, 1, None]
    assert frames["empty"].mask is None
    assert frames["one"].mask is not None
    assert frames["one"].mask.shape == (480, 640)
    assert np.unique(frames["two"].mask).tolist() == [0, 1, 4]


def test_a_jpeg_mask_has_two_values(files: ModuleType, tmp_path: Path) -> None:
    files.write_uva(tmp_path / "uva_person")
    (clip,) = open_real_frames(tmp_path)
    mask = clip.real_frame(1).mask
    assert mask is not None
    assert np.unique(mask).tolist() == [0, 1]
    assert 0.9 < mask.sum() / (300 * 150) < 1.1
    assert np.diff([frame.stamp_ns for frame in clip.frames()]).tolist() == pytest.approx([1e9 / 15] * 2, abs=1)


def test_a_lens_is_kept(files: ModuleType, tmp_path: Path) -> None:
    files.write_tue(tmp_path / "tue_robot")
    (clip,) = open_real_frames(tmp_path)
    assert clip.frame_at(0).camera.distortion == (0.03, 0.05, -0.001, 0.003, -0.5)


def test_depth_moves_with_the_camera() -> None:
    camera = Camera(100, 100, 50, 50, 101, 101)
    depth = np.zeros((101, 101), np.float32)
    depth[40:60, 40:60] = 2.0
    # x_depth = x_color + 0.2: what is in the middle for depth lies 10 pixels to the left for color.
    moved = depth_on_color(depth, camera, camera, np.eye(3), np.array([0.2, 0, 0]))
    rows, columns = np.nonzero(moved)
    assert (columns.min(), columns.max()) == pytest.approx((30, 49), abs=1)
    assert (rows.min(), rows.max()) == pytest.approx((40, 59), abs=1)


@pytest.mark.parametrize(
    ("name", "damage", "text"),
    [
        ("human4d", lambda folder: (folder / "200_M72e.json").write_text("{}"), "200_M72e.json"),
        ("human4d", lambda folder: (folder / "200_M72e.json").unlink(), "200_M72e.json"),
        ("human4d", lambda folder: (folder / "200_M72e_colour.jpg").write_bytes(b"x"), "200_M72e_colour.jpg"),
        ("human4d", lambda folder: _resize(folder / "200_M72e_depth.png"), "200_M72e_depth.png: 9x9, expected 18x32"),
        ("tue_robot", lambda folder: (folder / "camera.json").write_text("[]"), "camera.json"),
        ("tue_robot", lambda folder: (folder / "camera.json").write_text(json.dumps({"fx": 1})), "camera.json"),
        ("depth_frames", lambda folder: (folder / "panoptic_kinect2.mat").write_bytes(b"x" * 200), ".mat"),
        ("depth_frames", lambda folder: (folder / "dih_kinect2_3people.npy").write_bytes(b"x"), ".npy"),
    ],
)
def test_damage_names_the_file(
    files: ModuleType, tmp_path: Path, name: str, damage: Callable[[Path], object], text: str
) -> None:
    files.WRITERS[name](tmp_path / name)
    damage(tmp_path / name)
    with pytest.raises(DataError, match=text):
        [clip.frame_at(0) for clip in open_real_frames(tmp_path)]


def _resize(path: Path) -> None:
    cv2.imwrite(str(path), np.full((9, 9), 500, np.uint16))


def test_a_mask_of_another_type_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "mask.png"), np.zeros((4, 4), np.uint16))
    with pytest.raises(DataError, match=r"mask\.png"):
        read_mask(tmp_path / "mask.png")


def test_the_real_folders(shared_data: Path) -> None:
    """All frames that lie there: images fit the cameras, and people lie before the camera."""
    known = [clip for name in FOLDERS if (shared_data / name).is_dir() for clip in open_real_frames(shared_data, name)]
    if not known:
        pytest.skip(f"none of {', '.join(FOLDERS)} in {shared_data}")
    for clip in known:
        real = clip.real_frame(len(clip) - 1)
        assert real.frame.depth is not None
        if real.ground_truth is not None:
            assert (real.ground_truth.positions[..., 2] > 0.3).all()
            assert len(real.ground_truth) == real.people


@pytest.mark.parametrize(
    "change",
    [("POINTS 307200", "POINTS 4000000000"), ("COUNT 1 1 1", "COUNT 200000000 1 1"), ("SIZE 4 4 4", "SIZE 4 -4 8")],
)
def test_a_cloud_that_claims_more_than_there_is_takes_no_memory(
    files: ModuleType, tmp_path: Path, change: tuple[str, str]
) -> None:
    files.write(tmp_path)
    file = tmp_path / "pcl" / "person.pcd"
    text = file.read_text()
    assert change[0] in text
    file.write_text(text.replace(*change))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=r"person\.pcd"):
        next(read_pcd(file, 1.0, 1))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kilobytes; open3d takes some
