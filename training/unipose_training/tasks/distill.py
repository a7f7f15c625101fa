"""Students and targets: what recipe ``distill`` minimizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from unipose_training.engine.step import Task
from unipose_training.losses.consistency import consistency_loss
from unipose_training.samples.dataset import PersonBatch
from unipose_training.tasks.points import Prediction, ground_truth_metrics
from unipose_training.tasks.students import Student, Target

#: A joint's confidence: the probability that a coordinate is within so many meters.
_TRUSTED_WITHIN = 0.05


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
        """See :meth:`Student.forward_train`, and :func:`unipose_training.losses.consistency.consistency_loss`."""
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
    confidence: Tensor = 1 - torch.exp(-_TRUSTED_WITHIN * torch.exp(-prediction.log_scales))
    return confidence
