"""A network's joints and lifted ones together."""

from __future__ import annotations

import math

import pytest
import torch

from unipose_training.recipes.fusion import fused

JOINTS = torch.tensor([[[0.0, 0.0, 2.0]]])
LOG_SCALES = torch.tensor([[math.log(0.05)]])


def together(
    lifted: tuple[float, float, float], variance: float = 1e-4, confidence: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    joints, scales = fused(
        JOINTS, LOG_SCALES, torch.tensor([[lifted]]), torch.tensor([[variance]]), torch.tensor([[confidence]])
    )
    return joints[0, 0], scales[0, 0]


def test_equally_sure_meet_in_the_middle() -> None:
    # Laplace's variance 2 s^2 against that along z, and 3 cm across.
    joint, scale = together((0.1, 0.0, 2.0), variance=2 * 0.05**2 - 0.03**2)
    assert joint.tolist() == pytest.approx([0.05, 0.0, 2.0])
    assert scale.item() == pytest.approx(math.log(0.05 / math.sqrt(2)))


def test_the_surer_one_counts_more() -> None:
    near, _ = together((0.1, 0.0, 2.0), variance=1e-6)
    far, _ = together((0.1, 0.0, 2.0), variance=1e-1)
    doubtful, _ = together((0.1, 0.0, 2.0), variance=1e-6, confidence=0.1)
    assert near[0] > 0.08
    assert far[0] < 0.01
    assert doubtful[0] < 0.02


@pytest.mark.parametrize("lifted", [(0.4, 0.0, 2.0), (math.nan, math.nan, math.nan)])
def test_slips_and_missing_joints_change_nothing(lifted: tuple[float, float, float]) -> None:
    joint, scale = together(lifted)
    assert joint.tolist() == JOINTS[0, 0].tolist()
    assert scale.item() == pytest.approx(LOG_SCALES.item())
