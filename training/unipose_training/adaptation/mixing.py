"""Between the weights before and after fine-tuning: as much of the recording as source people allow, layer by layer.

On the way from the one to the other lie networks that keep what was known and have most of what was learned (Wortsman
et al., Robust fine-tuning of zero-shot models, CVPR 2022). A change of the sensor concerns other layers than one of the
clothes (Lee et al., Surgical fine-tuning improves adaptation to distribution shifts, ICLR 2023), and what was learned
at random in the others only costs source people: each layer has its own share of the way (layer-wise as in Yang et
al., AdaMerging, ICLR 2024).

The shares minimize the error on the recording's pseudo-labels while that on source people stays within a limit:
sequential linear programming within a trust region. Slopes are gradients of the weights projected on the way.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linprog
from torch import nn

from unipose_training.engine.step import Task
from unipose_training.samples.dataset import PersonBatch
from unipose_training.synthetic.stream.people import select

#: A task that validates a copy of the network, with gradients: its ``trained()``.
MakeTask = Callable[[nn.Module], Task]

#: Shares of all layers alike, of which one is found first.
UNIFORM = (1.0, 0.85, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2)
_ROUNDS = 5
#: Slopes are those of so many people; whether a step is taken is told by all of them.
_SLOPES = 128
#: How far a share moves in a round, at first and at least.
_RADIUS, _LEAST_RADIUS = 0.2, 0.02
_TOGETHER = 64
_ERROR = "mpjpe_mm"


@dataclass(frozen=True)
class Mixture:
    """Weights between two networks.

    Attributes:
        shares: of the adapted weights by layer; 0 is the parent.
        source_before, source_uniform, source: errors on source people in millimeters of the parent, with one share
            for all layers, and with these.
        recording_before, recording_uniform, recording: distances to the pseudo-labels in millimeters.
        uniform: the largest one share for all layers that is within the limit, or the smallest of :data:`UNIFORM`.
    """

    shares: Mapping[str, float]
    uniform: float
    source_before: float
    source_uniform: float
    source: float
    recording_before: float
    recording_uniform: float
    recording: float


def layer_of(name: str) -> str:
    """The layer that a parameter or buffer belongs to: ``layers.0.widen.weight`` -> ``layers.0.widen``."""
    return name.rpartition(".")[0]


@torch.no_grad()
def interpolate(network: nn.Module, parent: nn.Module, shares: Mapping[str, float]) -> None:
    """``network <- parent + share (network - parent)``, in place, each layer by its share."""
    before = parent.state_dict()
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.copy_(before[name] + shares[layer_of(name)] * (value - before[name]))


def choose_shares(
    parent: nn.Module,
    trained: nn.Module,
    make_task: MakeTask,
    source: PersonBatch,
    recording: PersonBatch,
    margin: float,
) -> Mixture:
    """How far each layer goes from the parent's weights to the adapted ones.

    Args:
        make_task: for a network.
        source: people with ground truth.
        recording: people with pseudo-labels in the place of the ground truth.
        margin: fraction by which the error on source people may grow.
    """
    ends = _Ends(parent, trained, make_task)
    zeros = np.zeros(len(ends.layers))
    source_before, recording_before = ends.error(zeros, source), ends.error(zeros, recording)
    limit = (1 + margin) * source_before
    uniform = _largest_within(lambda share: ends.error(np.full(len(ends.layers), share), source), limit)
    shares = np.full(len(ends.layers), uniform)
    on_source = source_uniform = ends.error(shares, source)
    recording_uniform = ends.error(shares, recording)
    on_recording, radius = recording_uniform, _RADIUS
    rising, falling = ends.slopes(shares, source), ends.slopes(shares, recording)
    for _ in range(_ROUNDS):
        room = limit - on_source
        for _ in range(2):
            tried = shares + _linear_step(falling, rising, room, shares, radius)
            new_source = ends.error(tried, source)
            if new_source <= limit:
                break
            room -= 1.1 * (new_source - limit)  # the error on source people curves upwards
        new_recording = ends.error(tried, recording)
        if new_source < on_source if on_source > limit else (new_source <= limit and new_recording < on_recording):
            shares, on_source, on_recording = tried, new_source, new_recording
            rising, falling = ends.slopes(shares, source), ends.slopes(shares, recording)
        else:
            radius /= 2
            if radius < _LEAST_RADIUS:
                break
    return Mixture(
        dict(zip(ends.layers, shares.tolist(), strict=True)), uniform,
        source_before, source_uniform, on_source, recording_before, recording_uniform, on_recording,
    )  # fmt: skip


def _largest_within(error: Callable[[float], float], limit: float) -> float:
    """The largest of :data:`UNIFORM` whose error is within the limit, by bisection; the smallest where none is."""
    first, last = 0, len(UNIFORM) - 1
    while first < last:
        middle = (first + last) // 2
        first, last = (first, middle) if error(UNIFORM[middle]) <= limit else (middle + 1, last)
    return UNIFORM[first]


def _linear_step(
    falling: NDArray[np.float64], rising: NDArray[np.float64], room: float, shares: NDArray[np.float64], radius: float
) -> NDArray[np.float64]:
    """The step that most lowers one linear function while another grows by at most ``room``; shares stay in [0, 1]."""
    bounds = list(zip(np.maximum(-radius, -shares), np.minimum(radius, 1 - shares), strict=True))
    solved = linprog(falling, A_ub=rising[None], b_ub=[room], bounds=bounds)
    if solved.x is None:  # beyond the limit by more than this radius makes good: back as fast as possible
        solved = linprog(rising, bounds=bounds)
    return np.asarray(solved.x, np.float64)


class _Ends:
    """Networks between two."""

    def __init__(self, parent: nn.Module, trained: nn.Module, make_task: MakeTask) -> None:
        self._parent, self._trained, self._make_task = parent, trained, make_task
        self.layers = tuple(dict.fromkeys(layer_of(name) for name in trained.state_dict()))

    def _between(self, shares: NDArray[np.float64]) -> Task:
        network = copy.deepcopy(self._trained)
        interpolate(network, self._parent, dict(zip(self.layers, shares.tolist(), strict=True)))
        return self._make_task(network).eval()

    @torch.no_grad()
    def error(self, shares: NDArray[np.float64], people: PersonBatch) -> float:
        """Mean error in millimeters."""
        task = self._between(shares)
        return float(torch.cat([task.validation_metrics(part)[_ERROR].double() for part in _parts(people)]).nanmean())

    def slopes(self, shares: NDArray[np.float64], people: PersonBatch) -> NDArray[np.float64]:
        """By how much the mean error grows with each share."""
        task = self._between(shares)
        network = task.trained().requires_grad_(True)
        count = min(_SLOPES, len(people.rows))
        for part in _parts(select(people, torch.linspace(0, len(people.rows) - 1, count).long())):
            torch.autograd.backward(task.validation_metrics(part)[_ERROR].nansum() / count)
        before, after = dict(self._parent.named_parameters()), dict(self._trained.named_parameters())
        found = dict.fromkeys(self.layers, 0.0)
        for name, value in network.named_parameters():
            if value.grad is not None:
                way = (after[name] - before[name]).detach().double()
                found[layer_of(name)] += float((value.grad.double() * way).sum())
        return np.array([found[layer] for layer in self.layers])


def _parts(people: PersonBatch) -> list[PersonBatch]:
    count = len(people.rows)
    return [select(people, torch.arange(first, min(first + _TOGETHER, count))) for first in range(0, count, _TOGETHER)]
