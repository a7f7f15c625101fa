"""Targets of a student: the teacher's predictions, brought to agree with all else, and what each counts."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from unipose_ros.lifting import load_lifter
from unipose_training.losses.body_priors import keypoint_priors
from unipose_training.pseudo_labels.filtering import FilterConfig, label_weights, passed_by_rule
from unipose_training.pseudo_labels.fusion import FusionSettings, fuse_trajectories
from unipose_training.pseudo_labels.observations import (
    no_root_relative_poses,
    observations_of_store,
    root_relative_poses_of_store,
)
from unipose_training.pseudo_labels.teacher import TeacherPredictions, measure_quality
from unipose_training.samples.dataset import Rows
from unipose_training.samples.store import SampleStore
from unipose_training.tasks.distill import DistillationTargets

_log = logging.getLogger(__name__)


def build_targets(
    store: SampleStore, predictions: TeacherPredictions, fusion: FusionSettings, config: FilterConfig
) -> tuple[DistillationTargets, dict[str, Tensor]]:
    """The targets of all rows, none of them labeled, and (N,) bool for every rule: the target fulfils it."""
    targets = _distillation_targets(store, predictions, fusion)
    kept = passed_by_rule(measure_quality(store, targets), config)
    weights = label_weights(kept, targets.log_scales, config)
    return DistillationTargets(*targets, weights, torch.zeros(len(store), dtype=torch.bool)), kept


def kept_fractions(kept: dict[str, Tensor], rows: Rows) -> dict[str, float]:
    """The part of some rows that fulfils each rule; it is logged."""
    parts = {name: round(float(good[torch.from_numpy(rows)].float().mean()), 4) for name, good in kept.items()}
    _log.info(
        "pseudo-labels that fulfil the rules: %s", ", ".join(f"{name} {100 * p:.0f} %" for name, p in parts.items())
    )
    return parts


def _distillation_targets(
    store: SampleStore, predictions: TeacherPredictions, settings: FusionSettings
) -> TeacherPredictions:
    if not settings.steps:
        return predictions
    shapes = (
        root_relative_poses_of_store(store, load_lifter(refine=False))
        if settings.lifter_scale
        else no_root_relative_poses(len(store))
    )
    observations = observations_of_store(store, predictions.joints, predictions.log_scales, shapes)
    return TeacherPredictions(*fuse_trajectories(observations, keypoint_priors(), settings))
