"""Recipe ``wsp``: which of two points is nearer, as a first lesson for the colour network.

Source of the idea: Qiu et al., Weakly-supervised pre-training for 3D human pose estimation via
perspective knowledge (arXiv 2211.11983). Rules, loss weights and schedule are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch.utils.data import ConcatDataset, Dataset

from unipose_ros.networks.anchor_to_joint import AnchorNetwork, AnchorNetworkConfig
from unipose_ros.networks.registry import save_network
from unipose_ros.networks.rgb import SIZES
from unipose_ros.networks.weights import WeightsRecord
from unipose_training.data.errors import DataError
from unipose_training.engine.batches import training_loader, validation_loader
from unipose_training.engine.outcome import Outcome
from unipose_training.engine.seeds import seed_everything
from unipose_training.engine.settings import RunSettings
from unipose_training.engine.teach import teach
from unipose_training.recipes.records import learned_record, validation_metrics
from unipose_training.relative_depth.files import read_orders
from unipose_training.relative_depth.scenes import Kind, OrderSettings
from unipose_training.relative_depth.task import OrderLoss, WspTask
from unipose_training.relative_depth.windows import OrderBatch, PictureOrders, StoreOrders, joined
from unipose_training.samples.choice import part_of_clips, split_rows
from unipose_training.samples.source import require_labels
from unipose_training.samples.store import SampleStore
from unipose_training.samples.window_augment import WindowAugmentation

#: Of the network that is begun, and of the file of its weights.
NAME = "rgb"


@dataclass(frozen=True)
class WspConfig:
    """What the first lesson is, and how it is taught.

    Attributes:
        samples: folder of a sample store with colour, labelled by a 2D network.
        orders: JSON of ``unipose relative-depth``; one of the two has to be there.
        size: of the network.
        pixels: of the window's side; 0 for what the size has.
        part: of the store's clips that teach.
        validate_clips: every so many clips, one is kept for validation; of the label file's people as well.
        least_confidence: people whom the 2D network is less sure of teach nothing.
        order: what says the order in the store.
        loss: weights of the terms.
        augmentation: how windows are changed.
        run: how the run is driven.

    Raises:
        ValueError: a value is out of range, or there is nothing to learn from.
    """

    samples: Path | None = None
    orders: Path | None = None
    size: str = "tiny"
    pixels: int = 0
    part: float = 1.0
    validate_clips: int = 20
    least_confidence: float = 0.2
    order: OrderSettings = field(default_factory=OrderSettings)
    loss: OrderLoss = field(default_factory=OrderLoss)
    augmentation: WindowAugmentation = field(default_factory=WindowAugmentation)
    run: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        if not (self.samples or self.orders):
            raise ValueError("samples, orders: name a sample store, a label file, or both")
        if self.size not in SIZES:
            raise ValueError(f"size = {self.size}: use one of {', '.join(SIZES)}")
        if not 0 < self.part <= 1:
            raise ValueError(f"part = {self.part}: must be within (0, 1]")
        if self.validate_clips < 2:
            raise ValueError(f"validate_clips = {self.validate_clips}: keep one in at least 2")

    @property
    def network(self) -> AnchorNetworkConfig:
        """Sizes of the network."""
        chosen = SIZES[self.size]
        return replace(chosen, size=self.pixels) if self.pixels else chosen


def run(config: WspConfig, output: Path) -> Outcome:
    """Teach; ``output`` gets the engine's files and, when the run is finished, ``rgb.safetensors``.

    Its depths are in order, not in metres: go on with a recipe that has 3D labels or pseudo labels.

    Raises:
        DataError: samples or label file cannot be read, or the samples' keypoints are projected truth.
        TrainingError: see :func:`unipose_training.engine.teach.teach`.
    """
    training, validation, about = data_of(config)
    seed_everything(config.run.seed)
    task = WspTask(AnchorNetwork(config.network), config.loss, config.augmentation)
    outcome = teach(
        task,
        training_loader(training, config.run, joined),
        validation_loader(validation, config.run, joined),
        config.run,
        output,
    )
    if outcome.to_be_saved:
        save_network(output / f"{NAME}.safetensors", task.trained(), config.network, _record(config, about, outcome))
    return outcome


class _Data(NamedTuple):
    """What teaches, what validates, and what the former is, in words."""

    training: Dataset[OrderBatch]
    validation: Dataset[OrderBatch]
    about: str


def data_of(config: WspConfig) -> _Data:
    """Everything that a configuration names.

    Stores validate by the truth where they have it, else by their own labels.
    """
    parts, size = [], config.network.size
    if config.samples:
        store = require_labels(SampleStore(config.samples))
        parts.append(_stored(store, config))
        size = store["colour"].shape[1]  # windows of one batch are alike; the task makes them the network's
    if config.orders:
        parts.append(_pictures(config.orders, size, config.validate_clips))
    about = "; ".join(part.about for part in parts) + "; no 3D labels"
    return _Data(ConcatDataset([p.training for p in parts]), ConcatDataset([p.validation for p in parts]), about)


def _stored(store: SampleStore, config: WspConfig) -> _Data:
    rows, kept = split_rows(store, config.validate_clips, config.least_confidence)
    rows = part_of_clips(store, rows, config.part)
    judge: Kind = "truth" if np.isfinite(store["truth"][kept]).any() else config.order.kind
    about = f"{len(rows)} people in frames of {store.folder.name}, {config.order.kind} order"
    training, validation = (
        StoreOrders(store, chosen, kind, config.order) for chosen, kind in ((rows, config.order.kind), (kept, judge))
    )
    return _Data(training, validation, about)


def _pictures(path: Path, size: int, every: int) -> _Data:
    pictures = read_orders(path)
    kept = pictures[every - 1 :: every]
    training = [picture for number, picture in enumerate(pictures) if number % every != every - 1]
    if not (training and kept):
        raise DataError(f"{path}: {len(pictures)} pictures; too few to train and to validate on one in {every}")
    about = f"{len(training)} pictures of {path.name}, order by perspective"
    return _Data(PictureOrders(training, size), PictureOrders(kept, size), about)


def _record(config: WspConfig, about: str, outcome: Outcome) -> WeightsRecord:
    size = config.network.size
    takes = f"(3, {size}, {size}) colour window, see codecs.colour_image; depths are in order, not in metres"
    metrics = {name: value for name, value in validation_metrics(outcome).items() if np.isfinite(value)}
    return learned_record(NAME, takes, about, metrics)
