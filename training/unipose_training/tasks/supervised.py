"""Networks and the true joints: what recipe ``supervised`` minimizes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unipose_ros.codecs.windows import DepthImageConfig
from unipose_ros.networks.anchors import AnchorNetwork
from unipose_ros.networks.points import PointNetwork
from unipose_training.engine.ema import AveragedTask
from unipose_training.engine.step import Task
from unipose_training.losses.robust import joint_loss
from unipose_training.samples.augment_points import NO_AUGMENTATION as SAME_POINTS
from unipose_training.samples.augment_points import PointAugmentation
from unipose_training.samples.augment_windows import NO_NOISE, WindowAugmentation
from unipose_training.samples.dataset import PersonBatch
from unipose_training.tasks.points import ground_truth_metrics, predict
from unipose_training.tasks.students import StudentLossWeights, WindowStudent, ground_truth_target, scale_term


@dataclass(frozen=True)
class SupervisedWeights(StudentLossWeights):
    """Loss weights: depth and rgb use :class:`StudentLossWeights`, points use ``joints`` and ``scale``.

    Attributes:
        joints: distance to the true joints.

    Raises:
        ValueError: one is negative.
    """

    joints: float = 1.0


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
        average: float,
    ) -> None:
        super().__init__(network, average)
        self._weights, self._augmentation, self._centers = weights, augmentation, stored_centers

    def training_loss(self, batch: PersonBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`SupervisedWeights`."""
        said = predict(self.network, batch, self._augmentation, self._centers)
        target = ground_truth_target(batch.truth, batch.given[..., None])
        terms = {
            "joints": self._weights.joints * joint_loss(said.joints, target.joints, target.weights),
            "scale": self._weights.scale * scale_term(said.joints, said.log_scales, target),
        }
        return terms["joints"] + terms["scale"], terms

    def validation_metrics(self, batch: PersonBatch) -> dict[str, Tensor]:
        """See :func:`unipose_training.tasks.points.ground_truth_metrics`."""
        return ground_truth_metrics(predict(self.averaged, batch, SAME_POINTS, self._centers), batch)


class SupervisedWindows(Task):
    """A network that looks at windows of depth or color, and the true joints of the last frame.

    Args:
        depth: how depth windows are encoded; None for color.
        average: part of the moving average of the weights that a step keeps.
    """

    def __init__(
        self,
        network: AnchorNetwork,
        weights: SupervisedWeights,
        augmentation: WindowAugmentation,
        depth: DepthImageConfig | None,
        average: float,
    ) -> None:
        super().__init__()
        self.voice = WindowStudent(network, augmentation, depth, NO_NOISE, weights)
        self._average = average

    def training_loss(self, batch: PersonBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`StudentLossWeights`."""
        _, terms = self.voice.learn(batch, ground_truth_target(batch.truth[:, -1], batch.given[:, -1:]))
        return torch.stack(list(terms.values())).sum(), terms

    def validation_metrics(self, batch: PersonBatch) -> dict[str, Tensor]:
        """See :func:`unipose_training.tasks.points.ground_truth_metrics`."""
        return ground_truth_metrics(self.voice.recall(batch), batch)

    def on_step_end(self, step: int) -> None:
        """The average follows."""
        self.voice.update_ema(self._average, step)

    def trained(self) -> nn.Module:
        """The average."""
        return self.voice.averaged
