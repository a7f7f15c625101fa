"""NTU RGB+D's files into clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from unipose_ros.camera import project
from unipose_ros.frame import JointStatus
from unipose_training.datasets.cameras import fit_neighbor
from unipose_training.datasets.ntu import SampleName, fitted_camera, open_ntu, read_skeleton_file
from unipose_training.errors import DataError


@pytest.fixture(scope="session")
def files(layout: Callable[[str], ModuleType]) -> ModuleType:
    return layout("ntu")


@pytest.fixture(params=[True, False], ids=["mirrored", "plain"])
def root(request: pytest.FixtureRequest, files: ModuleType, tmp_path: Path) -> Path:
    files.write(tmp_path, mirrored=request.param)
    return tmp_path


@pytest.fixture
def skeleton(files: ModuleType, tmp_path: Path) -> Path:
    files.write(tmp_path)
    return tmp_path / "nturgb+d_skeletons" / f"{files.NAMES[0]}.skeleton"


def test_names_say_who_and_where() -> None:
    name = SampleName.parse("S001C002P003R004A060")
    assert (name.setup, name.camera, name.performer, name.replication, name.action) == (1, 2, 3, 4, 60)
    with pytest.raises(DataError, match="names are like"):
        SampleName.parse("S1C2")


@pytest.mark.parametrize(
    ("split", "names"),
    [("xsub_train", [0, 1]), ("xsub_test", [2]), ("xview_train", [1]), ("xview_test", [0, 2]), ("all", [0, 1, 2])],
)
def test_splits(files: ModuleType, tmp_path: Path, split: str, names: list[int]) -> None:
    files.write(tmp_path)
    assert [clip.name for clip in open_ntu(tmp_path, split)] == sorted(files.NAMES[n] for n in names)


def test_the_camera_is_fitted(files: ModuleType, root: Path) -> None:
    clip = open_ntu(root)[0]
    camera = clip.camera.camera
    np.testing.assert_allclose([camera.fx, camera.fy, camera.cy], [files.FX, files.FY, files.CY], atol=1e-3)
    assert camera.cx == pytest.approx(511 - files.CX if clip.camera.mirrored else files.CX, abs=1e-3)
    assert clip.camera.residual_px < 1e-3


def test_wrong_labels_do_not_spoil_the_fit(files: ModuleType, tmp_path: Path) -> None:
    files.write(tmp_path, wrong_labels=4)
    camera = fitted_camera(tmp_path, "S001C001").camera
    np.testing.assert_allclose([camera.fx, camera.fy], [files.FX, files.FY], atol=0.01)


def test_joints_lie_on_the_depth(files: ModuleType, root: Path) -> None:
    """The whole geometry at once: signs, mirror and intrinsics; the blobs are where the joints are."""
    for clip in (clip for clip in open_ntu(root) if clip.name != files.MISSING):
        for n in range(2):
            frame, bodies = clip.frame_at(n), clip.kinect_skeletons_at(n)
            assert bodies is not None
            assert frame.depth is not None
            u, v = np.rint(project(frame.camera, bodies.positions[0])).astype(int).T
            hits = np.abs(frame.depth[v, u] - bodies.positions[0, :, 2]) < 0.002
            assert hits.mean() > 0.9  # blobs may cover each other
            labels = clip.kinect_labels_at(n)
            assert labels is not None
            np.testing.assert_allclose(labels.pixels[0], project(frame.camera, bodies.positions[0]), atol=0.01)


def test_turning_keeps_left_and_right(files: ModuleType, root: Path) -> None:
    """What is at the sensor's left is at the left of the optical frame, mirror or not."""
    name = files.NAMES[0]
    bodies = next(clip for clip in open_ntu(root) if clip.name == name).kinect_skeletons_at(0)
    assert bodies is not None
    np.testing.assert_allclose(bodies.positions[0], files.joints(name, 0) * [-1, -1, 1], atol=1e-6)


def test_skeletons_are_not_ground_truth(root: Path) -> None:
    clip = open_ntu(root)[0]
    assert list(clip.ground_truth()) == []
    bodies = clip.kinect_skeletons_at(0)
    assert bodies is not None
    assert bodies.status[0].tolist() == [JointStatus.MEASURED] * 24 + [JointStatus.INFERRED]
    assert bodies.ids == ("72057594037931101",)


