"""Recipe ``weak_points``: 2D keypoints and depth train a network on points. No 3D label is read.

Stage A of UniPose (arXiv 2509.23376), re-implemented from its abstract: the terms are those of
:mod:`unipose_training.recipes.weak_losses`, the numbers are ours. Where the samples have
ground truth, validation reports the distance to it; nothing is learned or chosen from it here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import Tensor

from unipose_ros.networks.points import SIZES, PointNetwork
from unipose_training.engine.data_loading import seed_everything, training_loader, validation_loader
from unipose_training.engine.loop import Outcome, train
from unipose_training.engine.step import AveragedTask
from unipose_training.losses.body import itop_priors, keypoint_priors
from unipose_training.samples.augment_points import NO_AUGMENTATION, PointAugmentation
from unipose_training.samples.build import SampleSource, open_labeled
from unipose_training.samples.dataset import PersonBatch, PersonDataset, identity_collate, split_rows
from unipose_training.tasks.base import RecipeConfig, init_point_network, validation_metrics
from unipose_training.tasks.points import (
    Prediction,
    ground_truth_metrics,
    point_samples,
    predict,
    save_points,
)
from unipose_training.tasks.weak_losses import WeakLossSettings, weak_losses


@dataclass(frozen=True, kw_only=True)
class WeakPointsConfig(RecipeConfig, SampleSource):
    """What stage A is trained on, and how. The samples have points and depth, and labels of a 2D network.

    Attributes:
        size: of the network, one of ``networks.point_cloud.SIZES``.
        frames: of a clip; 3 or more for the terms over time.
        joints: what the 2D network's joints mean: ``keypoints`` for COCO's, ``itop`` for ITOP's.
        paint: the network sees the 2D network's keypoints on the points (cross-modality).
        min_confidence: people whom the 2D network is less sure of do not count in the loss.
        loss: terms, and which labels are believed.
        augmentation: how clouds are changed.

    Raises:
        ValueError: a value is out of range.
    """

    size: str = "xs"
    frames: int = 1
    joints: Literal["keypoints", "itop"] = "keypoints"
    paint: bool = False
    min_confidence: float = 0.2
    loss: WeakLossSettings = field(default_factory=WeakLossSettings)
    augmentation: PointAugmentation = field(default_factory=PointAugmentation)

    def __post_init__(self) -> None:
        RecipeConfig.__post_init__(self)
        SampleSource.__post_init__(self)
        if self.size not in SIZES:
            raise ValueError(f"size = {self.size}: use one of {', '.join(SIZES)}")
        if self.frames < 1:
            raise ValueError(f"frames = {self.frames}: give at least 1")
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"min_confidence = {self.min_confidence}: must be within [0, 1]")


class WeakPointsTask(AveragedTask):
    """A point network, its moving average, and the terms that train it.

    Args:
        stored_centers: so many of each stored cloud's first points are spread evenly.
    """

    network: PointNetwork
    averaged: PointNetwork

    def __init__(self, network: PointNetwork, config: WeakPointsConfig, stored_centers: int) -> None:
        super().__init__(network, config.ema_decay)
        self._config = config
        self._centers = stored_centers
        self._priors = keypoint_priors() if config.joints == "keypoints" else itop_priors()

    def training_loss(self, batch: PersonBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`Task`."""
        prediction = predict(self.network, batch, self._config.augmentation, self._centers)
        terms = weak_losses(
            prediction.joints, prediction.log_scales, batch, self._priors.to(batch.confidence.device), self._config.loss
        )
        return sum(terms.values(), prediction.joints.new_zeros(())), terms

    def validation_metrics(self, batch: PersonBatch) -> dict[str, Tensor]:
        """Distance to the ground truth where it is known, and to what was lifted from the labels."""
        prediction = self._ask_average(batch)
        lifted = (prediction.joints - batch.lifted)[:, -1].norm(dim=-1)
        return {**ground_truth_metrics(prediction, batch), "from_lifted_mm": 1000 * lifted.nanmedian(-1).values}

    def _ask_average(self, batch: PersonBatch) -> Prediction:
        return predict(self.averaged, batch, NO_AUGMENTATION, self._centers)


def run(config: WeakPointsConfig, output: Path) -> Outcome:
    """Train; ``output`` gets the engine's files and, when the run is finished, ``points.safetensors``.

    Raises:
        DataError: the samples cannot be read, or their keypoints are projected ground truth.
        TrainingError: see :func:`unipose_training.engine.train.train`.
    """
    with_depth = config.loss.terms.free_space > 0
    settings = point_samples(config.size, with_depth)
    store = open_labeled(config, output, settings, max(1, config.run.workers))
    training, validation = split_rows(store, config.val_every_nth_clip, config.min_confidence)
    seed_everything(config.run.seed)
    network = init_point_network(config.size, config.frames, config.init_weights, config.paint)
    task = WeakPointsTask(network, config, store.centers)
    inputs = ("points", "depth") if with_depth else ("points",)
    outcome = train(
        task,
        training_loader(PersonDataset(store, training, inputs, config.frames), config.run, identity_collate),
        validation_loader(PersonDataset(store, validation, ("points",), config.frames), config.run, identity_collate),
        config.run,
        output,
    )
    if outcome.to_be_saved:
        origin = config.data or store.folder.name
        about = f"{len(training)} people in frames of {origin}, labeled by a 2D network; no 3D labels"
        save_points(output, task.trained(), about, validation_metrics(outcome))
    return outcome
