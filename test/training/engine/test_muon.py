from __future__ import annotations

import pytest
import torch
from torch import nn

from unipose_training.engine import step
from unipose_training.engine.config import RunSettings
from unipose_training.engine.muon import Float32Muon, orthogonalized
from unipose_training.engine.step import Task, make_optimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


@pytest.mark.parametrize("shape", [(24, 60), (60, 24), (32, 32)])
def test_singular_vectors_stay_and_singular_values_become_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found = orthogonalized(matrix, COEFFICIENTS, 5, 1e-7)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    rotated = left.T @ found @ right.T
    values = rotated.diagonal()
    assert (rotated - values.diag()).abs().max() < 1e-3
    assert values.min() > 0.5
    assert values.max() < 1.3


@pytest.mark.parametrize("nesterov", [True, False])
def test_it_moves_as_the_optimizer_of_torch_up_to_its_rounding(nesterov: bool) -> None:
    options = {"lr": 0.01, "weight_decay": 0.1, "nesterov": nesterov, "adjust_lr_fn": "match_rms_adamw"}
    start = torch.randn(96, 80, generator=torch.Generator().manual_seed(2))
    moved = []
    for kind in (torch.optim.Muon, Float32Muon):
        parameter = nn.Parameter(start.clone())
        optimizer = kind([parameter], **options)
        generator = torch.Generator().manual_seed(3)
        for _ in range(4):
            parameter.grad = torch.randn(start.shape, generator=generator)
            optimizer.step()
        moved.append(parameter.detach() - start)
        state = optimizer.state_dict()["state"][0]
        assert list(state) == ["momentum_buffer"]
    assert (moved[0] - moved[1]).norm() < 0.02 * moved[0].norm()


@pytest.mark.parametrize("computes", [True, False])
def test_it_is_taken_where_the_cpu_would_emulate_bfloat16(monkeypatch: pytest.MonkeyPatch, computes: bool) -> None:
    monkeypatch.setattr(step, "computes_in_bfloat16", lambda: computes)

    class Matrix(Task):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(512, 512)

    parts = make_optimizer(Matrix(), RunSettings(optimizer="muon"))._parts  # type: ignore[attr-defined]
    assert isinstance(parts[0], Float32Muon) != computes
