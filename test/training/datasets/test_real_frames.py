"""Frames of real cameras, as published and as plain files, into recordings and back."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.frame import RgbdFrame
from unipose_ros.recordings import BagReader, RgbdRecording
from unipose_training.datasets.real_frames import (
    LMB_CAMERA,
    UVA_CAMERA,
    main,
    read_dih,
    read_frame_folder,
    read_lmb,
    read_uva,
    write_frame_bag,
    write_frame_folder,
)
from unipose_training.errors import DataError

CAMERA = Camera(50, 51, 15.5, 11.5, 32, 24, distortion=(0.1, 0.0, 0.0, 0.0, 0.0))


def frames(count: int = 3, color: bool = True, depth: bool = True) -> list[RgbdFrame]:
    rng = np.random.default_rng(0)
    millimeters = rng.integers(0, 4000, (24, 32)).astype(np.float32) / 1000
    image = cv2.resize(rng.integers(0, 255, (3, 4, 3)).astype(np.uint8), (32, 24))
    return [
        RgbdFrame(7_000_000_000 + n, "optical", CAMERA, millimeters if depth else None, image if color else None)
        for n in range(count)
    ]


@pytest.mark.parametrize(("color", "depth"), [(True, True), (False, True), (True, False)])
def test_folder_round_trip(tmp_path: Path, color: bool, depth: bool) -> None:
    original = frames(color=color, depth=depth)
    assert write_frame_folder(tmp_path / "clip", original) == 3
    back = list(read_frame_folder(tmp_path / "clip"))
    assert [frame.stamp_ns for frame in back] == [frame.stamp_ns for frame in original]
    for one, other in zip(back, original, strict=True):
        assert (one.camera, one.frame_id) == (CAMERA, "optical")
        assert (one.color is None, one.depth is None) == (not color, not depth)
        if depth:
            np.testing.assert_allclose(one.depth, other.depth, atol=1e-6)
        if color:
            assert np.abs(one.color.astype(int) - other.color).mean() < 5  # type: ignore[union-attr]


def test_folder_has_the_documented_files(tmp_path: Path) -> None:
    write_frame_folder(tmp_path, frames(2))
    assert (tmp_path / "rgb" / "000001.jpg").exists()
    assert cv2.imread(str(tmp_path / "depth" / "000001.png"), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    record = json.loads((tmp_path / "camera_info.json").read_text())
    assert record["K"] == [50, 0, 15.5, 0, 51, 11.5, 0, 0, 1]
    assert (tmp_path / "stamps.csv").read_text().split() == ["index,stamp_ns", "0,7000000000", "1,7000000001"]


def test_folder_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    write_frame_folder(tmp_path / "clip", frames(1))
    with pytest.raises(DataError, match="holds a clip already"):
        write_frame_folder(tmp_path / "clip", frames(1))
    with pytest.raises(DataError, match="no frames"):
        write_frame_folder(tmp_path / "none", [])
    changed = RgbdFrame(1, "other", CAMERA, frames(1)[0].depth)
    with pytest.raises(DataError, match="the camera changes at frame 1"):
        write_frame_folder(tmp_path / "changed", [*frames(1), changed])
    with pytest.raises(DataError, match="not a clip"):
        list(read_frame_folder(tmp_path / "nothing"))


@pytest.mark.parametrize("compressed", [True, False])
def test_bag_gives_the_frames_back(tmp_path: Path, compressed: bool) -> None:
    original = frames()
    counts = write_frame_bag(tmp_path / "bag", original, compressed)
    assert set(counts.values()) == {3}
    with BagReader(tmp_path / "bag") as reader:
        back = list(RgbdRecording(reader).frames())
    assert [frame.stamp_ns for frame in back] == [frame.stamp_ns for frame in original]
    np.testing.assert_allclose(back[0].depth, original[0].depth, atol=1e-6)
    assert back[0].camera == CAMERA


def test_command_converts_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_frame_folder(tmp_path / "clip", frames(5))
    assert main(["folder", str(tmp_path / "clip"), str(tmp_path / "bag"), "--raw", "--storage", "sqlite3"]) == 0
    assert main(["bag", str(tmp_path / "bag"), str(tmp_path / "back"), "--to", "folder", "--count", "2"]) == 0
    assert len(list(read_frame_folder(tmp_path / "back"))) == 2
    assert "2 frames" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["uva", "{tmp}"], "no files like 0000000000_depth.png"),
        (["lmb", "{tmp}"], "depth.png"),
        (["dih", "{tmp}/x.npy"], "no NumPy file"),
        (["folder", "{tmp}"], "not a clip"),
        (["bag", "{tmp}"], "this is not a rosbag2 recording"),
    ],
)
def test_wrong_sources_are_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    filled = [argument.format(tmp=tmp_path) for argument in arguments]
    assert main([*filled, str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert text in error
    assert "Traceback" not in error


def test_the_lmb_pair(shared_data: Path) -> None:
    first, second = read_lmb(shared_data / "lmb_rgbd_pose3d", rate_hz=10, count=2)
    assert second.stamp_ns - first.stamp_ns == 100_000_000
    assert first.camera == LMB_CAMERA
    assert first.depth is not None
    assert first.color is not None
    assert first.color.shape == (1080, 1920, 3)
    people = first.depth[first.depth > 0]
    assert 0.05 < people.size / first.depth.size < 0.15
    assert 2.0 < np.median(people) < 5.0


def test_the_uva_sequence(shared_data: Path) -> None:
    read = list(read_uva(shared_data / "uva_person", rate_hz=30, count=0))
    assert len(read) == 100
    np.testing.assert_allclose(np.diff([frame.stamp_ns for frame in read]), 1e9 / 30, atol=1)
    assert all(frame.camera == UVA_CAMERA for frame in read)
    assert read[0].depth is not None
    assert 0.7 < read[0].depth[read[0].depth > 0].min() < 1.0


def test_the_dih_frame_has_depth_only(shared_data: Path) -> None:
    (frame,) = read_dih(shared_data / "depth_frames" / "dih_kinect2_3people.npy", rate_hz=30, count=1)
    assert frame.color is None
    assert frame.depth is not None
    assert frame.depth.shape == (540, 960)