def test_listed_samples_have_no_skeletons(files: ModuleType, root: Path) -> None:
    clip = next(clip for clip in open_ntu(root) if clip.name == files.MISSING)
    assert clip.kinect_skeletons_at(0) is None
    assert len(list(clip.frames())) == 2  # the depth is of use all the same


@pytest.mark.parametrize("mirrored", [True, False])
def test_color_is_registered_to_depth(files: ModuleType, tmp_path: Path, mirrored: bool) -> None:
    """Mirror, focal length and the distance between the two cameras at once: joints keep their shade."""
    files.write(tmp_path, mirrored=mirrored)
    name = files.NAMES[0]
    files.write_video(tmp_path, name, mirrored)
    clip = next(clip for clip in open_ntu(tmp_path, color=None) if clip.name == name)
    for n in range(2):
        frame, labels = clip.frame_at(n), clip.kinect_labels_at(n)
        assert frame.color is not None
        assert labels is not None
        u, v = np.rint(labels.pixels[0]).astype(int).T
        found = frame.color[v, u, 0].astype(int)
        right = np.abs(found - [files.shade(k) for k in range(25)]) <= 4
        assert right.sum() >= 21  # spots may cover each other


def test_color_is_there_where_there_is_a_video(files: ModuleType, tmp_path: Path) -> None:
    files.write(tmp_path)
    files.write_video(tmp_path, files.NAMES[0], frames=1)
    colors = {clip.name: [frame.color for frame in clip.frames()] for clip in open_ntu(tmp_path, color=None)}
    assert colors[files.NAMES[0]][0] is not None
    assert colors[files.NAMES[0]][1] is None  # the video ends a frame earlier
    assert colors[files.NAMES[1]] == [None, None]
    assert open_ntu(tmp_path)[0].frame_at(0).color is None
    with pytest.raises(DataError, match=r"S001C002P001R001A001_rgb\.avi: not found"):
        next(clip for clip in open_ntu(tmp_path, color=True) if clip.name == files.NAMES[1]).frame_at(0)


def test_a_camera_beside_is_right_where_the_points_are() -> None:
    points = np.random.default_rng(0).uniform([-1, -1, 3], [1, 1, 3], (50, 3))
    pixels = points[:, :2] * [350, -350] + [960, 540]
    np.testing.assert_allclose(fit_neighbor(points, pixels).project(points), pixels, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda t: t[: len(t) // 2], "the file ends early"),
        (lambda t: t.replace("\n25\n", "\n20\n", 1), "line 4: 20 joints, a Kinect v2 has 25"),
        (lambda t: "x" + t, "line 1: frame count is 'x2'"),
        (lambda t: t.replace(" 2\n", " two\n", 3), "could not convert string to float: 'two'"),
    ],
)
def test_damaged_skeletons_are_named(skeleton: Path, change: Callable[[str], str], text: str) -> None:
    skeleton.write_text(change(skeleton.read_text()))
    with pytest.raises(DataError, match=text) as caught:
        read_skeleton_file(skeleton)
    assert str(skeleton) in str(caught.value)


def test_damaged_depth_is_named(files: ModuleType, root: Path) -> None:
    path = root / "nturgb+d_depth_masked" / files.NAMES[0] / "MDepth-00000001.png"
    clip = open_ntu(root)[0]
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"MDepth-00000001\.png: no 16-bit gray PNG"):
        clip.frame_at(0)
    cv2.imwrite(str(path), np.zeros((480, 640), np.uint16))
    with pytest.raises(DataError, match="640x480 pixels, expected 512x424"):
        clip.frame_at(0)


def test_what_is_missing_is_named(files: ModuleType, root: Path) -> None:
    for path in (root / "nturgb+d_skeletons").glob("*.skeleton"):
        path.unlink()
    with pytest.raises(DataError, match=r"S001C001\*\.skeleton: camera fit: 0 usable points"):
        open_ntu(root)[0].frame_at(0)
    (root / "NTU_RGBD_samples_with_missing_skeletons.txt").unlink()
    with pytest.raises(DataError, match=r"missing_skeletons\.txt: not found; take it from"):
        open_ntu(root)
    with pytest.raises(DataError, match="split = 'cross'"):
        open_ntu(root, "cross")
