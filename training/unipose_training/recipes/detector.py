"""Recipe ``detector``: the network that finds people in depth.

It is trained with ground truth of scenes that are rendered on the fly; or, with ``clips`` and ``keypoint_labels``, on
people whom a 2D network detected in the color images of clips.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader
from tqdm import tqdm

from unipose_ros.detection import DetectionConfig
from unipose_ros.networks.detector import CenterMaps, PersonCenterNet, PersonCenterNetConfig, split_maps
from unipose_ros.networks.registry import save_network
from unipose_ros.networks.weights import ModelCard, fill_module, load_weights
from unipose_training.datasets.base import Clip, open_clips
from unipose_training.detection.dataset import DetectorBatch, DetectorDataset
from unipose_training.detection.scenes import Scene, read_scene_file, read_scenes, write_scenes
from unipose_training.engine.data_loading import seed_everything, training_loader, validation_loader
from unipose_training.engine.loop import Outcome, train
from unipose_training.engine.step import AveragedTask
from unipose_training.errors import DataError
from unipose_training.synthetic.stream.detection import DetectionStream, detection_loader, validation_scenes
from unipose_training.synthetic.stream.settings import StreamSettings
from unipose_training.tasks.base import RecipeConfig, model_card, validation_metrics

_log = logging.getLogger(__name__)

#: Name of the recipe, of the network and of the file of weights.
NAME = "person_detector"


@dataclass(frozen=True, kw_only=True)
class DetectorRecipe(RecipeConfig):
    """What the person detector is trained on, and how.

    Attributes:
        clips: folder of clips with depth, in place of rendered scenes; only their depth is used.
        keypoint_labels: folder of what a 2D network detected in their color images (``unipose pseudo-label``).
        stream: what rendered scenes are like.
        people: which of the 2D network's people count.
        network: sizes.
        scene_focal: focal length in pixels of the depth images that are kept in memory.

    Raises:
        ValueError: a value is out of range.
    """

    clips: Path | None = None
    keypoint_labels: Path | None = None
    stream: StreamSettings = field(default_factory=StreamSettings)
    detection: DetectionConfig = field(default_factory=DetectionConfig)
    network: PersonCenterNetConfig = field(default_factory=PersonCenterNetConfig)
    scene_focal: float = 144.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.clips is None) != (self.keypoint_labels is None):
            raise ValueError(
                f"clips = {self.clips}, keypoint_labels = {self.keypoint_labels}: "
                "name both, or neither to train on rendered scenes"
            )
        if not self.scene_focal > 0:
            raise ValueError(f"scene_focal = {self.scene_focal}: must be positive")


def run(config: DetectorRecipe, output: Path) -> Outcome:
    """Train; ``output`` gets the engine's files and, when the run is finished, ``person_detector.safetensors``.

    Raises:
        DataError: no labeled clips.
        TrainingError: see :func:`unipose_training.engine.train.train`.
    """
    seed_everything(config.run.seed)
    network = PersonCenterNet(config.network)
    if config.init_weights:
        tensors, _ = load_weights(Path(config.init_weights), NAME)
        fill_module(network, tensors)
    training, validation, about = _stored(config, output) if config.clips else _streamed(config)
    task = DetectorTask(network, config.ema_decay)
    outcome = train(task, training, validation, config.run, output)
    if outcome.has_weights:
        record = _record(about, outcome)
        save_network(output / f"{NAME}.safetensors", task.trained(), config.network, record)
    return outcome


def _streamed(config: DetectorRecipe) -> tuple[DataLoader[Any], DataLoader[Any], str]:
    """What is trained and validated on, and what it is, in words."""
    stream, focal = config.stream, config.network.focal
    validation = validation_scenes(stream, config.scene_focal, config.run)
    training = DetectionStream(stream, config.scene_focal, focal, config.run)
    scenes = config.run.steps * config.run.batch // (stream.views * stream.replays)
    return (
        detection_loader(training, config.run),
        validation_loader(DetectorDataset(validation, config.scene_focal, focal, varied=False), config.run),
        f"{scenes} depth images rendered on the fly, with ground truth",
    )


def _stored(config: DetectorRecipe, output: Path) -> tuple[DataLoader[Any], DataLoader[Any], str]:
    """What is trained and validated on, and what it is, in words."""
    assert config.clips is not None
    clips = open_clips(config.clips)
    kept = clips[:: config.val_every_nth_clip]
    training = _scenes([clip for clip in clips if clip not in kept], config, output, "training")
    validation = _scenes(kept, config, output, "validation")
    focal = config.network.focal
    return (
        training_loader(DetectorDataset(training, config.scene_focal, focal, varied=True), config.run),
        validation_loader(DetectorDataset(validation, config.scene_focal, focal, varied=False), config.run),
        f"{len(training)} rendered depth images with {sum(map(len, training))} people that MoveNet detected in color",
    )


def _scenes(clips: Iterable[Clip], config: DetectorRecipe, output: Path, title: str) -> list[Scene]:
    shown = tqdm(clips, desc=f"{title}: depth", unit="clip")
    scenes = [scene for clip in shown for scene in _scenes_of(clip, config, output / "scenes")]
    if not scenes:
        raise DataError(
            f"{config.keypoint_labels}: no labels of the {title} clips in {config.clips}; make them: "
            "unipose pseudo-label"
        )
    _log.info("%s: %d images with %d people", title, len(scenes), sum(map(len, scenes)))
    return scenes


def _scenes_of(clip: Clip, config: DetectorRecipe, folder: Path) -> list[Scene]:
    """From the file that an earlier piece of the run left, or from the clip."""
    path, made_with = folder / f"{clip.name}.npz", f"{config.detection} {config.scene_focal}"
    scenes = read_scene_file(path, made_with)
    if scenes is None:
        assert config.keypoint_labels is not None
        scenes = list(read_scenes(clip, config.keypoint_labels, config.detection, config.scene_focal))
        write_scenes(path, scenes, made_with)
    return scenes


def _record(about: str, outcome: Outcome) -> ModelCard:
    takes = "depth in meters resized to the recorded focal length: log meters relative to 3 m, part with readings"
    return model_card(NAME, takes, about, validation_metrics(outcome), joint_set="")


# What the person detector learns: heat on trunks, and box and distance of the person there.

#: Log of the distance counts as many times as a meter of the box.
_DISTANCE_WEIGHT = 2.0


def heat_loss(heat: Tensor, wanted: Tensor, loss_mask: Tensor) -> Tensor:
    """Focal loss of a heat map, by person.

    Cells next to a center are wrong by degrees: the loss of calling them a center shrinks with the
    fourth power of how far they are from one. Source: Law and Deng, CornerNet, ECCV 2018.

    Args:
        heat: (B, h, w) logits.
        wanted: (B, h, w) in [0, 1], 1 in the centers' cells.
        loss_mask: (B, h, w) 0 where it is ignored.
    """
    probability = heat.sigmoid()
    center = (wanted == 1).to(heat.dtype)
    found = center * (1 - probability) ** 2 * functional.logsigmoid(heat)
    empty = (1 - center) * (1 - wanted) ** 4 * probability**2 * functional.logsigmoid(-heat)
    people = (center * loss_mask).sum().clamp(min=1)
    return -(loss_mask * (found + empty)).sum() / people


def side_loss(sides: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Mean distance in meters of the four sides of the boxes from the wanted ones, (B, 4, h, w)."""
    apart = (sides - wanted).abs().mean(dim=1)
    return (weights * apart).sum() / weights.sum().clamp(min=1e-6)


