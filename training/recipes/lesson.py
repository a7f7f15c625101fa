"""What a student is taught: the teacher's answers, brought to agree with all else, and what each counts."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from unipose_ros.lifting import load_lifter
from unipose_training.losses.body_priors import keypoint_priors
from unipose_training.recipes.distill_task import Lesson
from unipose_training.recipes.pseudo_truth import TrustRules, answer_weights, kept_by_rule
from unipose_training.recipes.teacher_answers import Answers, gather_evidence
from unipose_training.samples.choice import Rows
from unipose_training.samples.store import SampleStore
from unipose_training.trajectories.claims import claims_of_store
from unipose_training.trajectories.fit import FitSettings, fit_trajectories
from unipose_training.trajectories.shapes import no_shapes, shapes_of_store

_log = logging.getLogger(__name__)


def make_lesson(
    store: SampleStore, answers: Answers, fit: FitSettings, rules: TrustRules
) -> tuple[Lesson, dict[str, Tensor]]:
    """The targets of all rows, none of them labelled, and (N,) bool for every rule: the target fulfils it."""
    targets = _targets(store, answers, fit)
    kept = kept_by_rule(gather_evidence(store, targets), rules)
    weights = answer_weights(kept, targets.log_scales, rules)
    return Lesson(*targets, weights, torch.zeros(len(store), dtype=torch.bool)), kept


def parts_kept(kept: dict[str, Tensor], rows: Rows) -> dict[str, float]:
    """The part of some rows that fulfils each rule; it is logged."""
    parts = {name: round(float(good[torch.from_numpy(rows)].float().mean()), 4) for name, good in kept.items()}
    _log.info("answers that fulfil the rules: %s", ", ".join(f"{name} {100 * p:.0f} %" for name, p in parts.items()))
    return parts


def _targets(store: SampleStore, answers: Answers, settings: FitSettings) -> Answers:
    if not settings.steps:
        return answers
    shapes = shapes_of_store(store, load_lifter(refine=False)) if settings.shapes else no_shapes(len(store))
    claims = claims_of_store(store, answers.joints, answers.log_scales, shapes)
    return Answers(*fit_trajectories(claims, keypoint_priors(), settings))
