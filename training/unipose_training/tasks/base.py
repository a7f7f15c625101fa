"""What recipes and tasks share: networks with initial weights, and the model cards of trained ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_ros.networks.anchors import AnchorNetwork
from unipose_ros.networks.points import PointNetwork, PointNetworkConfig
from unipose_ros.networks.registry import get_network
from unipose_ros.networks.weights import ModelCard, Tensors, WeightsError, fill_module, load_weights
from unipose_training.engine.config import RunSettings
from unipose_training.engine.loop import Outcome


def init_network(name: str, size: str, init_weights: str = "", **changes: int) -> nn.Module:
    """A network of one of its sizes, with initial weights.

    Args:
        name: of :data:`unipose_ros.networks.registry.NETWORKS`.
        size: one of its sizes.
        init_weights: weights file to start from; "" starts at random. Weights without paint channels serve a network
            that has them: the new columns are 0, so that paint means nothing at first. Those of a smaller point
            network serve a larger one (see :func:`widen_point_network`).
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
            # The weights do not depend on how many points, tokens and neighbors there are.
            if before != replace(config, points=before.points, centers=before.centers, neighbors=before.neighbors):
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


# A larger network that starts with what a smaller one has learned.
#
# As Net2Net (Chen et al., ICLR 2016): the larger network's function is that of the smaller one, or close to it. Unlike
# there, new channels are not copies of old ones: what writes them is random, and what reads them is zero.

#: The sizes that weights have and that may only grow, and what must be alike.
_MAY_GROW = ("width", "layers", "heads", "hidden")
_ALIKE = ("joints", "paint", "frames", "radius", "head_width")

#: New channels' values beside those that fresh layers would give: small, since the normalization sees them too.
_NEW_CHANNELS = 0.1


@torch.no_grad()
def widen_point_network(before: PointNetworkConfig, tensors: Tensors, config: PointNetworkConfig) -> PointNetwork:
    """A network of sizes ``config`` whose predictions are close to those of one of sizes ``before`` with ``tensors``.

    They are the same, up to rounding, where the width of tokens does not change. Where it does, the layer
    normalization sees more channels than before; its weights make up for that but for the tokens' mean.

    Raises:
        WeightsError: ``config`` is smaller somewhere, or differs in what cannot grow, or the tensors do not fit.
    """
    _check(before, config)
    small, network = PointNetwork(before), PointNetwork(config)
    fill_module(small, tensors)
    sources = _without_mean(small.state_dict())
    for name, value in network.state_dict().items():
        if name in sources:
            _fill(name, value, sources[name], before, config)
        elif _writes_tokens(name.rpartition(".")[0]):  # one more layer, which adds nothing yet
            value.zero_()
    return network


def _check(before: PointNetworkConfig, after: PointNetworkConfig) -> None:
    wrong = [name for name in _MAY_GROW if getattr(after, name) < getattr(before, name)]
    wrong += [name for name in _ALIKE if getattr(after, name) != getattr(before, name)]
    if len(before.edge) != len(after.edge) or any(a < b for a, b in zip(after.edge, before.edge, strict=True)):
        wrong.append("edge")
    if wrong:
        raise WeightsError(
            f"weights of another size do not fit: a network can grow in {', '.join(_MAY_GROW)} and edge;"
            f" different otherwise: {', '.join(wrong)}"
        )


def _writes_tokens(layer: str) -> bool:
    """Whether a layer's outputs are added to the tokens."""
    return layer.endswith(("from_heads", "narrow", "place"))


def _without_mean(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same function, where what is added to a token has mean 0 over the channels.

    Tokens are read normalized only, which takes their mean off. The neighbors' layer keeps its own: the largest
    response is taken channel by channel, so no change of its weights takes its mean off.
    """
    return {
        name: value - value.mean(0, keepdim=True) if _writes_tokens(name.rpartition(".")[0]) else value
        for name, value in state.items()
    }


def _fill(name: str, value: Tensor, source: Tensor, before: PointNetworkConfig, after: PointNetworkConfig) -> None:
    """Copy a smaller tensor into the first places of a larger one, and choose the numbers in the new ones."""
    layer, _, kind = name.rpartition(".")
    if layer.endswith("norm"):
        value[: len(source)] = source * (math.sqrt(before.width / after.width) if kind == "weight" else 1.0)
        return
    if layer.endswith("to_qkv"):
        value, source = (
            tensor.view(3, config.heads, config.head_width, config.width)
            for tensor, config in ((value, after), (source, before))
        )
        value[:, : before.heads, :, before.width :] = 0
        value[:, : before.heads, :, : before.width] = source
        return
    if after.width > before.width and (_writes_tokens(layer) or layer == f"edge.{len(before.edge)}"):
        value[before.width :] *= _NEW_CHANNELS
    rows = len(source)
    if source.dim() == 1:
        value[:rows] = source
        return
    columns = source.shape[1]
    value[:, columns:] = 0
    value[:rows, :columns] = source