def distance_loss(logs: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Mean difference of log distances, (B, h, w): relative error of the distance."""
    return (weights * (logs - wanted).abs()).sum() / weights.sum().clamp(min=1e-6)


class DetectorTask(AveragedTask):
    """Trains a :class:`~unipose_ros.networks.detector.PersonCenterNet`.

    Args:
        network: to be trained.
        ema_decay: fraction of the moving average of the weights that a step keeps; the average is what is saved.
    """

    def __init__(self, network: PersonCenterNet, ema_decay: float = 0.998) -> None:
        super().__init__(network, ema_decay)

    def training_loss(self, batch: DetectorBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :meth:`unipose_training.engine.step.Task.training_loss`."""
        terms = _terms(split_maps(self.network(batch.images)), batch)
        return terms["heat"] + terms["sides"] + _DISTANCE_WEIGHT * terms["distance"], terms

    def validation_metrics(self, batch: DetectorBatch) -> dict[str, Tensor]:
        """The loss terms of each sample; those of boxes are NaN where there is no person."""
        maps = split_maps(self.averaged(batch.images))
        rows = [_one_sample(maps, batch, sample) for sample in range(len(batch.images))]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def _terms(maps: CenterMaps, batch: DetectorBatch) -> dict[str, Tensor]:
    return {
        "heat": heat_loss(maps.heat, batch.heat, batch.loss_mask),
        "sides": side_loss(maps.sides, batch.sides, batch.positive_mask),
        "distance": distance_loss(maps.log_distances, batch.log_distances, batch.positive_mask),
    }


def _one_sample(maps: CenterMaps, batch: DetectorBatch, sample: int) -> dict[str, Tensor]:
    one = slice(sample, sample + 1)
    terms = _terms(CenterMaps(*(each[one] for each in maps)), DetectorBatch(*(each[one] for each in batch)))
    if not batch.positive_mask[one].any():
        terms |= {name: torch.full_like(terms[name], torch.nan) for name in ("sides", "distance")}
    return terms
