"""Recipe ``wsp``: which of two points is nearer, as a pre-training for the color network.

Source of the idea: Qiu et al., Weakly-supervised pre-training for 3D human pose estimation via
perspective knowledge (arXiv 2211.11983). Rules, loss weights and schedule are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch.utils.data import ConcatDataset, Dataset

from unipose_ros.networks.anchors import RGB_SIZES as SIZES
from unipose_ros.networks.anchors import AnchorNetwork, AnchorNetworkConfig
from unipose_ros.networks.registry import save_network
from unipose_ros.networks.weights import ModelCard
from unipose_training.engine.config import RunSettings
from unipose_training.engine.data_loading import seed_everything, training_loader, validation_loader
from unipose_training.engine.loop import Outcome, train
from unipose_training.errors import DataError
from unipose_training.ordinal_depth.files import read_orders
from unipose_training.ordinal_depth.windows import ImageOrders, Kind, OrderBatch, OrderSettings, StoreOrders, joined
from unipose_training.samples.augment_windows import WindowAugmentation
from unipose_training.samples.build import require_labels
from unipose_training.samples.dataset import split_rows, subsample_clips
from unipose_training.samples.store import SampleStore
from unipose_training.tasks.base import model_card, validation_metrics
from unipose_training.tasks.wsp import OrderLoss, WspTask

#: Of the network that is begun, and of the file of its weights.
NAME = "rgb"


@dataclass(frozen=True)
class WspConfig:
    """What the pre-training is, and how it is trained.

    Attributes:
        samples: folder of a sample store with color, labeled by a 2D network.
        orders: JSON of ``unipose ordinal-depth``; one of the two has to be there.
        size: of the network.
        pixels: of the window's side; 0 for what the size has.
        part: of the store's clips that train.
        val_every_nth_clip: every so many clips, one is kept for validation; of the label file's people as well.
        min_confidence: people whom the 2D network is less sure of do not count in the loss.
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
    val_every_nth_clip: int = 20
    min_confidence: float = 0.2
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
        if self.val_every_nth_clip < 2:
            raise ValueError(f"val_every_nth_clip = {self.val_every_nth_clip}: keep one in at least 2")

    @property
    def network(self) -> AnchorNetworkConfig:
        """Sizes of the network."""
        chosen = SIZES[self.size]
        return replace(chosen, size=self.pixels) if self.pixels else chosen


def run(config: WspConfig, output: Path) -> Outcome:
    """Train; ``output`` gets the engine's files and, when the run is finished, ``rgb.safetensors``.

    Its depths are in order, not in meters: go on with a recipe that has 3D labels or pseudo labels.

    Raises:
        DataError: samples or label file cannot be read, or the samples' keypoints are projected ground truth.
        TrainingError: see :func:`unipose_training.engine.train.train`.
    """
    training, validation, about = data_of(config)
    seed_everything(config.run.seed)
    task = WspTask(AnchorNetwork(config.network), config.loss, config.augmentation)
    outcome = train(
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
    """Training set, validation set, and the former's description."""

    training: Dataset[OrderBatch]
    validation: Dataset[OrderBatch]
    about: str


def data_of(config: WspConfig) -> _Data:
    """Everything that a configuration names.

    Stores validate by the ground truth where they have it, else by their own labels.
    """
    parts, size = [], config.network.size
    if config.samples:
        store = require_labels(SampleStore(config.samples))
        parts.append(_stored(store, config))
        size = store["color"].shape[1]  # windows of one batch are alike; the task makes them the network's
    if config.orders:
        parts.append(_images(config.orders, size, config.val_every_nth_clip))
    about = "; ".join(part.about for part in parts) + "; no 3D labels"
    return _Data(ConcatDataset([p.training for p in parts]), ConcatDataset([p.validation for p in parts]), about)


def _stored(store: SampleStore, config: WspConfig) -> _Data:
    rows, kept = split_rows(store, config.val_every_nth_clip, config.min_confidence)
    rows = subsample_clips(store, rows, config.part)
    validation_kind: Kind = "ground_truth" if np.isfinite(store["ground_truth"][kept]).any() else config.order.kind
    about = f"{len(rows)} people in frames of {store.folder.name}, {config.order.kind} order"
    training, validation = (
        StoreOrders(store, chosen, kind, config.order)
        for chosen, kind in ((rows, config.order.kind), (kept, validation_kind))
    )
    return _Data(training, validation, about)


def _images(path: Path, size: int, every: int) -> _Data:
    images = read_orders(path)
    kept = images[every - 1 :: every]
    training = [image for number, image in enumerate(images) if number % every != every - 1]
    if not (training and kept):
        raise DataError(f"{path}: {len(images)} images; too few to train and to validate on one in {every}")
    about = f"{len(training)} images of {path.name}, order by perspective"
    return _Data(ImageOrders(training, size), ImageOrders(kept, size), about)


def _record(config: WspConfig, about: str, outcome: Outcome) -> ModelCard:
    size = config.network.size
    takes = f"(3, {size}, {size}) color window, see codecs.color_image; depths are in order, not in meters"
    metrics = {name: value for name, value in validation_metrics(outcome).items() if np.isfinite(value)}
    return model_card(NAME, takes, about, metrics)
