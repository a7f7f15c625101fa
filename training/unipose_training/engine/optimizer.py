"""What changes the weights, and its learning rate as a function of the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from unipose_training.engine.config import RunSettings, TrainingError

#: The least side of a matrix that is worth an orthogonal step.
_LARGE = 128


def learning_rate_at(step: int, settings: RunSettings) -> float:
    """The learning rate of a step: up in a line while warming up, then as scheduled.

    Source of the cosine: Loshchilov and Hutter, ICLR 2017, without restarts.
    """
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    if settings.schedule == "constant":
        return settings.learning_rate
    done = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def make_optimizer(task: nn.Module, settings: RunSettings) -> torch.optim.Optimizer:
    """What changes all parameters that require a gradient.

    ``adamw``: Loshchilov and Hutter, ICLR 2019. ``muon``: the large matrices' steps are made
    orthogonal (Jordan et al., 2024) and ``muon_lr_scale`` times as long as AdamW's would be (scaled
    as in Liu et al., arXiv 2502.16982); AdamW does the rest. Biases and the scales of normalization do not decay.

    Raises:
        TrainingError: nothing requires a gradient.
    """
    learned = [parameter for parameter in task.parameters() if parameter.requires_grad]
    if not learned:
        raise TrainingError(f"{type(task).__name__} has no parameter that requires a gradient; nothing can be learned")
    matrices = [p for p in learned if _is_large_matrix(p)] if settings.optimizer == "muon" else []
    turned = {id(parameter) for parameter in matrices}
    others = _adamw([parameter for parameter in learned if id(parameter) not in turned], settings)
    if not matrices:
        return others
    muon = torch.optim.Muon(
        [{"params": matrices, "factor": settings.muon_lr_scale}],
        lr=settings.learning_rate * settings.muon_lr_scale,
        weight_decay=settings.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    return _JointOptimizer([muon, others])


def _adamw(parameters: Sequence[nn.Parameter], settings: RunSettings) -> torch.optim.Optimizer:
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=settings.learning_rate)


def _is_large_matrix(parameter: nn.Parameter) -> bool:
    """First and last layers are not: their rows mean something each."""
    return parameter.ndim == 2 and min(parameter.shape) >= _LARGE


class _JointOptimizer(torch.optim.Optimizer):
    """Optimizers of different parameters as one."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self._parts = parts
        super().__init__(self._groups(), {})

    def _groups(self) -> list[dict[str, Any]]:
        return [group for part in self._parts for group in part.param_groups]

    def step(self, closure: Any = None) -> Any:
        """All parts take their step."""
        result = None if closure is None else closure()
        for part in self._parts:
            part.step()
        return result

    def state_dict(self) -> dict[str, Any]:
        """Of all parts."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Into all parts."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = self._groups()


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The rate of all parameters, times what a group has as its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("factor", 1.0)
