"""Recipe ``distill``: what a point network predicts trains networks on depth or color images. No 3D label is read.

Stage B of UniPose (arXiv 2509.23376), re-implemented from its abstract: the predictions of the point
network are pseudo-labels for anchor-to-joint networks, after they were brought to agree with keypoints,
a lifter and time (:mod:`unipose_training.pseudo_labels.fusion`). They may train points once more as well. With
``peers``, several networks learn side by side and follow each other's averages. With ``label_fraction``,
true joints replace the pseudo-labels in a part of the clips. The numbers are ours.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from unipose_ros.files import write_atomic
from unipose_ros.lifting import load_lifter
from unipose_ros.networks.registry import load_network, save_network
from unipose_training.engine.config import RunSettings
from unipose_training.engine.data_loading import seed_everything, training_loader, validation_loader
from unipose_training.engine.loop import Outcome, train
from unipose_training.losses.body import keypoint_priors
from unipose_training.pseudo_labels.fusion import (
    FusionSettings,
    fuse_trajectories,
    no_root_relative_poses,
    observations_of_store,
    root_relative_poses_of_store,
)
from unipose_training.pseudo_labels.teacher import (
    FilterConfig,
    TeacherPredictions,
    label_weights,
    load_teacher,
    measure_quality,
    passed_by_rule,
    teacher_predictions,
)
from unipose_training.samples.augment_points import PointAugmentation
from unipose_training.samples.augment_windows import KeypointNoise, WindowAugmentation
from unipose_training.samples.build import SampleSource, open_labeled
from unipose_training.samples.dataset import PersonDataset, Rows, identity_collate, split_rows, subsample_clips
from unipose_training.samples.rows import SampleSettings
from unipose_training.samples.store import SampleStore
from unipose_training.tasks.base import (
    RecipeConfig,
    model_card,
    validation_metrics,
)
from unipose_training.tasks.networks import TRAINED, Augmentations, InitOptions, training_of
from unipose_training.tasks.students import Student, StudentLossWeights
from unipose_training.tasks.supervised import DistillationTargets, DistillTask


@dataclass(frozen=True, kw_only=True)
class DistillConfig(RecipeConfig, SampleSource):
    """What stage B is trained on, and how. The samples have points, the student's input and a 2D network's labels.

    Attributes:
        student: which network is trained.
        size: of it; see ``SIZES`` in ``networks.points``, ``DEPTH_SIZES`` and ``RGB_SIZES`` in ``networks.anchors``.
        lifting: 2D keypoints vote as well (depth, rgb).
        paint: keypoints are painted on the points (points).
        teacher: weights of a points network; "" takes the joints that modality ``lookup`` lifted.
        fusion: how the teacher's joints, lifted keypoints, the lifter, the body and time are brought to agree.
        peers: networks that learn beside the student, and their weights: points, depth or rgb.
        mutual_weight: weight of the distance to what the others' averages predict; 0 with peers lets them learn alone.
        label_fraction: fraction of the training clips whose true joints replace the teacher's predictions.
        min_confidence: people whom the 2D network is less sure of do not count in the loss.
        filter: which pseudo-labels count in full.
        loss: what counts how much.
        windows, points: how the inputs are changed at random.
        keypoints: how keypoints are made worse (lifting).

    Raises:
        ValueError: a value is out of range.
    """

    student: str = "depth"
    size: str = "tiny"
    lifting: bool = False
    paint: bool = False
    teacher: str = ""
    fusion: FusionSettings = field(default_factory=FusionSettings)
    peers: dict[str, str] = field(default_factory=dict)
    mutual_weight: float = 0.5
    label_fraction: float = 0.0
    min_confidence: float = 0.2
    filter: FilterConfig = field(default_factory=FilterConfig)
    loss: StudentLossWeights = field(default_factory=StudentLossWeights)
    windows: WindowAugmentation = field(default_factory=WindowAugmentation)
    points: PointAugmentation = field(default_factory=PointAugmentation)
    keypoints: KeypointNoise = field(default_factory=KeypointNoise)

    def __post_init__(self) -> None:
        RecipeConfig.__post_init__(self)
        SampleSource.__post_init__(self)
        training_of(self.student, "student").check(self.begin)
        for name in self.peers:
            if name not in TRAINED or name == self.student:
                others = ", ".join(each for each in TRAINED if each != self.student)
                raise ValueError(f"peers.{name}: a {self.student} student learns beside {others}")
        if not self.mutual_weight >= 0:
            raise ValueError(f"mutual_weight = {self.mutual_weight}: a weight must be at least 0")
        for name in ("label_fraction", "min_confidence"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be within [0, 1]")

    @property
    def begin(self) -> InitOptions:
        """The student before it learns. Pseudo-labels are of single frames, and so are points that learn them."""
        return InitOptions(self.size, self.init_weights, paint=self.paint, lifting=self.lifting)


def run(config: DistillConfig, output: Path) -> Outcome:
    """Train; ``output`` gets the engine's files, ``metrics.json``, and in the end the networks' weights.

    Raises:
        DataError: the samples cannot be read, lack an input, or hold projected ground truth.
        TrainingError: see :func:`unipose_training.engine.train.train`.
        WeightsError: weights that were named cannot be used.
    """
    store = open_labeled(config, output, _samples(config), max(1, config.run.workers))
    training, validation = split_rows(store, config.val_every_nth_clip, config.min_confidence)
    predictions = teacher_predictions(store, load_teacher(config.teacher), _device(config.run))
    targets, kept = build_targets(store, predictions, config.fusion, config.filter)
    if config.label_fraction:
        targets.labeled[torch.from_numpy(subsample_clips(store, training, config.label_fraction, config.run.seed))] = (
            True
        )
    parts = kept_fractions(kept, training)
    seed_everything(config.run.seed)
    task = DistillTask(_students(store, config), targets, config.student, config.mutual_weight, config.ema_decay)
    inputs = [TRAINED[name].stored for name in task.students]
    sizes = {
        stored: size
        for name, student in task.students.items()
        for stored, size in TRAINED[name].sizes(student.network).items()
    }
    outcome = train(
        task,
        training_loader(PersonDataset(store, training, inputs, sizes=sizes), config.run, identity_collate),
        validation_loader(PersonDataset(store, validation, inputs, sizes=sizes), config.run, identity_collate),
        config.run,
        output,
    )
    if outcome.first:
        _write_figures(output, config, outcome, len(training), parts)
    if outcome.to_be_saved:
        _save(output, config, store, task, outcome)
    return outcome


def _samples(config: DistillConfig) -> SampleSettings:
    """How people are cut out where the recipe builds its samples itself."""
    used = {TRAINED[name].stored for name in (config.student, *config.peers)}
    settings = TRAINED[config.student].samples(config.size)
    return replace(settings, with_points=True, with_depth="depth" in used, with_color="color" in used)


def _device(settings: RunSettings) -> torch.device:
    wants_gpu = settings.accelerator in ("auto", "gpu") and torch.cuda.is_available()
    return torch.device("cuda" if wants_gpu else "cpu")


def _students(store: SampleStore, config: DistillConfig) -> dict[str, Student]:
    networks = {config.student: TRAINED[config.student].init(config.begin)}
    networks |= {name: load_network(Path(weights), name)[0] for name, weights in config.peers.items()}
    augmentations = Augmentations(config.points, config.windows, config.keypoints)
    return {
        name: TRAINED[name].student(network, augmentations, store.centers, config.loss)
        for name, network in networks.items()
    }


def _write_figures(output: Path, config: DistillConfig, outcome: Outcome, people: int, kept: dict[str, float]) -> None:
    figures = {
        "network": config.student,
        "size": config.size,
        "lifting": config.lifting,
        "label_fraction": config.label_fraction,
        "training_samples": people,
        "passed_by_rule": kept,
        "steps": outcome.step,
        "validation": dict(outcome.figures),
    }
    write_atomic(output / "metrics.json", json.dumps(figures, indent=2) + "\n")


def _helpers(fusion: FusionSettings) -> str:
    """Whom the teacher's predictions were brought to agree with, for the record."""
    lifted = ", keypoints and depth" if fusion.depth_scale else ""
    shapes = ", a lifter that knows motion capture" if fusion.lifter_scale else ""
    return f"{lifted}{shapes}, over time" if fusion.steps else ""


def _save(output: Path, config: DistillConfig, store: SampleStore, task: DistillTask, outcome: Outcome) -> None:
    teacher = f"a points network ({Path(config.teacher).name})" if config.teacher else "keypoints lifted by depth"
    about = f"frames of {config.data or store.folder.name}, labeled by {teacher}{_helpers(config.fusion)}"
    about += (
        f"; true joints in {100 * config.label_fraction:g} % of the clips"
        if config.label_fraction
        else "; no 3D labels"
    )
    for name, student in task.students.items():
        network = student.averaged
        metrics = validation_metrics(outcome) if name == config.student else {}
        card = model_card(name, TRAINED[name].describe_input(network), about, metrics)
        save_network(output / f"{name}.safetensors", network, network.config, card)


# Targets of a student: the teacher's predictions, brought to agree with all else, and what each counts.

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
