"""Recipe ``supervised``: networks trained with ground truth.

Recipes ``points`` and ``depth`` are its configurations for people who are rendered on the fly (``data=stream``).

With ``label_fraction`` only a fraction of a store's clips may be used: the fully supervised upper bound of weak
labels. With ``init_weights`` it goes on from weights that were trained without 3D labels.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader

from unipose_ros.files import write_atomic
from unipose_ros.networks.registry import save_network
from unipose_training.engine.data_loading import seed_everything, training_loader, validation_loader
from unipose_training.engine.loop import Outcome, train
from unipose_training.errors import DataError
from unipose_training.samples.augment_points import PointAugmentation
from unipose_training.samples.augment_windows import WindowAugmentation
from unipose_training.samples.build import STREAM, SampleSource, open_samples
from unipose_training.samples.dataset import (
    PersonBatch,
    PersonDataset,
    Rows,
    identity_collate,
    split_rows,
    subsample_clips,
)
from unipose_training.samples.store import SampleStore
from unipose_training.synthetic.bank import load_bank
from unipose_training.synthetic.stream.dataset import PersonStream, ValidationPeople, stream_loader
from unipose_training.synthetic.stream.settings import StreamSettings
from unipose_training.tasks.base import (
    RecipeConfig,
    model_card,
    validation_metrics,
)
from unipose_training.tasks.networks import TRAINED, Augmentations, InitOptions, training_of
from unipose_training.tasks.supervised import SupervisedWeights


@dataclass(frozen=True, kw_only=True)
class SupervisedConfig(RecipeConfig, SampleSource):
    """What is trained on true joints, and how. The samples have ground truth and the network's input.

    Attributes:
        network: which.
        size: of it; see ``SIZES`` in ``networks.points``, ``DEPTH_SIZES`` and ``RGB_SIZES`` in ``networks.anchors``.
        frames: of a clip (points).
        paint: the network sees a 2D detector's keypoints on the points (points).
        stream: the people who are rendered on the fly, where ``data`` is ``stream``.
        label_fraction: fraction of the training clips whose ground truth may be used, in (0, 1].
        loss: what counts how much.
        points, windows: how the inputs are changed at random.

    Raises:
        ValueError: a value is out of range.
    """

    streams: ClassVar[bool] = True

    network: str = "points"
    size: str = "xs"
    frames: int = 1
    paint: bool = False
    stream: StreamSettings = field(default_factory=StreamSettings)
    label_fraction: float = 1.0
    loss: SupervisedWeights = field(default_factory=SupervisedWeights)
    points: PointAugmentation = field(default_factory=PointAugmentation)
    windows: WindowAugmentation = field(default_factory=WindowAugmentation)

    def __post_init__(self) -> None:
        RecipeConfig.__post_init__(self)
        SampleSource.__post_init__(self)
        training = training_of(self.network, "network")
        training.check(self.begin)
        if self.frames < 1:
            raise ValueError(f"frames = {self.frames}: give at least 1")
        if not 0 < self.label_fraction <= 1:
            raise ValueError(
                f"label_fraction = {self.label_fraction}: must be within (0, 1]; without any, use recipe weak_points"
            )
        if self.data == STREAM and (training.stored == "color" or self.frames > 1):
            raise ValueError(
                f"data = {STREAM}: has single frames of depth, no color; use network = points or depth and frames = 1"
            )

    @property
    def begin(self) -> InitOptions:
        """The network before it learns."""
        return InitOptions(self.size, self.init_weights, self.frames, self.paint)


def run(config: SupervisedConfig, output: Path) -> Outcome:
    """Train; ``output`` gets the engine's files, ``metrics.json``, and in the end ``<network>.safetensors``.

    Raises:
        DataError: the samples cannot be read, lack the ground truth, or do not fit the network.
        TrainingError: see :func:`unipose_training.engine.train.train`.
        WeightsError: ``init_weights`` cannot be used.
    """
    seed_everything(config.run.seed)
    network = TRAINED[config.network].init(config.begin)
    people = _streamed(network, config) if config.data == STREAM else _stored(network, config, output)
    task = TRAINED[config.network].supervised(
        network, Augmentations(config.points, config.windows), people.centers, config.loss, config.ema_decay
    )
    outcome = train(task, people.training, people.validation, config.run, output)
    if outcome.first:
        _write_figures(output, config, outcome, people.number)
    if outcome.has_weights:
        record = model_card(
            config.network, TRAINED[config.network].describe_input(network), f"ground truth of {people.origin}",
            validation_metrics(outcome),
        )  # fmt: skip
        save_network(output / f"{config.network}.safetensors", task.trained(), network.config, record)
    return outcome


@dataclass(frozen=True, eq=False)
class _People:
    """Who is learned from.

    Attributes:
        centers: so many of each cloud's first points are spread evenly.
        number: of people to train on.
        origin: where they are from.
    """

    training: DataLoader[PersonBatch]
    validation: DataLoader[PersonBatch]
    centers: int
    number: int
    origin: str


def _stored(network: nn.Module, config: SupervisedConfig, output: Path) -> _People:
    store = open_samples(config, output, TRAINED[config.network].samples(config.size), max(1, config.run.workers))
    training, validation = chosen_rows(store, config)
    used = TRAINED[config.network]
    inputs, pixels = (used.stored,), used.sizes(network)
    return _People(
        training_loader(PersonDataset(store, training, inputs, config.frames, pixels), config.run, identity_collate),
        validation_loader(
            PersonDataset(store, validation, inputs, config.frames, pixels), config.run, identity_collate
        ),
        store.centers,
        len(training),
        f"{100 * config.label_fraction:g} % of the clips of {config.data or store.folder.name}",
    )


def _streamed(network: nn.Module, config: SupervisedConfig) -> _People:
    inputs = TRAINED[config.network].stream_inputs(network)
    bank = load_bank(config.stream.bank_file)
    seen = config.stream.views * config.stream.replays
    return _People(
        stream_loader(PersonStream(config.stream, inputs, config.run), config.run),
        validation_loader(ValidationPeople(config.stream, inputs, config.run), config.run, identity_collate),
        TRAINED[config.network].centers(network),
        config.run.steps * config.run.batch // seen,
        f"people rendered on the fly of {len(bank.people)} bodies in {len(bank.poses)} poses, each seen {seen} times",
    )


def chosen_rows(store: SampleStore, config: SupervisedConfig) -> tuple[Rows, Rows]:
    """Rows with ground truth, for training and for validation.

    Raises:
        DataError: there are none.
    """
    training, validation = split_rows(store, config.val_every_nth_clip)
    training = subsample_clips(store, training, config.label_fraction, config.run.seed)
    training, validation = (rows[_labeled(store, rows)] for rows in (training, validation))
    if not len(training) or not len(validation):
        raise DataError(
            f"{store.folder}: no sample has true joints; build the samples of clips that come with ground truth"
        )
    return training, validation


def _labeled(store: SampleStore, rows: Rows) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(store["ground_truth"][rows]).all(-1).any(-1))


def _write_figures(output: Path, config: SupervisedConfig, outcome: Outcome, people: int) -> None:
    figures = {
        "network": config.network,
        "size": config.size,
        "label_fraction": config.label_fraction,
        "training_samples": people,
        "steps": outcome.step,
        "validation": dict(outcome.figures),
    }
    write_atomic(output / "metrics.json", json.dumps(figures, indent=2) + "\n")
