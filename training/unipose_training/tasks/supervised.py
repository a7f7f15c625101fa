"""Networks and the true joints: what recipe ``supervised`` minimizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from unipose_ros.codecs.windows import DepthImageConfig
from unipose_ros.joint_sets import ITOP15
from unipose_ros.networks.anchors import AnchorNetwork
from unipose_ros.networks.points import PointNetwork
from unipose_training.engine.step import AveragedTask, Task
from unipose_training.losses.robust import (
    bone_lengths,
    consistency_loss,
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
from unipose_training.tasks.students import (
    Student,
    StudentLossWeights,
    Target,
    WindowStudent,
    ground_truth_target,
    scale_term,
)


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


# Students and targets: what recipe ``distill`` minimizes.

#: A joint's confidence: the probability that a coordinate is within so many meters.
_CONFIDENT_WITHIN = 0.05


class DistillationTargets(NamedTuple):
    """Targets of the N rows of a store.

    Attributes:
        joints: (N, J, 3) meters; NaN unknown.
        log_scales: (N, J) log of how far that may be wrong, in meters.
        weights: (N, J).
        labeled: (N,) bool: the row's true joints are used instead.
    """

    joints: Tensor
    log_scales: Tensor
    weights: Tensor
    labeled: Tensor


class DistillTask(Task):
    """Networks that learn the same targets; with a mutual weight, each follows the others' averages as well.

    Args:
        students: by name of the network.
        student: the one that is evaluated.
        mutual_weight: weight of the distance to the others.
        ema_decay: fraction of each moving average that a step keeps.
    """

    joints: Tensor
    log_scales: Tensor
    weights: Tensor
    labeled: Tensor

    def __init__(
        self,
        students: Mapping[str, Student],
        targets: DistillationTargets,
        student: str,
        mutual_weight: float,
        ema_decay: float,
    ) -> None:
        super().__init__()
        self._modules_by_name = nn.ModuleDict(students)
        self._student, self._mutual_weight, self._ema_decay = student, mutual_weight, ema_decay
        for name, values in targets._asdict().items():
            self.register_buffer(name, values, persistent=False)

    @property
    def students(self) -> dict[str, Student]:
        """By name of the network."""
        return {name: cast(Student, module) for name, module in self._modules_by_name.items()}

    def training_loss(self, batch: PersonBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :meth:`Student.forward_train`, and :func:`unipose_training.losses.robust.consistency_loss`."""
        target, predictions = self.target(batch), {}
        terms: dict[str, Tensor] = {}
        for name, student in self.students.items():
            predictions[name], own = student.forward_train(batch, target)
            single = len(self.students) == 1
            terms |= own if single else {f"{name}_{term}": value for term, value in own.items()}
        if self._mutual_weight and len(predictions) > 1:
            terms |= self._mutual_losses(batch, predictions)
        return torch.stack(list(terms.values())).sum(), terms

    def target(self, batch: PersonBatch) -> Target:
        """The targets of a batch: the ground truth where a row is labeled and has it."""
        rows, ground_truth = batch.rows, batch.ground_truth[:, -1]
        labeled = self.labeled[rows, None] & ground_truth.isfinite().all(-1)
        return Target(
            torch.where(labeled[..., None], ground_truth, self.joints[rows]),
            torch.where(labeled, -torch.inf, self.log_scales[rows]),
            torch.where(labeled, 1.0, self.weights[rows]),
        )

    def validation_metrics(self, batch: PersonBatch) -> dict[str, Tensor]:
        """Distance to the ground truth where it is known, and that of the teacher, whose predictions need none."""
        prediction = self.students[self._student].predict_ema(batch)
        teacher = self.joints[batch.rows]
        apart = 1000 * (prediction.joints[:, 0] - teacher).norm(dim=-1)
        error = 1000 * (teacher - batch.ground_truth[:, -1]).norm(dim=-1)
        figures = {"mpjpe_to_teacher_mm": apart.nanmean(-1), "teacher_mpjpe_mm": error.nanmean(-1)}
        return {**ground_truth_metrics(prediction, batch), **figures}

    def on_step_end(self, step: int) -> None:
        """The averages follow; at first quickly, for they begin with nothing learned."""
        for student in self.students.values():
            student.update_ema(self._ema_decay, step)

    def trained(self) -> nn.Module:
        """The student's average."""
        return self.students[self._student].averaged

    def _mutual_losses(self, batch: PersonBatch, predictions: Mapping[str, Prediction]) -> dict[str, Tensor]:
        averages = {name: student.predict_ema(batch) for name, student in self.students.items()}
        weight = self._mutual_weight / (len(predictions) - 1)
        return {
            f"{name}_consistent_with_{other}": weight
            * consistency_loss(
                predictions[name].joints,
                averages[other].joints,
                _confidence(predictions[name]),
                _confidence(averages[other]),
            )
            for name in predictions
            for other in averages
            if other != name
        }


def _confidence(prediction: Prediction) -> Tensor:
    """(..., J) how likely a coordinate is within 5 cm, by Laplace's distribution."""
    confidence: Tensor = 1 - torch.exp(-_CONFIDENT_WITHIN * torch.exp(-prediction.log_scales))
    return confidence
