"""Networks and the true joints: what recipe ``supervised`` minimizes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unipose_ros.codecs.windows import DepthImageConfig
from unipose_ros.joint_sets import ITOP15
from unipose_ros.networks.anchors import AnchorNetwork
from unipose_ros.networks.points import PointNetwork
from unipose_training.engine.ema import AveragedTask
from unipose_training.engine.step import Task
from unipose_training.losses.robust import (
    bone_lengths,
    huber,
    joint_loss,
    laplace_loss,
    length,
    split_valid,
    weighted_mean,
)
from unipose_training.samples.augment_points import NO_AUGMENTATION as SAME_POINTS
from unipose_training.samples.augment_points import PointAugmentation
from unipose_training.samples.augment_windows import NO_NOISE, WindowAugmentation
from unipose_training.samples.dataset import PersonBatch
from unipose_training.tasks.points import Prediction, ground_truth_metrics, predict
from unipose_training.tasks.students import StudentLossWeights, Target, WindowStudent, ground_truth_target, scale_term


@dataclass(frozen=True)
class SupervisedWeights(StudentLossWeights):
    """Loss weights: depth and rgb use :class:`StudentLossWeights` as well.

    Attributes:
        joints: distance to the true joints (points).
        likelihood: Laplace's likelihood of the true joints: unlike ``scale`` it moves the joints too, and most
            where the network is sure.
        bones: distance between each bone as a vector and the true one.
        lengths: difference between each bone's length and the true one. A joint that may be here or there is least
            wrong on average in between, with bones too short; this term keeps them long.
        occluded: weight of joints that are not visible, beside 1 of those that are.

    Raises:
        ValueError: one is negative.
    """

    joints: float = 1.0
    likelihood: float = 0.0
    bones: float = 0.0
    lengths: float = 0.0
    occluded: float = 1.0


_BONES = [(bone.parent, bone.child) for bone in ITOP15.bones]


def body_terms(prediction: Prediction, target: Target, weights: SupervisedWeights) -> dict[str, Tensor]:
    """The terms of :class:`SupervisedWeights` that all networks have, without those that count nothing.

    Args:
        prediction: (B, T, J, 3) joints and (B, T, J) log scales.
        target: with the same sides.
    """
    terms: dict[str, Tensor] = {}
    if weights.likelihood:
        residuals = prediction.joints - target.joints
        terms["likelihood"] = weights.likelihood * laplace_loss(
            residuals, prediction.log_scales[..., None], target.weights[..., None]
        )
    if weights.bones or weights.lengths:
        bones = torch.tensor(_BONES, device=prediction.joints.device)
        true, there = split_valid(target.joints)
        both = there.all(-1).to(true.dtype) * target.weights
        pairs = both[..., bones[:, 0]] * both[..., bones[:, 1]]
        if weights.bones:
            wrong = prediction.joints - true
            apart = length(wrong[..., bones[:, 1], :] - wrong[..., bones[:, 0], :])
            terms["bones"] = weights.bones * weighted_mean(huber(apart, _KNEE), pairs)
        if weights.lengths:
            apart = bone_lengths(prediction.joints, bones) - bone_lengths(true, bones)
            terms["lengths"] = weights.lengths * weighted_mean(huber(apart, _KNEE), pairs)
    return terms


#: Meters, of Huber's function on bones.
_KNEE = 0.03


def weighted_target(batch: PersonBatch, weights: SupervisedWeights) -> Target:
    """The true joints (B, T, J, 3); occluded ones count as configured."""
    counted = torch.where(batch.visible, 1.0, weights.occluded) * batch.valid[..., None]
    return ground_truth_target(batch.ground_truth, counted)


class SupervisedPoints(AveragedTask):
    """A point network and the true joints of every frame.

    Args:
        stored_centers: so many of each stored cloud's first points are spread evenly.
    """

    network: PointNetwork
    averaged: PointNetwork

    def __init__(
        self,
        network: PointNetwork,
        weights: SupervisedWeights,
        augmentation: PointAugmentation,
        stored_centers: int,
        ema_decay: float,
    ) -> None:
        super().__init__(network, ema_decay)
        self._weights, self._augmentation, self._centers = weights, augmentation, stored_centers

    def training_loss(self, batch: PersonBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`SupervisedWeights`."""
        prediction = predict(self.network, batch, self._augmentation, self._centers)
        target = weighted_target(batch, self._weights)
        terms = {
            "joints": self._weights.joints * joint_loss(prediction.joints, target.joints, target.weights),
            "scale": self._weights.scale * scale_term(prediction.joints, prediction.log_scales, target),
            **body_terms(prediction, target, self._weights),
        }
        return torch.stack(list(terms.values())).sum(), terms

    def validation_metrics(self, batch: PersonBatch) -> dict[str, Tensor]:
        """See :func:`unipose_training.tasks.points.ground_truth_metrics`."""
        return ground_truth_metrics(predict(self.averaged, batch, SAME_POINTS, self._centers), batch)


class SupervisedWindows(Task):
    """A network on windows of depth or color, and the true joints of the last frame.

    Args:
        depth: how depth windows are encoded; None for color.
        ema_decay: fraction of the moving average of the weights that a step keeps.
    """

    def __init__(
        self,
        network: AnchorNetwork,
        weights: SupervisedWeights,
        augmentation: WindowAugmentation,
        depth: DepthImageConfig | None,
        ema_decay: float,
    ) -> None:
        super().__init__()
        self.student = WindowStudent(network, augmentation, depth, NO_NOISE, weights)
        self._weights, self._ema_decay = weights, ema_decay

    def training_loss(self, batch: PersonBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`SupervisedWeights`."""
        target = Target(*(values[:, -1] for values in weighted_target(batch, self._weights)))
        prediction, terms = self.student.forward_train(batch, target)
        terms |= body_terms(Prediction(prediction.joints[:, -1], prediction.log_scales[:, -1]), target, self._weights)
        return torch.stack(list(terms.values())).sum(), terms

    def validation_metrics(self, batch: PersonBatch) -> dict[str, Tensor]:
        """See :func:`unipose_training.tasks.points.ground_truth_metrics`."""
        return ground_truth_metrics(self.student.predict_ema(batch), batch)

    def on_step_end(self, step: int) -> None:
        """The average follows."""
        self.student.update_ema(self._ema_decay, step)

    def trained(self) -> nn.Module:
        """The average."""
        return self.student.averaged
