"""One step: loss, gradient, and the weights' change, unless something is not finite."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from unipose_ros.backends import computes_in_bfloat16
from unipose_training.engine.config import RunSettings, TrainingError
from unipose_training.engine.muon import Float32Muon

if TYPE_CHECKING:
    from typing_extensions import Self


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


# The exponential moving average (EMA) of a network's weights, which is what is validated and saved.
#
# Source: Tarvainen and Valpola, Mean Teacher, NeurIPS 2017; the warm-up is that of TensorFlow's
# ``ExponentialMovingAverage``.


def ema_warmup(decay: float, step: int) -> float:
    """The decay of a step for :func:`ema_update`: at first the average follows quickly, it begins untrained."""
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def ema_update(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """``averaged <- decay averaged + (1 - decay) network`` for weights; counters and the like are copied."""
    current = network.state_dict()
    for name, value in averaged.state_dict().items():
        if value.is_floating_point():
            value.lerp_(current[name].to(value), 1 - decay)
        else:
            value.copy_(current[name])


class Averaged(nn.Module):
    """A network that is trained, and the EMA of its weights, which never is."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.averaged = copy.deepcopy(network).requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """The average is only ever asked: its batch normalization keeps to what it has seen."""
        super().train(mode)
        self.averaged.eval()
        return self

    def update_ema(self, decay: float, step: int) -> None:
        """The average takes a step towards the network."""
        ema_update(self.averaged, self.network, ema_warmup(decay, step))


class AveragedTask(Averaged, Task):
    """A task of one network whose average is validated and saved.

    Args:
        ema_decay: fraction of the average that a step keeps.
    """

    def __init__(self, network: nn.Module, ema_decay: float) -> None:
        super().__init__(network)
        self._ema_decay = ema_decay

    def on_step_end(self, step: int) -> None:
        """The average follows."""
        self.update_ema(self._ema_decay, step)

    def trained(self) -> nn.Module:
        """The average."""
        return self.averaged


# What changes the weights, and its learning rate as a function of the step.

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
    # A GPU has bfloat16.
    emulated = matrices[0].device.type == "cpu" and not computes_in_bfloat16()
    muon = (Float32Muon if emulated else torch.optim.Muon)(
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
