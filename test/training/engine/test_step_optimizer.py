from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from unipose_training.engine.config import RunSettings, TrainingError
from unipose_training.engine.step import learning_rate_at, make_optimizer, set_learning_rate

SETTINGS = RunSettings(steps=110, warmup_steps=10, learning_rate=2.0)


def test_the_rate_grows_in_a_line_and_falls_along_a_cosine() -> None:
    assert learning_rate_at(0, SETTINGS) == pytest.approx(0.2)
    assert learning_rate_at(9, SETTINGS) == pytest.approx(2.0)
    assert learning_rate_at(10, SETTINGS) == pytest.approx(2.0)
    assert learning_rate_at(60, SETTINGS) == pytest.approx(1.0)
    assert 0 < learning_rate_at(109, SETTINGS) < 1e-3


def test_a_constant_rate_stays() -> None:
    settings = RunSettings(steps=110, warmup_steps=0, learning_rate=2.0, schedule="constant")
    assert {learning_rate_at(step, settings) for step in range(110)} == {2.0}


def test_only_matrices_decay_and_frozen_weights_are_left_out() -> None:
    task = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1).requires_grad_(False))
    decaying, other = make_optimizer(task, SETTINGS).param_groups
    assert decaying["params"] == [task[0].weight]
    assert decaying["weight_decay"] == 0.01
    assert {id(p) for p in other["params"]} == {id(p) for p in (task[0].bias, task[1].weight, task[1].bias)}
    assert other["weight_decay"] == 0


def test_nothing_to_learn_is_refused() -> None:
    with pytest.raises(TrainingError, match="Linear has no parameter that requires a gradient"):
        make_optimizer(nn.Linear(1, 1).requires_grad_(False), SETTINGS)


def test_muon_goes_on_from_what_was_kept() -> None:
    settings = RunSettings(optimizer="muon", steps=6, warmup_steps=0)
    samples = torch.randn(6, 5, 128, generator=torch.Generator().manual_seed(0))

    def learn(task: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
        for step in steps:
            set_learning_rate(optimizer, learning_rate_at(step, settings))
            optimizer.zero_grad()
            (task(samples[step]) ** 2).sum().backward()
            optimizer.step()

    task = nn.Sequential(nn.Linear(128, 128), nn.Linear(128, 1))
    optimizer = make_optimizer(task, settings)
    learn(task, optimizer, range(3))
    again = copy.deepcopy(task)
    resumed = make_optimizer(again, settings)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    learn(task, optimizer, range(3, 6))
    learn(again, resumed, range(3, 6))
    assert len(optimizer.param_groups) == 3
    assert all(torch.equal(one, other) for one, other in zip(task.parameters(), again.parameters(), strict=True))
