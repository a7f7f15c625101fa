"""A2J's terms by hand."""

from __future__ import annotations

import math

import pytest
import torch

from unipose_training.losses.robust import anchor_regression_loss, informative_anchor_loss


def test_anchors_that_surround_the_joint_cost_nothing() -> None:
    anchor = torch.tensor([[[4.0, 4.0], [8.0, 0.0]]])
    assert informative_anchor_loss(anchor, anchor.clone(), torch.ones(1, 2)).item() == 0


def test_informative_anchors_by_hand() -> None:
    loss = informative_anchor_loss(torch.zeros(1, 1, 2), torch.tensor([[[3.0, 0.5]]]), torch.full((1, 1), 0.5))
    assert loss.item() == pytest.approx(0.5 * ((3.0 - 0.5) + 0.5**2 / 2))


def test_regression_by_hand() -> None:
    pixels, depths = torch.tensor([[[10.0, 20.0]]]), torch.tensor([[7.0]])
    loss = anchor_regression_loss(
        pixels, depths, torch.tensor([[[12.0, 20.0]]]), torch.tensor([[2.0]]), torch.full((1, 1), 0.5), uv_weight=2.0
    )
    assert loss.item() == pytest.approx(0.5 * (2.0 * (2.0 - 0.5) + (5.0 - 1.5)))


def test_a_missing_joint_adds_neither_value_nor_gradient() -> None:
    anchor = torch.zeros(1, 2, 2, requires_grad=True)
    pixels, depths = torch.zeros(1, 2, 2, requires_grad=True), torch.zeros(1, 2, requires_grad=True)
    targets, target_depths = torch.tensor([[[1.0, 2.0], [math.nan] * 2]]), torch.tensor([[1.0, math.nan]])
    loss = informative_anchor_loss(anchor, targets, torch.ones(1, 2))
    loss = loss + anchor_regression_loss(pixels, depths, targets, target_depths, torch.ones(1, 2))
    loss.backward()
    for value in (anchor, pixels, depths):
        assert torch.isfinite(value.grad).all()
        assert value.grad[:, 1].abs().max() == 0
        assert value.grad[:, 0].abs().max() > 0


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    targets, weights = torch.rand(2, 3, 2, dtype=torch.float64) * 8, torch.rand(2, 3, dtype=torch.float64)
    pixels = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)
    depths = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: informative_anchor_loss(s, targets, weights), pixels)
    assert torch.autograd.gradcheck(
        lambda p, z: anchor_regression_loss(p, z, targets, targets[..., 0], weights), (pixels, depths)
    )
