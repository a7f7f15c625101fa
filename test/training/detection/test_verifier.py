"""What a pose verifier is fitted on, and the fitting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unipose_ros.camera import Camera, project
from unipose_ros.detection.verification import POSE_FEATURES
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_training.detection.verifier import Poses, cut, fit_verifier, label_poses, without_background

CAMERA = Camera(100, 100, 159.5, 119.5, 320, 240)


def people(*places: tuple[float, float]) -> Skeletons:
    """ITOP-15 people at (x, z), all joints in a row from head to foot."""
    joints = np.zeros((len(places), 15, 3), np.float32)
    for person, (x, z) in enumerate(places):
        joints[person, :, 0], joints[person, :, 2] = x, z
        joints[person, :, 1] = np.linspace(-0.7, 0.7, 15)
    ones = np.ones((len(places), 15), np.float32)
    status = np.full((len(places), 15), JointStatus.MEASURED, np.uint8)
    return Skeletons(1, "optical", "ground_truth", joints, ones, status, ones[:, 0])


def frame(depth: float = 4.0) -> RgbdFrame:
    return RgbdFrame(1, "optical", CAMERA, np.full((240, 320), depth, np.float32))


def test_who_is_a_person() -> None:
    found = people((0.1, 2.0), (0.65, 2.0), (1.5, 2.0), (-1.5, 2.4))
    ground_truth = people((0.0, 2.0), (-1.5, 2.0))
    ground_truth.status[1, 2:] = JointStatus.INFERRED
    is_person, known = label_poses(frame(), found, ground_truth)
    assert is_person.tolist() == [True, False, False, False]
    # The second is near a person, the last is a person of whom two joints are seen.
    assert known.tolist() == [True, False, True, False]


def test_without_ground_truth_every_pose_is_false() -> None:
    is_person, known = label_poses(frame(), people((0.0, 2.0)), people())
    assert is_person.tolist() == [False]
    assert known.tolist() == [True]


def test_a_background_is_lost_and_people_stay() -> None:
    depth = np.full((240, 320), 6.0, np.float32)
    depth[:, :100] = 2.0
    lost = without_background(replace(frame(), depth=depth), people((0.0, 2.1)), np.random.default_rng(0))
    assert lost.depth is not None
    assert (lost.depth[:, :100] == 2).all()
    assert (lost.depth[:, 100:] == 0).all()


def test_a_cut_keeps_the_cameras_rays() -> None:
    depth = np.arange(240 * 320, dtype=np.float32).reshape(240, 320) + 1
    part = cut(replace(frame(), depth=depth), np.random.default_rng(1))
    assert part.depth is not None
    assert part.depth.shape == (part.camera.height, part.camera.width)
    assert 120 <= part.camera.height < 240
    left_top = np.array([CAMERA.cx - part.camera.cx, CAMERA.cy - part.camera.cy]).astype(int)
    assert part.depth[3, 5] == depth[3 + left_top[1], 5 + left_top[0]]
    point = np.array([[0.1, 0.2, 2.0]])
    np.testing.assert_allclose(project(part.camera, point), project(CAMERA, point) - left_top)


def drawn(count: int, rng: np.random.Generator) -> tuple[Poses, np.ndarray]:
    columns = rng.normal([0, 0, 0.8, 0.4, 3], [1, 3, 0.2, 0.2, 1], (count, 5))
    true = 1 / (1 + np.exp(-(columns @ [0.5, 1.0, 3.0, -4.0, -0.5] + 0.5)))
    return Poses(columns, rng.random(count) < true), true


def test_a_regression_finds_the_rule_that_made_the_data() -> None:
    poses, true = drawn(20000, np.random.default_rng(0))
    judge = fit_verifier(poses)
    np.testing.assert_allclose(judge.probabilities(poses.columns), true, atol=0.08)
    np.testing.assert_allclose([judge.weights[name] for name in POSE_FEATURES], [0.5, 1.0, 3.0, -4.0, -0.5], rtol=0.1)


def test_evidence_that_is_left_out_gets_no_weight() -> None:
    poses, _ = drawn(500, np.random.default_rng(0))
    assert fit_verifier(poses, ("on_surface", "free_boundary")).weights["confidence_logit"] == 0


def test_poses_that_a_line_parts_and_columns_without_spread_are_no_trouble() -> None:
    columns = np.zeros((10, 5))
    columns[:5, 0] = 1
    judge = fit_verifier(Poses(columns, np.arange(10) < 5))
    likely = judge.probabilities(columns)
    assert likely[:5].min() > 0.8 > 0.2 > likely[5:].max()


def test_one_kind_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="needs both kinds"):
        fit_verifier(Poses(np.zeros((3, 5)), np.ones(3, np.bool_)))


def test_poses_are_joined() -> None:
    both = Poses.together(
        [Poses(np.ones((2, 5)), np.ones(2, np.bool_)), Poses(np.zeros((1, 5)), np.zeros(1, np.bool_))]
    )
    assert len(both) == 3
    assert len(Poses.together([])) == 0
