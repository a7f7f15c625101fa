"""Support, cover, symmetry, bones, motion, scale and agreement: values by hand, invariances, gradients."""

from __future__ import annotations

import math

import pytest
import torch

from unipose_ros.joint_sets import ITOP15
from unipose_training.engine.step import ema_update
from unipose_training.losses.body import (
    bone_constancy_loss,
    bone_prior_loss,
    itop_priors,
    mirror_pairs,
    motion_loss,
    symmetry_loss,
)
from unipose_training.losses.projection import cloud_support_loss, limb_cover_loss
from unipose_training.losses.robust import consistency_loss, laplace_loss

PRIORS = itop_priors()


def symmetric_body() -> torch.Tensor:
    """(1, 15, 3): right is left with x negated, arms bent."""
    torch.manual_seed(3)
    body = torch.randn(15, 3, dtype=torch.float64) * 0.3
    mirrored = body[list(ITOP15.mirror)] * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    return ((body + mirrored) / 2)[None] + torch.tensor([0.0, 0.0, 3.0], dtype=torch.float64)


def test_pairs_are_the_six_mirrored_bones() -> None:
    pairs = mirror_pairs(ITOP15)
    names = {tuple(ITOP15.joints[bone[1]] for bone in pair) for pair in pairs.tolist()}
    assert names == {(f"left_{p}", f"right_{p}") for p in ("shoulder", "elbow", "hand", "hip", "knee", "foot")}


def test_a_symmetric_body_costs_nothing_turned_and_moved() -> None:
    body = symmetric_body()
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    for moved in (body, body @ turn + 0.7, body[:, list(ITOP15.mirror)]):
        assert symmetry_loss(moved, PRIORS.pairs).item() == pytest.approx(0, abs=1e-20)


def test_symmetry_counts_beyond_the_dead_zone_only() -> None:
    arms = torch.tensor([[[0.0, 0, 0], [0.30, 0, 0], [0, 0, 0], [0, 0.315, 0]]])
    pairs = torch.tensor([[[0, 1], [2, 3]]])
    assert symmetry_loss(arms, pairs).item() == 0
    assert symmetry_loss(arms, pairs, dead_zone=0.005).item() == pytest.approx(0.01**2, rel=1e-4)


def test_bones_that_keep_their_length_cost_nothing() -> None:
    body = symmetric_body()
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    clip = torch.stack([body, body @ turn, body + 0.2], dim=1)
    assert bone_constancy_loss(clip, PRIORS.bones, torch.ones(1, 3)).item() < 1e-20
    clip = clip.clone()
    clip[:, 2, 0] += 0.5
    assert bone_constancy_loss(clip, PRIORS.bones, torch.ones(1, 3)).item() > 1e-3
    assert bone_constancy_loss(clip, PRIORS.bones, torch.tensor([[True, True, False]])).item() < 1e-20


def test_bone_constancy_by_hand() -> None:
    clip = torch.tensor([0.3, 0.5]).reshape(1, 2, 1, 1) * torch.tensor([[0.0, 0, 0], [0, 1, 0]])
    loss = bone_constancy_loss(clip, torch.tensor([[0, 1]]), torch.ones(1, 2))
    assert loss.item() == pytest.approx(0.1 - 0.025)


def test_bone_prior_allows_for_size_and_spread() -> None:
    def of(length: float, size: float) -> float:
        joints = torch.tensor([[[0.0, 0, 0], [0, length, 0]]])
        mean, std = torch.tensor([0.5]), torch.tensor([0.02])
        return bone_prior_loss(joints, torch.tensor([[0, 1]]), mean, std, torch.tensor([size])).item()

    assert of(0.55, 1.0) == 0
    assert of(0.60, 1.0) == pytest.approx(0.04, abs=1e-6)
    assert of(0.60, 1.2) == 0
    assert of(0.20, 0.5) == pytest.approx(0.02, abs=1e-6)


def test_constant_velocity_costs_nothing() -> None:
    step = torch.randn(1, 1, 15, 3, dtype=torch.float64)
    clip = symmetric_body()[:, None] + step * torch.arange(5.0, dtype=torch.float64).reshape(1, 5, 1, 1)
    assert motion_loss(clip, PRIORS.stillness, torch.ones(1, 3)).item() < 1e-20


def test_motion_by_hand_and_across_gaps() -> None:
    clip = torch.zeros(1, 4, 1, 3)
    clip[0, 2, 0, 1] = 0.2
    # Second differences of y: 0.2 at frame 1, -0.4 at frame 2.
    mean = ((0.2 - 0.025) + (0.4 - 0.025)) / (2 * 3)
    assert motion_loss(clip, torch.ones(1), torch.ones(1, 2)).item() == pytest.approx(mean)
    half = motion_loss(clip, torch.ones(1), torch.tensor([[True, False]]))
    assert half.item() == pytest.approx((0.2 - 0.025) / 6)


@pytest.mark.parametrize("frames", [1, 2])
def test_short_clips_have_no_motion(frames: int) -> None:
    assert motion_loss(torch.randn(2, frames, 15, 3), PRIORS.stillness, torch.ones(2, 0)).item() == 0


def test_hands_may_move_more_than_the_trunk() -> None:
    hand, torso = (PRIORS.stillness[ITOP15.index(name)] for name in ("left_hand", "torso"))
    assert hand < 0.3 * torso
    assert PRIORS.stillness.mean().item() == pytest.approx(1)


