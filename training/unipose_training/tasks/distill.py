"""Voices and a lesson: what recipe ``distill`` minimizes."""

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

#: A joint is trusted as likely as a coordinate is within so many meters.
_TRUSTED_WITHIN = 0.05


class DistillationTargets(NamedTuple):
    """What is taught about the N rows of a store.

    Attributes:
        joints: (N, J, 3) meters; NaN unknown.
        log_scales: (N, J) log of how far that may be wrong, in meters.
        weights: (N, J).
        labeled: (N,) bool: the row's true joints are taught instead.
    """

    joints: Tensor
    log_scales: Tensor
    weights: Tensor
    labeled: Tensor


class DistillTask(Task):
    """Networks that learn the same lesson; with agreement, each follows the others' averages as well.

    Args:
        voices: by name of the network.
        student: the voice that is judged.
        agreement: weight of the distance to the others.
        average: part of each moving average that a step keeps.
    """

    joints: Tensor
    log_scales: Tensor
    weights: Tensor
    labeled: Tensor

    def __init__(
        self, voices: Mapping[str, Student], lesson: DistillationTargets, student: str, agreement: float, average: float
    ) -> None:
        super().__init__()
        self._modules_by_name = nn.ModuleDict(voices)
        self._student, self._agreement, self._average = student, agreement, average
        for name, values in lesson._asdict().items():
            self.register_buffer(name, values, persistent=False)

    @property
    def voices(self) -> dict[str, Student]:
        """By name of the network."""
        return {name: cast(Student, module) for name, module in self._modules_by_name.items()}

    def training_loss(self, batch: PersonBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :meth:`Student.learn`, and :func:`unipose_training.losses.consistency.consistency_loss`."""
        target, said = self.target(batch), {}
        terms: dict[str, Tensor] = {}
        for name, voice in self.voices.items():
            said[name], learned = voice.learn(batch, target)
            alone = len(self.voices) == 1
            terms |= learned if alone else {f"{name}_{term}": value for term, value in learned.items()}
        if self._agreement and len(said) > 1:
            terms |= self._agreements(batch, said)
        return torch.stack(list(terms.values())).sum(), terms

    def target(self, batch: PersonBatch) -> Target:
        """The lesson of a batch: the truth where a row is labeled and has it."""
        rows, truth = batch.rows, batch.truth[:, -1]
        labeled = self.labeled[rows, None] & truth.isfinite().all(-1)
        return Target(
            torch.where(labeled[..., None], truth, self.joints[rows]),
            torch.where(labeled, -torch.inf, self.log_scales[rows]),
            torch.where(labeled, 1.0, self.weights[rows]),
        )

    def validation_metrics(self, batch: PersonBatch) -> dict[str, Tensor]:
        """Distance to the truth where it is known, and that of the teacher, whose answers need none."""
        said = self.voices[self._student].recall(batch)
        teacher = self.joints[batch.rows]
        apart = 1000 * (said.joints[:, 0] - teacher).norm(dim=-1)
        error = 1000 * (teacher - batch.truth[:, -1]).norm(dim=-1)
        figures = {"mpjpe_to_teacher_mm": apart.nanmean(-1), "teacher_mpjpe_mm": error.nanmean(-1)}
        return {**ground_truth_metrics(said, batch), **figures}

    def on_step_end(self, step: int) -> None:
        """The averages follow; at first quickly, for they begin with nothing learned."""
        for voice in self.voices.values():
            voice.update_ema(self._average, step)

    def trained(self) -> nn.Module:
        """The student's average."""
        return self.voices[self._student].averaged

    def _agreements(self, batch: PersonBatch, said: Mapping[str, Prediction]) -> dict[str, Tensor]:
        heard = {name: voice.recall(batch) for name, voice in self.voices.items()}
        share = self._agreement / (len(said) - 1)
        return {
            f"{name}_heeds_{other}": share
            * consistency_loss(said[name].joints, heard[other].joints, _trust(said[name]), _trust(heard[other]))
            for name in said
            for other in heard
            if other != name
        }


def _trust(said: Prediction) -> Tensor:
    """(..., J) how likely a coordinate is within 5 cm, by Laplace's distribution."""
    trust: Tensor = 1 - torch.exp(-_TRUSTED_WITHIN * torch.exp(-said.log_scales))
    return trust
