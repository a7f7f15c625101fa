from __future__ import annotations

import pytest
import torch
from scipy.spatial.transform import Rotation

from unipose_training.losses.body import PoseCritic, adversarial_loss, bone_ratio_loss, itop_priors, kinematic_chain
from unipose_training.losses.robust import bone_lengths

torch.manual_seed(1)
BONES = itop_priors().bones
JOINTS = 0.4 * torch.randn(3, 15, 3)


def test_the_diagonal_is_the_squared_lengths():
    chain = kinematic_chain(JOINTS, BONES)
    rows, columns = torch.triu_indices(len(BONES), len(BONES))
    squared = bone_lengths(JOINTS, BONES) ** 2
    torch.testing.assert_close(chain[:, rows == columns], squared / squared.mean(-1, keepdim=True))


def test_turning_moving_and_scaling_a_body_changes_nothing():
    turn = torch.tensor(Rotation.from_euler("xyz", [0.3, -1.0, 2.0]).as_matrix(), dtype=torch.float32)
    moved = 1.7 * JOINTS @ turn.T + torch.tensor([1.0, -2.0, 5.0])
    torch.testing.assert_close(kinematic_chain(moved, BONES), kinematic_chain(JOINTS, BONES), atol=1e-4, rtol=1e-4)


def test_flattening_a_body_changes_it():
    flat = JOINTS * torch.tensor([1.0, 1.0, 0.0])
    assert (kinematic_chain(flat, BONES) - kinematic_chain(JOINTS, BONES)).abs().max() > 0.1


def test_usual_ratios_cost_nothing_at_any_size():
    lengths = bone_lengths(JOINTS[:1], BONES)[0]
    means, stds = lengths / lengths.sum(), torch.full_like(lengths, 0.01)
    for size in (0.5, 1.0, 2.0):
        assert bone_ratio_loss(size * JOINTS[:1], BONES, means, stds, torch.ones(1)).item() < 1e-8


def test_one_impossible_bone_pulls_with_a_bounded_force():
    lengths = bone_lengths(JOINTS[:1], BONES)[0]
    means, stds = lengths / lengths.sum(), torch.full_like(lengths, 0.01)
    costs = []
    for stretch in (1.0, 5.0, 10.0):
        joints = JOINTS[:1].clone()
        joints[:, 7] += stretch * torch.tensor([1.0, 0, 0])
        costs.append(bone_ratio_loss(joints, BONES, means, stds, torch.ones(1)).item())
    assert costs[0] < costs[1] < costs[2] < 2 * costs[1]
    assert bone_ratio_loss(joints, BONES, means, stds, torch.zeros(1)) == 0


def test_the_critic_learns_while_the_lifter_is_turned_away():
    critic = PoseCritic(BONES)
    real, predicted = JOINTS, (JOINTS * torch.tensor([1.0, 1.0, 0.1])).requires_grad_()
    loss = adversarial_loss(critic, predicted, real, strength=0.5)
    gradient = torch.autograd.grad(loss, predicted, retain_graph=True)[0]
    plain = torch.autograd.grad(torch.nn.functional.softplus(critic(predicted)).mean(), predicted)[0]
    torch.testing.assert_close(gradient, -0.5 * plain)
    assert all(parameter.grad is None for parameter in critic.parameters())


def test_a_critic_tells_flat_bodies_from_real_ones():
    torch.manual_seed(2)
    critic, real = PoseCritic(BONES, width=32), 0.4 * torch.randn(64, 15, 3)
    flat = real * torch.tensor([1.0, 1.0, 0.05])
    optimizer = torch.optim.Adam(critic.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = adversarial_loss(critic, flat, real, strength=0.0)
        loss.backward()
        optimizer.step()
    assert critic(real).mean() - critic(flat).mean() > 1
    assert loss.item() == pytest.approx(0, abs=1.0)


def test_a_critic_tells_leaning_bodies_from_upright_ones():
    torch.manual_seed(3)
    critic, upright = PoseCritic(BONES, width=32), JOINTS[:1] + 0.02 * torch.randn(64, 15, 3)
    turn = torch.tensor(Rotation.from_euler("x", 0.4).as_matrix(), dtype=torch.float32)
    leaning = upright @ turn.T
    optimizer = torch.optim.Adam(critic.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        adversarial_loss(critic, leaning, upright, strength=0.0).backward()
        optimizer.step()
    assert critic(upright).mean() - critic(leaning).mean() > 1
