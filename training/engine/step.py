"""One step: loss, gradient, and the weights' change, unless something is not finite."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from unipose_training.engine.settings import RunSettings
from unipose_training.engine.task import Task


@dataclass(frozen=True)
class StepResult:
    """What a step gave.

    Attributes:
        terms: ``loss`` and the task's named terms.
        gradient_norm: before clipping.
        good: loss and gradient are finite, in all processes; else nothing was changed.
    """

    terms: dict[str, float]
    gradient_norm: float
    good: bool

    def __str__(self) -> str:
        bad = [f"{name} = {value}" for name, value in self.terms.items() if not math.isfinite(value)]
        if bad:
            return "not finite: " + ", ".join(bad)
        return f"the gradient is not finite: its length is {self.gradient_norm}, the loss {self.terms['loss']:.4g}"


class Stepper:
    """Takes the steps of a task in this process.

    Args:
        optimiser: of the task's parameters.
    """

    def __init__(self, fabric: Fabric, task: Task, optimiser: torch.optim.Optimizer, settings: RunSettings) -> None:
        self._fabric, self._task = fabric, task
        self._module, self._optimiser = fabric.setup(_Lesson(task), optimiser)
        self._longest = settings.gradient_clip or math.inf

    def step(self, batch: Any, step: int) -> StepResult:
        """Learn from a batch that is on the device."""
        buffers = [(buffer, buffer.clone()) for buffer in self._task.buffers()]
        loss, terms = self._module(_Sealed(batch), step)
        self._optimiser.zero_grad()
        self._fabric.backward(loss)
        norm = self._fabric.clip_gradients(
            self._module, self._optimiser, max_norm=self._longest, error_if_nonfinite=False
        )
        assert norm is not None
        good = self._all_finite(loss, norm)
        if not good:
            self._forget(buffers)
        # Without gradients nothing moves; but float16's scale learns that it was too large.
        self._optimiser.step()
        if good:
            with torch.no_grad():
                self._task.after_step(step)
        values = {"loss": loss, **terms}
        return StepResult({name: float(value.detach()) for name, value in values.items()}, float(norm), good)

    def _all_finite(self, loss: Tensor, norm: Tensor) -> bool:
        finite = bool(torch.isfinite(loss.detach()) & torch.isfinite(norm))
        return self._fabric.strategy.reduce_boolean_decision(finite, all=True)

    def _forget(self, buffers: list[tuple[Tensor, Tensor]]) -> None:
        """Drop the gradients, and what a batch that is not finite left in running means."""
        self._optimiser.zero_grad(set_to_none=True)
        for buffer, before in buffers:
            buffer.copy_(before)


class _Sealed:
    """A batch that passes through Fabric untouched: mixed precision would round its metres and pixels."""

    def __init__(self, batch: Any) -> None:
        self.batch = batch


class _Lesson(nn.Module):
    """A task as a module whose ``forward`` is its training loss; several devices meet there."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def forward(self, sealed: _Sealed, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        return self.task.training_loss(sealed.batch, step)
