"""What the refiner is to learn: true keypoints from a detector's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unipose_ros.codecs.keypoints import REFINER_INPUT
from unipose_ros.networks.refiner import RefinerConfig, RefinerNetwork
from unipose_training.data.motion_pairs import PairBatch
from unipose_training.engine.task import Task
from unipose_training.losses.reduction import length, robust, weighted_mean
from unipose_training.losses.reprojection import confidence_guided_loss


class RefinerTask(Task):
    """Confidence-guided repair.

    Args:
        truth_weight: of the plain distance to the true keypoint, beside the confidence-guided loss.
    """

    def __init__(self, config: RefinerConfig, truth_weight: float = 1.0) -> None:
        super().__init__()
        self.network = RefinerNetwork(config)
        self._truth_weight = truth_weight

    def trained(self) -> nn.Module:
        """The network."""
        return self.network

    def training_loss(self, batch: PairBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The confidence-guided loss, and how far from the truth keypoints are afterwards."""
        given, refined = self._refine(batch)
        terms = {
            "guided": confidence_guided_loss(refined, given, batch.keypoints, batch.confidences, batch.labelled),
            "truth": weighted_mean(robust(length(refined - batch.keypoints), 0.05), batch.labelled.to(refined.dtype)),
        }
        return terms["guided"] + self._truth_weight * terms["truth"], terms

    def validation_figures(self, batch: PairBatch) -> dict[str, Tensor]:
        """Mean error of seen keypoints in sizes of the person, before and after."""
        given, refined = self._refine(batch)
        counted = torch.where(batch.seen & batch.labelled, 1.0, torch.nan)
        errors = {"given": given, "refined": refined}
        return {name: (length(value - batch.keypoints) * counted).nanmean(-1) for name, value in errors.items()}

    def _refine(self, batch: PairBatch) -> tuple[Tensor, Tensor]:
        values = batch.inputs[:, :REFINER_INPUT]
        return values.reshape(len(values), -1, 3)[..., :2], self.network(values)
