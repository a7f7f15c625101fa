"""Networks and the true joints: what recipe ``supervised`` minimises."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unipose_ros.codecs.depth_image import DepthImageConfig
from unipose_ros.networks.anchor_to_joint import AnchorNetwork
from unipose_ros.networks.point_cloud import PointNetwork
from unipose_training.engine.task import Task
from unipose_training.losses.agreement import early_decay, follow
from unipose_training.losses.joints import joint_loss
from unipose_training.recipes.point_task import ask, truth_figures
from unipose_training.recipes.voices import TermShares, WindowVoice, scale_term, true_target
from unipose_training.samples.augment import NO_AUGMENTATION as SAME_POINTS
from unipose_training.samples.augment import PointAugmentation
from unipose_training.samples.batch import PersonBatch
from unipose_training.samples.window_augment import WindowAugmentation
from unipose_training.samples.window_keypoints import NO_NOISE


@dataclass(frozen=True)
class SupervisedWeights(TermShares):
    """How much each term counts; depth and rgb have those of :class:`TermShares`, points ``joints`` and ``scale``.

    Attributes:
        joints: distance to the true joints.

    Raises:
        ValueError: one is negative.
    """

    joints: float = 1.0


class _Averaged(Task):
    """A network and its moving average, which is what is judged and saved.

    Args:
        average: part of the average that a step keeps.
    """

    def __init__(self, network: nn.Module, average: float) -> None:
        super().__init__()
        self.network = network
        self.averaged = copy.deepcopy(network).requires_grad_(False)
        self._average = average

    def after_step(self, step: int) -> None:
        """The average follows; at first quickly, for it begins with nothing learned."""
        follow(self.averaged, self.network, early_decay(self._average, step))

    def trained(self) -> nn.Module:
        """The average."""
        return self.averaged


class SupervisedPoints(_Averaged):
    """A point network and the true joints of every frame.

    Args:
        stored_centres: so many of each stored cloud's first points are spread evenly.
    """

    network: PointNetwork
    averaged: PointNetwork

    def __init__(
        self,
        network: PointNetwork,
        weights: SupervisedWeights,
        augmentation: PointAugmentation,
        stored_centres: int,
        average: float,
    ) -> None:
        super().__init__(network, average)
        self._weights, self._augmentation, self._centres = weights, augmentation, stored_centres

    def training_loss(self, batch: PersonBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`SupervisedWeights`."""
        said = ask(self.network, batch, self._augmentation, self._centres)
        target = true_target(batch.truth, batch.given[..., None])
        terms = {
            "joints": self._weights.joints * joint_loss(said.joints, target.joints, target.weights),
            "scale": self._weights.scale * scale_term(said.joints, said.log_scales, target),
        }
        return terms["joints"] + terms["scale"], terms

    def validation_figures(self, batch: PersonBatch) -> dict[str, Tensor]:
        """See :func:`unipose_training.recipes.point_task.truth_figures`."""
        return truth_figures(ask(self.averaged, batch, SAME_POINTS, self._centres), batch)


class SupervisedWindows(Task):
    """A network that looks at windows of depth or colour, and the true joints of the last frame.

    Args:
        depth: how depth windows are encoded; None for colour.
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
        self.voice = WindowVoice(network, augmentation, depth, NO_NOISE, weights)
        self._average = average

    def training_loss(self, batch: PersonBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`TermShares`."""
        _, terms = self.voice.learn(batch, true_target(batch.truth[:, -1], batch.given[:, -1:]))
        return torch.stack(list(terms.values())).sum(), terms

    def validation_figures(self, batch: PersonBatch) -> dict[str, Tensor]:
        """See :func:`unipose_training.recipes.point_task.truth_figures`."""
        return truth_figures(self.voice.recall(batch), batch)

    def after_step(self, step: int) -> None:
        """See :meth:`_Averaged.after_step`."""
        self.voice.follow(early_decay(self._average, step))

    def trained(self) -> nn.Module:
        """The average."""
        return self.voice.averaged
