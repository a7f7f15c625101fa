"""Recipe ``finder``: a 2D network's people in colour teach a small network to find people in depth."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from unipose_ros.networks.finder import FinderConfig, FinderNetwork
from unipose_ros.networks.registry import save_network
from unipose_ros.networks.weights import WeightsRecord
from unipose_ros.people import PeopleConfig
from unipose_training.data.clips import Clip, open_clips
from unipose_training.data.errors import DataError
from unipose_training.engine.batches import training_loader, validation_loader
from unipose_training.engine.outcome import Outcome
from unipose_training.engine.seeds import seed_everything
from unipose_training.engine.settings import RunSettings
from unipose_training.engine.teach import teach
from unipose_training.people.dataset import FinderDataset
from unipose_training.people.scene_files import read_scene_file, write_scenes
from unipose_training.people.scenes import Scene, read_scenes
from unipose_training.people.task import FinderTask
from unipose_training.recipes.records import learned_record, validation_metrics

_log = logging.getLogger(__name__)

#: Name of the recipe, of the network and of the file of weights.
NAME = "finder"


@dataclass(frozen=True)
class FinderRecipe:
    """What the finder is taught on, and how.

    Attributes:
        clips: folder of clips with depth; what else is in them is not looked at.
        labels: folder of what a 2D network saw in their colour (``unipose label``).
        validate_clips: every so many clips, one is kept for validation.
        people: which of the 2D network's people count.
        network: sizes.
        scene_focal: focal length in pixels of the depth images that are kept in memory.
        average: part of the moving average of the weights that a step keeps.
        run: how the run is driven.

    Raises:
        ValueError: a value is out of range.
    """

    clips: Path
    labels: Path
    validate_clips: int = 20
    people: PeopleConfig = field(default_factory=PeopleConfig)
    network: FinderConfig = field(default_factory=FinderConfig)
    scene_focal: float = 144.0
    average: float = 0.998
    run: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        if self.validate_clips < 2:
            raise ValueError(f"validate_clips = {self.validate_clips}: keep one in at least 2")
        if not self.scene_focal > 0:
            raise ValueError(f"scene_focal = {self.scene_focal}: must be positive")
        if not 0 <= self.average < 1:
            raise ValueError(f"average = {self.average}: must be within [0, 1)")


def run(config: FinderRecipe, output: Path) -> Outcome:
    """Teach; ``output`` gets the engine's files and, when the run is finished, ``finder.safetensors``.

    Raises:
        DataError: no labelled clips.
        TrainingError: see :func:`unipose_training.engine.teach.teach`.
    """
    clips = open_clips(config.clips)
    kept = clips[:: config.validate_clips]
    training = _scenes([clip for clip in clips if clip not in kept], config, output, "training")
    validation = _scenes(kept, config, output, "validation")
    seed_everything(config.run.seed)
    task = FinderTask(FinderNetwork(config.network), config.average)
    focal = config.network.focal
    outcome = teach(
        task,
        training_loader(FinderDataset(training, config.scene_focal, focal, varied=True), config.run),
        validation_loader(FinderDataset(validation, config.scene_focal, focal, varied=False), config.run),
        config.run,
        output,
    )
    if outcome.to_be_saved:
        record = _record(config, training, outcome)
        save_network(output / f"{NAME}.safetensors", task.trained(), config.network, record)
    return outcome


def _scenes(clips: Iterable[Clip], config: FinderRecipe, output: Path, title: str) -> list[Scene]:
    shown = tqdm(clips, desc=f"{title}: depth", unit="clip")
    scenes = [scene for clip in shown for scene in _scenes_of(clip, config, output / "scenes")]
    if not scenes:
        raise DataError(f"{config.labels}: no labels of the {title} clips in {config.clips}; make them: unipose label")
    _log.info("%s: %d images with %d people", title, len(scenes), sum(map(len, scenes)))
    return scenes


def _scenes_of(clip: Clip, config: FinderRecipe, folder: Path) -> list[Scene]:
    """From the file that an earlier piece of the run left, or from the clip."""
    path, made_with = folder / f"{clip.name}.npz", f"{config.people} {config.scene_focal}"
    scenes = read_scene_file(path, made_with)
    if scenes is None:
        scenes = list(read_scenes(clip, config.labels, config.people, config.scene_focal))
        write_scenes(path, scenes, made_with)
    return scenes


def _record(config: FinderRecipe, scenes: list[Scene], outcome: Outcome) -> WeightsRecord:
    takes = "depth in metres resized to the recorded focal length: log metres relative to 3 m, part with readings"
    about = f"{len(scenes)} rendered depth images with {sum(map(len, scenes))} people that MoveNet saw in their colour"
    return learned_record(NAME, takes, about, validation_metrics(outcome), joint_set="")
