"""Ground truth in units, axes or with sides that people cannot have is named, and what is right is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
from standing_body import STANDING

from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.joint_sets import H36M17, ITOP15, PANOPTIC19, JointSet, convert_joints
from unipose_training.datasets.base import IndexedClip, open_clips, true_skeletons
from unipose_training.datasets.check import main as check
from unipose_training.datasets.ground_truth import (
    knee_bends,
    require_people,
    require_plausible,
    require_recorded,
    require_sizes,
)
from unipose_training.datasets.itop import AXES
from unipose_training.datasets.registry import open_data_set
from unipose_training.errors import DataError
from unipose_training.evaluation.command import main as evaluate

Change = Callable[[np.ndarray], np.ndarray]


def walkers(count: int = 40) -> np.ndarray:
    """(count, 15, 3) meters in the optical frame: people who step forward with one bent knee, turned any way."""
    rng = np.random.default_rng(3)
    poses = []
    for n in range(count):
        body = np.array([STANDING[joint] for joint in ITOP15.joints])
        side = ("left", "right")[n % 2]
        body[ITOP15.index(f"{side}_knee")] += [0, -0.1, -0.3]
        body[ITOP15.index(f"{side}_foot")] += [0, -0.2, 0.1]
        yaw = rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        poses.append(body @ turn.T + [rng.uniform(-1, 1), 0.2, rng.uniform(2, 4)])
    return np.array(poses)


class RecordedPoses(IndexedClip):
    """A clip of which only the ground truth is read: one pose (15, 3) a frame."""

    def __init__(self, poses: np.ndarray) -> None:
        super().__init__("poses", "", len(poses))
        self._poses = poses

    def frame_at(self, index: int) -> RgbdFrame:
        raise AssertionError("no image is needed to know the unit")

    def ground_truth_at(self, index: int) -> Skeletons:
        visible = np.ones((1, 15), np.bool_)
        return true_skeletons(index + 1, "camera", self._poses[index, None], visible, ("0",), ITOP15)


def plausible(poses: np.ndarray, joint_set: JointSet = ITOP15) -> None:
    positions, _ = convert_joints(poses, ITOP15, joint_set)
    visible = np.ones((1, len(joint_set)), np.bool_)
    require_plausible((true_skeletons(1, "camera", each[None], visible, ("0",), joint_set) for each in positions), "it")


def test_knees_bend_backward() -> None:
    bends = knee_bends(walkers())
    assert (bends > -1e-6).all()
    assert (bends > 0.5).sum() == 40
    assert knee_bends(walkers() * [-1, 1, 1]) == pytest.approx(-bends)


@pytest.mark.parametrize("joint_set", [ITOP15, PANOPTIC19, H36M17], ids=lambda each: each.name)
@pytest.mark.parametrize("stature", [0.55, 1.0, 1.25])
def test_people_of_any_size_are_people(joint_set: JointSet, stature: float, caplog: pytest.LogCaptureFixture) -> None:
    poses = walkers()
    middle = poses.mean(axis=1, keepdims=True)
    plausible(middle + stature * (poses - middle), joint_set)
    assert not caplog.records


@pytest.mark.parametrize("joint_set", [ITOP15, PANOPTIC19, H36M17], ids=lambda each: each.name)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: 1000 * p, ("millimeters where meters are expected",)),
        (lambda p: 100 * p, ("centimeters where meters are expected",)),
        (lambda p: 10 * p, ("decimeters where meters", "millimeters where centimeters")),
        (lambda p: p / 0.3048, ("feet where meters are expected",)),
        (lambda p: p / 0.0254, ("inches where meters are expected",)),
        (lambda p: 0.1 * p, ("centimeters where millimeters",)),
        (lambda p: 0.01 * p, ("meters where centimeters are expected",)),
        (lambda p: 0.001 * p, ("meters where millimeters are expected",)),
        (lambda p: 0.01 * p / 0.3048, ("feet where centimeters are expected",)),
        (lambda p: p * [1, 1, -1], ("behind the camera",)),
        (lambda p: -p, ("behind the camera",)),
        (lambda p: p[..., [2, 1, 0]] * [1, 1, -1] - [0, 0, 2], ("behind the camera",)),
        (lambda p: p + [0, 0, 300], ("have the size of people, but are 303 m away",)),
    ],
)
def test_what_cannot_be_right_is_refused(change: Change, words: tuple[str, ...], joint_set: JointSet) -> None:
    with pytest.raises(DataError) as raised:
        plausible(change(walkers()), joint_set)
    assert all(word in str(raised.value) for word in words), raised.value


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p * [-1, 1, 1], ("bend forward", "mirrored")),
        (lambda p: p[:, list(ITOP15.mirror)], ("bend forward", "left and right")),
        (lambda p: p * [1, -1, 1], ("bend forward", "stand on their heads")),
        (lambda p: p * [-1, -1, 1], ("stand on their heads",)),
        (lambda p: p[..., [1, 0, 2]], ("bend forward", "lie along x, not y")),
        (lambda p: p[..., [1, 0, 2]] * [1, -1, 1], ("lie along x, not y",)),
        (lambda p: p[..., [0, 2, 1]] + [0, 0, 3], ("bend forward", "lie along z, not y")),
    ],
)
def test_what_is_hardly_right_is_said(change: Change, words: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> None:
    plausible(change(walkers()))
    assert all(word in caplog.text for word in words), caplog.text
    assert ("bend forward" in caplog.text) == ("bend forward" in words)


def test_small_children_are_people_and_their_unit_is_doubted(caplog: pytest.LogCaptureFixture) -> None:
    poses = walkers()
    middle = poses.mean(axis=1, keepdims=True)
    plausible(middle + 0.38 * (poses - middle), ITOP15)
    assert "those of small children, or inches where centimeters are expected" in caplog.text


def test_one_child_among_adults_is_no_fault_of_the_recordings(caplog: pytest.LogCaptureFixture) -> None:
    """UniPose-Synth v2 has a clip of one child of 0.8 m."""
    poses = walkers(20)
    middle = poses.mean(axis=1, keepdims=True)
    child = middle + 0.25 * (poses - middle)
    recordings = [poses, poses, child, poses, poses]
    require_recorded([RecordedPoses(each) for each in recordings], "it")
    assert not caplog.records
    with pytest.raises(DataError, match="times as long"):
        require_recorded([RecordedPoses(child)], "it")
    with pytest.raises(DataError, match="feet where meters"):
        require_recorded([RecordedPoses(each / 0.3048) for each in recordings], "it")


def test_a_camera_that_looks_down_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    poses = walkers()[..., [0, 2, 1]] * [1, -1, 1] + [0, 0, 3]
    visible = np.ones((1, 15), np.bool_)
    everybody = [true_skeletons(1, "camera", pose[None], visible, ("0",), ITOP15) for pose in poses]
    require_plausible(everybody, "it", upright=False)
    assert not caplog.records


def test_nothing_is_said_of_nobody() -> None:
    require_plausible([], "it")
    require_people([], "it")
    plausible(np.full((3, 15, 3), np.nan))
    plausible(np.zeros((3, 15, 3)) + [0, 0, 2])
    require_sizes(np.zeros((0, 15, 3)), ITOP15, "it")


def test_points_without_the_proportions_of_bodies_are_refused_in_another_unit_only() -> None:
    points = np.random.default_rng(0).normal([0, 0, 5], 0.5, (20, 15, 3))
    plausible(points)
    with pytest.raises(DataError, match="millimeters where meters"):
        plausible(1000 * points)


def itop_of(folder: Path, poses: np.ndarray, layout: Callable[[str], ModuleType]) -> Path:
    layout("itop").write(folder)
    with h5py.File(folder / "ITOP_side_test_labels.h5", "r+") as file:
        del file["real_world_coordinates"]
        file["real_world_coordinates"] = poses[:6].astype(np.float32)
    return folder


def test_a_data_set_in_feet_is_refused_by_every_command(
    layout: Callable[[str], ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = walkers() * AXES
    root = itop_of(tmp_path / "good", good, layout)
    assert len(open_data_set("itop", root))
    root = itop_of(tmp_path / "feet", good / 0.3048, layout)
    with pytest.raises(DataError, match="feet where meters"):
        open_data_set("itop", root)
    assert check(["check", "--dataset", "itop", "--root", str(root), "--output", str(tmp_path / "o.png")]) == 1
    assert "feet where meters" in capsys.readouterr().err
    assert evaluate(["--dataset", "itop", "--root", str(root), "--no-video", "--output", str(tmp_path / "out")]) == 1
    assert "feet where meters" in capsys.readouterr().err


def test_poses_of_human36m_in_millimeters_are_refused(layout: Callable[[str], ModuleType], tmp_path: Path) -> None:
    from unipose_training.datasets.human36m import open_human36m

    layout("human36m").write(tmp_path)
    path = tmp_path / "data_3d_h36m.npz"
    poses = np.load(path, allow_pickle=True)["positions_3d"].item()
    table = {s: {a: 1000 * np.asarray(p) for a, p in actions.items()} for s, actions in poses.items()}
    np.savez(path, positions_3d=np.array(table, dtype=object))
    with pytest.raises(DataError, match="millimeters where meters"):
        next(iter(open_human36m(tmp_path)))


def test_the_truth_of_the_demo_is_right(caplog: pytest.LogCaptureFixture) -> None:
    clip = open_clips(Path(__file__).parents[3] / "demo" / "walk")[0]
    require_plausible(clip.ground_truth(), clip.name)
    assert not caplog.records
