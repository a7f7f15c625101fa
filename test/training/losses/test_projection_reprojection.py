from __future__ import annotations

import math

import pytest
import torch

from unipose_training.losses.projection import confidence_guided_loss, project_to_plane, reprojection_loss, tilt_loss

torch.manual_seed(0)
JOINTS = 0.4 * torch.randn(2, 15, 3)
ONES = torch.ones(2, 15)


def test_perspective_is_that_of_a_pinhole():
    """Zoom and shift are distance and place: hips at (0.2, -0.1, 4) m, a plane of size 0.15."""
    sizes, distance, place = torch.full((2,), 0.15), 4.0, torch.tensor([0.2, -0.1])
    points = JOINTS + torch.tensor([0.2, -0.1, distance])
    pinhole = points[..., :2] / points[..., 2:] / 0.15
    zoom = torch.full((2,), 1 / (distance * 0.15))
    drawn = project_to_plane(JOINTS, zoom, place.expand(2, 2), sizes, torch.ones(2, dtype=torch.bool))
    torch.testing.assert_close(drawn, pinhole)


def test_without_a_focal_length_distance_has_no_influence():
    flat = JOINTS * torch.tensor([1.0, 1.0, 0.0])
    zoom, shift, sizes = torch.full((2,), 1.7), torch.zeros(2, 2), torch.full((2,), 0.3)
    unknown = torch.zeros(2, dtype=torch.bool)
    torch.testing.assert_close(
        project_to_plane(JOINTS, zoom, shift, sizes, unknown), project_to_plane(flat, zoom, shift, sizes, unknown)
    )


def test_reprojection_leaves_depth_free():
    """Why a prior is needed: under a weak perspective no gradient reaches the depths."""
    joints = JOINTS.clone().requires_grad_()
    unknown = torch.zeros(2, dtype=torch.bool)
    drawn = project_to_plane(joints, torch.ones(2), torch.zeros(2, 2), torch.ones(2), unknown)
    reprojection_loss(drawn, torch.zeros(2, 15, 2), ONES).backward()
    assert joints.grad[..., 2].abs().max() == 0
    assert joints.grad[..., :2].abs().min() > 0


def test_reprojection_is_zero_at_the_labels_and_skips_missing_ones():
    labels = torch.rand(2, 15, 2)
    assert reprojection_loss(labels, labels, ONES) == 0
    missing = labels.clone()
    missing[:, 3] = torch.nan
    off = labels.clone()
    off[:, 3] += 5
    off.requires_grad_()
    loss = reprojection_loss(off, missing, ONES)
    loss.backward()
    assert loss == 0
    assert torch.isfinite(off.grad).all()


def test_a_joint_behind_the_camera_does_not_blow_up():
    joints = torch.tensor([[[0.1, 0.1, -50.0]]], requires_grad=True)
    drawn = project_to_plane(joints, torch.ones(1), torch.zeros(1, 2), torch.ones(1), torch.ones(1, dtype=torch.bool))
    drawn.sum().backward()
    assert torch.isfinite(drawn).all()
    assert torch.isfinite(joints.grad).all()


@pytest.mark.parametrize("degrees", [0.5, 20.0, 90.0])
def test_tilt_is_the_angle_between_rotations(degrees):
    angle = math.radians(degrees)
    c, s = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[[1, 0, 0], [0, c, -s], [0, s, c]]])
    assert tilt_loss(turn, torch.eye(3)[None], torch.ones(1)).item() == pytest.approx(angle, rel=1e-3)
    assert tilt_loss(turn, turn, torch.ones(1)).item() < 2e-3


def test_the_refiner_repairs_what_is_uncertain_and_leaves_what_is_sure():
    given, labels = torch.zeros(1, 2, 2), torch.ones(1, 2, 2)
    sure = torch.tensor([[1.0, 0.0]])
    both = torch.ones(1, 2, dtype=torch.bool)
    best = torch.stack([given[:, 0], labels[:, 1]], dim=1)
    assert confidence_guided_loss(best, given, labels, sure, both) == 0
    # In between, the optimum is the mean weighted by the confidence.
    half = torch.full((1, 2), 0.25)
    refined = torch.zeros(1, 2, 2, requires_grad=True)
    torch.testing.assert_close(
        torch.autograd.grad(confidence_guided_loss(refined + 0.75, given, labels, half, both), refined)[0],
        torch.zeros(1, 2, 2),
    )


def test_unlabeled_keypoints_do_not_train_the_refiner():
    labels = torch.full((1, 2, 2), torch.nan)
    refined = torch.ones(1, 2, 2, requires_grad=True)
    none = torch.zeros(1, 2, dtype=torch.bool)
    confidence_guided_loss(refined, torch.zeros(1, 2, 2), labels, torch.rand(1, 2), none).backward()
    assert refined.grad.abs().max() == 0
