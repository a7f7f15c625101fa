"""A transformer layer in plain operations, which every exporter knows."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from unipose_ros.geometry.covariance import LEAST_COVARIANCE, pack, with_scale

# Fully connected residual blocks, for networks that read a handful of numbers.


class ResidualMlp(nn.Module):
    """Linear, then residual blocks of two linear layers (Martinez et al., ICCV 2017).

    Args:
        inputs: numbers read.
        width: of the layers.
        blocks: how many.
        dropout: share of activations that training switches off.
    """

    def __init__(self, inputs: int, width: int, blocks: int, dropout: float) -> None:
        super().__init__()
        self.first = _layer(inputs, width, dropout)
        self.blocks = nn.ModuleList(
            nn.Sequential(_layer(width, width, dropout), _layer(width, width, dropout)) for _ in range(blocks)
        )

    def forward(self, values: Tensor) -> Tensor:
        """(B, inputs) -> (B, width)."""
        hidden = cast(Tensor, self.first(values))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return hidden


def _layer(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(dropout))


def check_trunk(network: str, width: int, blocks: int, dropout: float) -> None:
    """Refuse sizes that make no trunk.

    Raises:
        ValueError: a size is not positive, or the dropout not within [0, 1); ``network`` names whose.
    """
    for name, value in (("width", width), ("blocks", blocks)):
        if value < 1:
            raise ValueError(f"{network}: {name} = {value} must be positive")
    if not 0 <= dropout < 1:
        raise ValueError(f"{network}: dropout = {dropout} must be within [0, 1)")


# Anchors vote for a joint: where they agree it is, how far apart they are, how sure it is.


class Votes(NamedTuple):
    """What a point network predicts about J joints.

    Attributes:
        joints: (..., J, 3) meters.
        log_scales: (..., J) log of Laplace's scale of a coordinate, in meters.
        covariances: (..., J, 6) square meters: xx, xy, xz, yy, yz, zz.
    """

    joints: Tensor
    log_scales: Tensor
    covariances: Tensor


def aggregate_votes(points: Tensor, logits: Tensor, log_scales: Tensor) -> Votes:
    """Softmax-weighted mean of what each anchor says.

    The covariance has the shape in which the votes spread and the size that the learned scale says:
    Laplace's variance is ``2 s^2``. A2J (Xiong et al., ICCV 2019) votes so in the image; the
    covariance is ours.

    Args:
        points: (..., A, J, 3) meters, each anchor's vote.
        logits: (..., A, J) weight of the vote before the softmax.
        log_scales: (..., A, J) each anchor's log scale.
    """
    weights = logits.softmax(dim=-2)
    joints = (weights[..., None] * points).sum(-3)
    scales = (weights * log_scales).sum(-2)
    apart = points - joints[..., None, :, :]
    covariances = weighted_covariance(weights, apart)
    return Votes(joints, scales, with_scale(covariances, covariances.new_tensor(LEAST_COVARIANCE), scales.exp()))


def weighted_covariance(weights: Tensor, apart: Tensor) -> Tensor:
    """Weights (..., A, J) of A offsets (..., A, J, 3) from their mean -> (..., J, 6) covariances."""
    sides = apart.transpose(-3, -2)
    full = (sides * weights.transpose(-1, -2)[..., None]).transpose(-1, -2) @ sides
    return pack(full)


class TransformerLayer(nn.Module):
    """Self-attention and a two-layer network, each normalized before and added after.

    Pre-norm as in Xiong et al., ICML 2020.

    Args:
        width: of a token.
        heads: of the attention.
        head_width: of one head.
        hidden: width between the two layers.
    """

    def __init__(self, width: int, heads: int, head_width: int, hidden: int) -> None:
        super().__init__()
        self._heads, self._head_width = heads, head_width
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.from_heads = nn.Linear(heads * head_width, width)
        self.widen, self.narrow = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, S, width) -> (B, S, width)."""
        tokens = tokens + self._attend(self.attention_norm(tokens))
        result: Tensor = tokens + self.narrow(gelu(self.widen(self.mlp_norm(tokens))))
        return result

    def _attend(self, tokens: Tensor) -> Tensor:
        batch, count = tokens.shape[:2]
        parts = self.to_qkv(tokens).reshape(batch, count, 3, self._heads, self._head_width)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = scaled_dot_product_attention(query, key, value)
        result: Tensor = self.from_heads(mixed.transpose(1, 2).reshape(batch, count, -1))
        return result


# The blocks that convolutional networks here are made of.


def conv_bn_relu(before: int, width: int, stride: int = 1) -> nn.Sequential:
    """A 3 x 3 convolution, batch normalization, and what is positive of it."""
    return nn.Sequential(
        nn.Conv2d(before, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    )


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut (He et al., CVPR 2016)."""

    def __init__(self, before: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.first = conv_bn_relu(before, width, stride)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        same = stride == 1 and before == width
        self.shortcut = nn.Identity() if same else _projection(before, width, stride)

    def forward(self, features: Tensor) -> Tensor:
        """(B, before, h, w) -> (B, width, h / stride, w / stride)."""
        return torch.relu(self.second(self.first(features)) + self.shortcut(features))


def _projection(before: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))