def test_cloud_support_by_hand() -> None:
    joints = torch.tensor([[[0.0, 0, 3], [1.0, 0, 3]]])
    points = torch.tensor([[[0.1, 0, 3], [0.6, 0, 3], [1.0, 0, 3]]])
    padded = torch.tensor([[True, True, False]])
    radii = torch.tensor([0.15, 0.1])
    assert cloud_support_loss(joints, points, padded, radii).item() == pytest.approx((0 + 0.3) / 2, abs=1e-6)
    assert cloud_support_loss(joints, points, torch.ones(1, 3, dtype=torch.bool), radii).item() == 0


def test_an_empty_cloud_supports_nothing_and_breaks_nothing() -> None:
    joints = torch.randn(1, 15, 3, requires_grad=True)
    points, none = torch.full((1, 4, 3), torch.nan), torch.zeros(1, 4, dtype=torch.bool)
    loss = cloud_support_loss(joints, points, none, PRIORS.support_radii)
    loss = loss + limb_cover_loss(joints, points, none, PRIORS.bones, PRIORS.bone_radii)
    loss.backward()
    assert loss.item() == 0
    assert joints.grad.abs().max() == 0


def test_limb_cover_by_hand() -> None:
    joints = torch.tensor([[[0.0, 0, 0], [1.0, 0, 0]]])
    bones, radii = torch.tensor([[0, 1]]), torch.tensor([0.1])
    points = torch.tensor([[[0.5, 0.05, 0], [0.5, 0.3, 0], [1.4, 0.3, 0], [9.0, 9, 9]]])
    given = torch.tensor([[True, True, True, False]])
    assert limb_cover_loss(joints, points, given, bones, radii).item() == pytest.approx((0 + 0.2 + 0.4) / 4, abs=1e-6)


def test_a_bone_without_length_has_a_finite_gradient() -> None:
    joints = torch.zeros(1, 15, 3, requires_grad=True)
    given = torch.ones(1, 2, dtype=torch.bool)
    points = torch.tensor([[[0.5, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    loss = limb_cover_loss(joints, points, given, PRIORS.bones, PRIORS.bone_radii)
    loss = loss + cloud_support_loss(joints, points, given, PRIORS.support_radii)
    loss = loss + symmetry_loss(joints, PRIORS.pairs)
    loss = loss + bone_prior_loss(joints, PRIORS.bones, PRIORS.bone_means, PRIORS.bone_stds, torch.ones(1))
    loss.backward()
    assert torch.isfinite(joints.grad).all()


def test_laplace_is_least_where_the_scale_is_the_residual() -> None:
    log_scales = torch.linspace(-5, 0, 501)
    costs = torch.stack([laplace_loss(torch.tensor([0.08]), s[None], torch.ones(1)) for s in log_scales])
    assert log_scales[costs.argmin()].item() == pytest.approx(math.log(0.08), abs=0.01)
    assert costs.min().item() == pytest.approx(1 + math.log(0.08), abs=1e-4)


def test_laplace_leaves_out_what_was_not_measured() -> None:
    scales = torch.zeros(2, requires_grad=True)
    loss = laplace_loss(torch.tensor([0.5, math.nan]), scales, torch.ones(2))
    loss.backward()
    assert loss.item() == pytest.approx(0.25)
    assert scales.grad.tolist() == pytest.approx([0.25, 0.0])


def test_agreement_moves_the_student_alone() -> None:
    student, teacher = (torch.randn(2, 15, 3, requires_grad=True) for _ in range(2))
    confidence = torch.rand(2, 15, requires_grad=True)
    consistency_loss(student, teacher, confidence, confidence).backward()
    assert student.grad.norm() > 0
    assert teacher.grad is None
    assert confidence.grad is None


def test_agreement_by_hand_and_without_a_teacher_joint() -> None:
    student, teacher = torch.zeros(1, 2, 3), torch.tensor([[[0.3, 0.4, 0.0], [math.nan] * 3]])
    half = torch.full((1, 2), 0.5)
    assert consistency_loss(student, teacher, half, half).item() == pytest.approx(0.25 * (0.5 - 0.025) / 2)
    assert consistency_loss(student, student, half, half).item() == 0


def test_a_teacher_follows_slowly_and_counts_along() -> None:
    teacher, student = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    torch.nn.init.constant_(student.weight, 3.0)
    student(torch.randn(8, 2))
    ema_update(teacher, student, decay=0.75)
    assert teacher.weight.tolist() == [1.5, 1.5]
    assert teacher.num_batches_tracked.item() == 1


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(5)
    clip = (symmetric_body()[:, None] + torch.randn(2, 3, 15, 3, dtype=torch.float64) * 0.1).requires_grad_(True)
    priors = {name: v.double() if v.is_floating_point() else v for name, v in vars(PRIORS).items()}
    points = torch.randn(2, 9, 3, dtype=torch.float64) * 0.4 + torch.tensor([0, 0, 3.0], dtype=torch.float64)
    given = torch.ones(2, 9, dtype=torch.bool)
    ones = torch.ones(2, dtype=torch.float64)
    bones, still = priors["bones"], clip.detach().clone()
    terms = [
        lambda p: symmetry_loss(p, priors["pairs"]),
        lambda p: bone_constancy_loss(p, bones, torch.ones(2, 3)),
        lambda p: bone_prior_loss(p[:, 0], bones, priors["bone_means"], priors["bone_stds"], ones),
        lambda p: motion_loss(p, priors["stillness"], torch.ones(2, 1, dtype=torch.float64)),
        lambda p: cloud_support_loss(p[:, 0], points, given, priors["support_radii"]),
        lambda p: limb_cover_loss(p[:, 0], points, given, bones, priors["bone_radii"]),
        lambda p: consistency_loss(p, still + 0.1, ones[:, None, None], ones[:, None, None]),
        lambda p: laplace_loss(p, still * 0.1, ones[:, None, None, None]),
    ]
    for term in terms:
        assert torch.autograd.gradcheck(term, clip)
