"""A larger network that starts with what a smaller one has learned.

As Net2Net (Chen et al., ICLR 2016): the larger network's function is that of the smaller one, or close to it. Unlike
there, new channels are not copies of old ones: what writes them is random, and what reads them is zero.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from unipose_ros.networks.points import PointNetwork, PointNetworkConfig
from unipose_ros.networks.weights import Tensors, WeightsError, fill_module

#: The sizes that weights have and that may only grow; those that they do not depend on are free.
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
    small, network = PointNetwork(before), PointNetwork(config)
    fill_module(small, tensors)
    if before == replace(config, points=before.points, centers=before.centers, neighbors=before.neighbors):
        fill_module(network, tensors)
        return network
    _check(before, config)
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
