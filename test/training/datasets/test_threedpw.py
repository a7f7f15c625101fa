"""3DPW's files into clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from unipose_ros.frame import JointStatus
from unipose_training.datasets.threedpw import open_3dpw
from unipose_training.errors import DataError


@pytest.fixture(scope="session")
def files(layout: Callable[[str], ModuleType]) -> ModuleType:
    return layout("threedpw")


@pytest.fixture
def root(files: ModuleType, tmp_path: Path) -> Path:
    files.write(tmp_path)
    return tmp_path


def test_joints_come_into_the_camera(files: ModuleType, root: Path) -> None:
    (clip,) = open_3dpw(root)
    assert (clip.name, clip.subset, len(clip)) == (files.SEQUENCE, "test", 4)
    ground_truth = clip.ground_truth_at(0)
    assert ground_truth is not None
    for actor in range(2):
        np.testing.assert_allclose(ground_truth.positions[actor], files.joints_in_camera(actor, 0), atol=1e-5)


def test_people_count_where_the_camera_is_aligned(files: ModuleType, root: Path) -> None:
    (clip,) = open_3dpw(root)
    assert [ground_truth.ids for ground_truth in clip.ground_truth()] == [("0", "1"), ("0",), ("1",)]
    assert clip.ground_truth_at(2) is None
    last = clip.ground_truth_at(3)
    assert last is not None
    np.testing.assert_allclose(last.positions[0], files.joints_in_camera(1, 3), atol=1e-5)


def test_the_clock_is_not_the_image_number(root: Path) -> None:
    (clip,) = open_3dpw(root)
    frames = list(clip.frames())
    levels = [int(frame.color[50, 50, 0]) for frame in frames if frame.color is not None]
    np.testing.assert_allclose(levels, [0, 50, 100, 150], atol=2)
    np.testing.assert_allclose(np.diff([frame.stamp_ns for frame in frames]), np.diff([0, 2, 4, 7]) / 60 * 1e9, atol=1)
    camera = frames[0].camera
    assert (camera.fx, camera.width, camera.height) == (pytest.approx(196.1), 108, 192)


def test_joints_outside_the_image_are_inferred(root: Path) -> None:
    (clip,) = open_3dpw(root)
    ground_truth, camera = clip.ground_truth_at(0), clip.camera
    assert ground_truth is not None
    pixels = ground_truth.positions[..., :2] / ground_truth.positions[..., 2:] * [camera.fx, camera.fy] + [
        camera.cx,
        camera.cy,
    ]
    inside = ((pixels > 0) & (pixels < [107, 191])).all(axis=-1)
    assert 0 < inside.mean() < 1
    np.testing.assert_array_equal(ground_truth.status == JointStatus.MEASURED, inside)


def test_keypoints(files: ModuleType, root: Path) -> None:
    (clip,) = open_3dpw(root)
    labels = clip.labels_at(1)
    stored = files.record()["poses2d"]
    np.testing.assert_allclose(labels.pixels[1, 7], stored[1][1, :2, 7], rtol=1e-6)
    assert np.isnan(labels.pixels[0, 4]).all()
    assert labels.status[0, 4] == JointStatus.MISSING


def _without(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda record: record.pop(key)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (_without("campose_valid"), r"tiny_00\.pkl: key 'campose_valid' is missing, there are"),
        (_without("cam_poses"), "key 'cam_poses' is missing"),
        (lambda r: r.update(jointPositions=[np.zeros((8, 72))] * 2), r"'jointPositions' is not numbers of shape \[4,"),
        (lambda r: r.update(poses2d=np.zeros(3)), "'poses2d' is no list of actors"),
        (lambda r: r.update(campose_valid=[np.ones(4)]), "different numbers of actors"),
    ],
)
def test_other_versions_are_named(
    files: ModuleType, tmp_path: Path, change: Callable[[dict[str, Any]], object], text: str
) -> None:
    record = files.record()
    change(record)
    files.write(tmp_path, content=record)
    with pytest.raises(DataError, match=text):
        open_3dpw(tmp_path)


def test_pickles_do_not_run(files: ModuleType, tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "pwned",)

    files.write(tmp_path, content=files.record() | {"texture_maps": [Attack()]})
    with pytest.raises(DataError, match="which no data needs, so it was not loaded"):
        open_3dpw(tmp_path)
    assert not (tmp_path / "pwned").exists()


def test_missing_and_truncated_files_are_named(files: ModuleType, root: Path, tmp_path: Path) -> None:
    (clip,) = open_3dpw(root)
    (root / "imageFiles" / files.SEQUENCE / "image_00002.jpg").unlink()
    with pytest.raises(DataError, match=r"image_00002\.jpg: no readable color image"):
        clip.frame_at(2)
    path = root / "sequenceFiles" / "test" / f"{files.SEQUENCE}.pkl"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"tiny_00\.pkl: no readable pickle"):
        open_3dpw(root)
    with pytest.raises(DataError, match=r"train: no \*\.pkl"):
        open_3dpw(root, "train")
    with pytest.raises(DataError, match="3DPW has train, validation, test"):
        open_3dpw(root, "val")
