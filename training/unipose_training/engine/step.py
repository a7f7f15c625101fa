"""One step: loss, gradient, and the weights' change, unless something is not finite."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from unipose_training.engine.config import RunSettings

# What a recipe hands to the engine.


class Task(nn.Module):
    """Networks together with what they are to learn.

    The engine trains every parameter that requires a gradient, and keeps all parameters and buffers
    in its checkpoints. An average of a network is a submodule with ``requires_grad_(False)``.
    """

    def training_loss(self, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch; gradients flow from it.

        Random numbers may be drawn from torch's own generators: the engine seeds them anew for
        every step, so that a run which was interrupted continues with the same numbers.

        Args:
            batch: on the device already.
            step: batches seen before this one.

        Returns:
            A scalar, and named scalars for the logs.
        """
        raise NotImplementedError

    def validation_metrics(self, batch: Any) -> dict[str, Tensor]:
        """Named figures of each sample, (B,) each; NaN where a sample has none.

        Called without gradients and in evaluation mode; the engine averages over all samples.
        """
        raise NotImplementedError

    def on_step_end(self, step: int) -> None:
        """Called when the weights have changed, without gradients; for moving averages and the like."""

    def trained(self) -> nn.Module:
        """What the run is for, and what is saved in the end."""
        raise NotImplementedError


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
        optimizer: of the task's parameters.
    """

    def __init__(self, fabric: Fabric, task: Task, optimizer: torch.optim.Optimizer, settings: RunSettings) -> None:
        self._fabric, self._task = fabric, task
        self._module, self._optimizer = fabric.setup(_LossModule(task), optimizer)
        self._longest = settings.gradient_clip or math.inf

    def step(self, batch: Any, step: int) -> StepResult:
        """Learn from a batch that is on the device."""
        buffers = [(buffer, buffer.clone()) for buffer in self._task.buffers()]
        loss, terms = self._module(_NoAutocast(batch), step)
        self._optimizer.zero_grad()
        self._fabric.backward(loss)
        norm = self._fabric.clip_gradients(
            self._module, self._optimizer, max_norm=self._longest, error_if_nonfinite=False
        )
        assert norm is not None
        good = self._all_finite(loss, norm)
        if not good:
            self._forget(buffers)
        # Without gradients nothing moves; but float16's scale learns that it was too large.
        self._optimizer.step()
        if good:
            with torch.no_grad():
                self._task.on_step_end(step)
        values = {"loss": loss, **terms}
        return StepResult({name: float(value.detach()) for name, value in values.items()}, float(norm), good)

    def _all_finite(self, loss: Tensor, norm: Tensor) -> bool:
        finite = bool(torch.isfinite(loss.detach()) & torch.isfinite(norm))
        return self._fabric.strategy.reduce_boolean_decision(finite, all=True)

    def _forget(self, buffers: list[tuple[Tensor, Tensor]]) -> None:
        """Drop the gradients, and what a batch that is not finite left in running means."""
        self._optimizer.zero_grad(set_to_none=True)
        for buffer, before in buffers:
            buffer.copy_(before)


class _NoAutocast:
    """A batch that passes through Fabric untouched: mixed precision would round its meters and pixels."""

    def __init__(self, batch: Any) -> None:
        self.batch = batch


class _LossModule(nn.Module):
    """A task as a module whose ``forward`` is its training loss; several devices meet there."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def forward(self, sealed: _NoAutocast, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        return self.task.training_loss(sealed.batch, step)
