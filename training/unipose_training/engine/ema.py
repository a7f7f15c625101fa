"""The exponential moving average (EMA) of a network's weights, which is what is validated and saved.

Source: Tarvainen and Valpola, Mean Teacher, NeurIPS 2017; the warm-up is that of TensorFlow's
``ExponentialMovingAverage``.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn

from unipose_training.engine.step import Task

if TYPE_CHECKING:
    from typing_extensions import Self  # torch needs the package; typing has it from Python 3.11 on


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
