"""Between the weights before and after fine-tuning: as much of the recording as source people allow.

On the way from the one to the other lie networks that keep what was known and have most of what was learned (Wortsman
et al., Robust fine-tuning of zero-shot models, CVPR 2022).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from unipose_training.engine.step import Task
from unipose_training.samples.dataset import PersonBatch
from unipose_training.synthetic.stream.people import select

#: A task that validates a copy of the network: its ``trained()``.
MakeTask = Callable[[nn.Module], Task]

#: Of the adapted weights.
SHARES = (1.0, 0.85, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2)
_TOGETHER = 64
_ERROR = "mpjpe_mm"


@dataclass(frozen=True)
class Mixture:
    """Weights between two networks.

    Attributes:
        share: of the adapted weights; the others are the parent's.
        source_before, source: error on source data of the parent and with this share.
        recording_before, recording: the same on the recording, by pseudo-labels.
    """

    share: float
    source_before: float
    source: float
    recording_before: float
    recording: float


@torch.no_grad()
def interpolate(network: nn.Module, parent: nn.Module, share: float) -> None:
    """``network <- parent + share (network - parent)``, in place."""
    before = parent.state_dict()
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.copy_(before[name] + share * (value - before[name]))


def choose_share(
    parent: nn.Module,
    trained: nn.Module,
    make_task: MakeTask,
    source: PersonBatch,
    recording: PersonBatch,
    margin: float,
) -> Mixture:
    """The largest of :data:`SHARES` with which source people are within the margin, by bisection; else the smallest.

    Errors are means over people, in millimeters.

    Args:
        make_task: for a network.
        source: people with ground truth.
        recording: people with pseudo-labels in the place of the ground truth.
        margin: fraction by which the error on source people may grow.
    """

    def error(share: float, people: PersonBatch) -> float:
        network = copy.deepcopy(trained)
        interpolate(network, parent, share)
        return _mean_error(make_task(network).eval(), people)

    on_source = cache(lambda share: error(share, source))
    before = on_source(0.0)
    first, last = 0, len(SHARES) - 1
    while first < last:
        middle = (first + last) // 2
        within = on_source(SHARES[middle]) <= (1 + margin) * before
        first, last = (first, middle) if within else (middle + 1, last)
    share = SHARES[first]
    return Mixture(share, before, on_source(share), error(0.0, recording), error(share, recording))


@torch.no_grad()
def _mean_error(task: Task, people: PersonBatch) -> float:
    count = len(people.rows)
    parts = (select(people, torch.arange(at, min(at + _TOGETHER, count))) for at in range(0, count, _TOGETHER))
    return float(torch.cat([task.validation_metrics(part)[_ERROR].double() for part in parts]).nanmean())
