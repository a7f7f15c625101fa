"""What recipes and tasks share: networks with initial weights, and the model cards of trained ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from torch import nn

from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_ros.networks.anchors import AnchorNetwork
from unipose_ros.networks.points import PointNetwork, PointNetworkConfig
from unipose_ros.networks.registry import get_network
from unipose_ros.networks.weights import ModelCard, fill_module, load_weights
from unipose_training.engine.config import RunSettings
from unipose_training.engine.loop import Outcome
from unipose_training.tasks.widening import widen_point_network


def init_network(name: str, size: str, init_weights: str = "", **changes: int) -> nn.Module:
    """A network of one of its sizes, with initial weights.

    Args:
        name: of :data:`unipose_ros.networks.registry.NETWORKS`.
        size: one of its sizes.
        init_weights: weights file to start from; "" starts at random. Weights without paint channels serve a network
            that has them: the new columns are 0, so that paint means nothing at first. Those of a smaller point
            network serve a larger one (see :func:`unipose_training.tasks.widening.widen_point_network`).
        changes: fields of the size's configuration.

    Raises:
        WeightsError: the weights are absent, damaged or of another size.
    """
    spec = get_network(name)
    config = replace(spec.sizes[size], **changes)
    network = spec.module(config)
    if init_weights:
        tensors, record = load_weights(Path(init_weights), name)
        paint = getattr(config, "paint", 0)
        if paint and not record.config.get("paint"):
            tensors["edge.0.weight"] = np.pad(tensors["edge.0.weight"], [(0, 0), (0, paint)])
        if isinstance(config, PointNetworkConfig):
            before = PointNetworkConfig(**{**record.config, "paint": paint, "frames": config.frames})
            return widen_point_network(before, tensors, config)
        fill_module(network, tensors)
    return network


def init_anchor_network(name: str, size: str, init_weights: str = "", local: int = 0) -> AnchorNetwork:
    """:func:`init_network` of ``depth`` or ``rgb``, with so many anchors on each keypoint (the lifting variant)."""
    network = init_network(name, size, init_weights, local=local)
    assert isinstance(network, AnchorNetwork)
    return network


def init_point_network(size: str, frames: int, init_weights: str = "", paint: bool = False) -> PointNetwork:
    """:func:`init_network` of ``points``.

    Args:
        frames: of a clip; a size of single frames stays one.
        paint: it sees the 2D network's keypoints on the points.
    """
    frames = min(get_network("points").sizes[size].frames, frames)
    network = init_network("points", size, init_weights, frames=frames, paint=len(COCO17) if paint else 0)
    assert isinstance(network, PointNetwork)
    return network


def validation_metrics(outcome: Outcome, data: str = "validation") -> dict[str, float]:
    """Figures of the last validation, named by the data that they were measured on."""
    return {f"{data} {name}": round(value, 4) for name, value in outcome.figures.items()}


def model_card(
    network: str, takes: str, training_data: str, metrics: dict[str, float], joint_set: str = ITOP15.name
) -> ModelCard:
    """The record of a network that was trained from scratch; ``save_network`` adds its sizes.

    Args:
        takes: the network's input, in words.
    """
    return ModelCard(
        network=network,
        config={},
        joint_set=joint_set,
        input=takes,
        training_data=training_data,
        license="Apache-2.0; trained from scratch",
        metrics=metrics,
    )


# The fields that the configurations of recipes share.


@dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """Initial weights, moving average, validation and run of a recipe.

    Attributes:
        init_weights: weights to start from; "" starts at random.
        ema_decay: fraction of the moving average (EMA) of the weights that a step keeps; the average is what is saved.
        val_every_nth_clip: every so many clips, one is kept for validation.
        run: how the run is driven.

    Raises:
        ValueError: a value is out of range.
    """

    init_weights: str = ""
    ema_decay: float = 0.998
    val_every_nth_clip: int = 20
    run: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        if self.val_every_nth_clip < 2:
            raise ValueError(f"val_every_nth_clip = {self.val_every_nth_clip}: keep one in at least 2")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay = {self.ema_decay}: must be within [0, 1)")
