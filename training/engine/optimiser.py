"""AdamW, and its learning rate as a function of the step."""

from __future__ import annotations

import math

import torch
from torch import nn

from unipose_training.engine.errors import TrainingError
from unipose_training.engine.settings import RunSettings


def learning_rate_at(step: int, settings: RunSettings) -> float:
    """The learning rate of a step: up in a line while warming up, then as scheduled.

    Source of the cosine: Loshchilov and Hutter, ICLR 2017, without restarts.
    """
    if step < settings.warm_up_steps:
        return settings.learning_rate * (step + 1) / settings.warm_up_steps
    if settings.schedule == "constant":
        return settings.learning_rate
    done = (step - settings.warm_up_steps) / max(1, settings.steps - settings.warm_up_steps)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def make_optimiser(task: nn.Module, settings: RunSettings) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, ICLR 2019) for all that requires a gradient.

    Biases and the scales of normalisation do not decay.

    Raises:
        TrainingError: nothing requires a gradient.
    """
    learned = [parameter for parameter in task.parameters() if parameter.requires_grad]
    if not learned:
        raise TrainingError(f"{type(task).__name__} has no parameter that requires a gradient; nothing can be learned")
    groups = [
        {"params": [p for p in learned if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=settings.learning_rate)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """The same rate for all parameters."""
    for group in optimiser.param_groups:
        group["lr"] = rate
