"""Lifters evaluated on Human3.6M's poses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from unipose_ros.camera import Camera, rays
from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.joint_sets import COCO17, ITOP15, convert_joints
from unipose_ros.keypoints import Keypoints2D
from unipose_training.evaluation.command import main, run_protocol
from unipose_training.evaluation.protocols.human36m import evaluate_human36m, poses_errors

TURN = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


class Flat:
    """Puts every keypoint five meters away; refuses every second person."""

    def liftable(self, keypoints: Keypoints2D, camera: Camera) -> np.ndarray:
        return np.arange(len(keypoints)) % 2 == 0

    def lift(self, keypoints: Keypoints2D, camera: Camera) -> Skeletons:
        people = keypoints.select(np.flatnonzero(self.liftable(keypoints, camera)))
        positions, _ = convert_joints(5 * rays(camera, people.pixels), COCO17, ITOP15)
        shape = positions.shape[:2]
        return Skeletons(
            1, "", "rgb", positions.astype(np.float32), np.ones(shape, np.float32),
            np.full(shape, JointStatus.INFERRED, np.uint8), people.scores,
        )  # fmt: skip


@pytest.fixture
def options(layout: Callable[[str], ModuleType], tmp_path: Path) -> Callable[..., object]:
    layout("human36m").write(tmp_path / "root")

    def make(**changes: object) -> object:
        from types import SimpleNamespace

        given = {"dataset": "human36m", "root": tmp_path / "root", "subset": "", "predictions": None, "recordings": [],
                 "limit": None, "output": tmp_path / "out"}  # fmt: skip
        return SimpleNamespace(**{**given, **changes})

    return make


def test_place_does_not_count_in_protocol_1_and_neither_turn_nor_size_in_protocol_2() -> None:
    ground_truth = np.random.default_rng(0).normal(size=(4, 13, 3))
    first, second = poses_errors(ground_truth + [1.0, -2.0, 3.0], ground_truth)
    assert first == pytest.approx(np.zeros((4, 13)), abs=1e-9)
    first, second = poses_errors(1.3 * ground_truth @ TURN.T + 5, ground_truth)
    assert first.mean() > 0.1
    assert second == pytest.approx(np.zeros((4, 13)), abs=1e-9)
    ground_truth[2] = np.nan
    assert np.isnan(poses_errors(ground_truth + 1, ground_truth)[0][2]).all()


def test_errors_by_action_and_their_mean(options: Callable[..., object]) -> None:
    text = evaluate_human36m(options(), Flat())
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    # Two subjects and four cameras of 40 poses; S11's Directions is dropped.
    assert [(row[0], row[1], row[2]) for row in rows[1:]] == [
        ("Directions", "160", "50.0"), ("Walking", "320", "50.0"), ("**mean over actions**", "480", "50.0")
    ]  # fmt: skip
    errors = np.array([[float(cell) for cell in row[3:]] for row in rows[1:]])
    assert errors[2] == pytest.approx(errors[:2].mean(axis=0), abs=0.1)
    assert (errors[:, 0] > errors[:, 1]).all()


def test_the_kind_of_keypoints_is_chosen(options: Callable[..., object]) -> None:
    seen: list[np.ndarray] = []

    class Noting(Flat):
        def lift(self, keypoints: Keypoints2D, camera: Camera) -> Skeletons:
            seen.append(keypoints.pixels)
            return super().lift(keypoints, camera)

    texts = [evaluate_human36m(options(subset=f"test/{kind}", limit=4), Noting()) for kind in ("gt", "hr")]
    assert "2D: hr" in texts[1]
    # The other file's keypoints are two pixels off.
    moved = np.stack(seen[len(seen) // 2 :]) - np.stack(seen[: len(seen) // 2])
    assert np.nanmax(np.abs(moved - 2)) < 1e-3


def test_the_command_judges_the_shipped_lifter(
    options: Callable[..., object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = options().root
    arguments = ["--dataset", "human36m", "--root", str(root), "--limit", "4", "--output", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert "mean over actions" in capsys.readouterr().out
    assert "mean over actions" in (tmp_path / "out" / "human36m.md").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"predictions": Path("mine.npy")}, "itop or coco"), ({"subset": "validation"}, "has train, test"),
     ({"subset": "test/mine"}, "data_2d_h36m_mine.npz"), ({"root": None}, "go together")],
)  # fmt: skip
def test_what_cannot_be_judged_is_refused(options: Callable[..., object], changes: dict, message: str) -> None:
    with pytest.raises(Exception, match=message):
        run_protocol(options(**changes))
