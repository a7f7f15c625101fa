"""What the person detector learns: heat on trunks, and box and distance of the person there."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from unipose_ros.networks.detector import CenterMaps, PersonCenterNet, split_maps
from unipose_training.detection.dataset import DetectorBatch
from unipose_training.engine.ema import AveragedTask

#: Log of the distance counts as many times as a meter of the box.
_DISTANCE_WEIGHT = 2.0


def heat_loss(heat: Tensor, wanted: Tensor, loss_mask: Tensor) -> Tensor:
    """Focal loss of a heat map, by person.

    Cells next to a center are wrong by degrees: the loss of calling them a center shrinks with the
    fourth power of how far they are from one. Source: Law and Deng, CornerNet, ECCV 2018.

    Args:
        heat: (B, h, w) logits.
        wanted: (B, h, w) in [0, 1], 1 in the centers' cells.
        loss_mask: (B, h, w) 0 where it is ignored.
    """
    probability = heat.sigmoid()
    center = (wanted == 1).to(heat.dtype)
    found = center * (1 - probability) ** 2 * functional.logsigmoid(heat)
    empty = (1 - center) * (1 - wanted) ** 4 * probability**2 * functional.logsigmoid(-heat)
    people = (center * loss_mask).sum().clamp(min=1)
    return -(loss_mask * (found + empty)).sum() / people


def side_loss(sides: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Mean distance in meters of the four sides of the boxes from the wanted ones, (B, 4, h, w)."""
    apart = (sides - wanted).abs().mean(dim=1)
    return (weights * apart).sum() / weights.sum().clamp(min=1e-6)


def distance_loss(logs: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Mean difference of log distances, (B, h, w): relative error of the distance."""
    return (weights * (logs - wanted).abs()).sum() / weights.sum().clamp(min=1e-6)


class DetectorTask(AveragedTask):
    """Trains a :class:`~unipose_ros.networks.detector.PersonCenterNet`.

    Args:
        network: to be trained.
        ema_decay: fraction of the moving average of the weights that a step keeps; the average is what is saved.
    """

    def __init__(self, network: PersonCenterNet, ema_decay: float = 0.998) -> None:
        super().__init__(network, ema_decay)

    def training_loss(self, batch: DetectorBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :meth:`unipose_training.engine.step.Task.training_loss`."""
        terms = _terms(split_maps(self.network(batch.images)), batch)
        return terms["heat"] + terms["sides"] + _DISTANCE_WEIGHT * terms["distance"], terms

    def validation_metrics(self, batch: DetectorBatch) -> dict[str, Tensor]:
        """The loss terms of each sample; those of boxes are NaN where there is no person."""
        maps = split_maps(self.averaged(batch.images))
        rows = [_one_sample(maps, batch, sample) for sample in range(len(batch.images))]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def _terms(maps: CenterMaps, batch: DetectorBatch) -> dict[str, Tensor]:
    return {
        "heat": heat_loss(maps.heat, batch.heat, batch.loss_mask),
        "sides": side_loss(maps.sides, batch.sides, batch.positive_mask),
        "distance": distance_loss(maps.log_distances, batch.log_distances, batch.positive_mask),
    }


def _one_sample(maps: CenterMaps, batch: DetectorBatch, sample: int) -> dict[str, Tensor]:
    one = slice(sample, sample + 1)
    terms = _terms(CenterMaps(*(each[one] for each in maps)), DetectorBatch(*(each[one] for each in batch)))
    if not batch.positive_mask[one].any():
        terms |= {name: torch.full_like(terms[name], torch.nan) for name in ("sides", "distance")}
    return terms
