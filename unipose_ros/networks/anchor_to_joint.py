"""The image network: anchors all over the window vote for each joint's place and depth.

Heads, anchors and decoding are those of A2J (Xiong et al., ICCV 2019); the backbone is a small
residual network (He et al., CVPR 2016), and each joint has a learned scale. The lifting variant has
anchors on 2D keypoints as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from unipose_ros.networks.local_anchors import AnchorAnswers, LocalAnchors
from unipose_ros.networks.votes import weighted_spread

#: Pixels of the window per cell of the feature map, and anchors along one side of a cell.
STRIDE = 16
PER_SIDE = 4
#: Depths are said in units of this many metres; then they are about as large as offsets in pixels.
DEPTH_UNIT = 0.02
#: A joint's scale before anything is learned: 10 cm.
_FIRST_LOG_SCALE = -2.3


@dataclass(frozen=True)
class AnchorNetworkConfig:
    """Sizes of an :class:`AnchorNetwork`.

    Attributes:
        joints: number of joints.
        channels: of the window: 1 for depth, 3 for colour.
        size: pixels of the window's side, a multiple of 16.
        widths: channels at strides 2, 4, 8 and 16.
        blocks: residual blocks at strides 4, 8 and 16.
        head_width, head_layers: of the three branches.
        local: anchors on each joint's 2D keypoint (the lifting variant); 0 for none.

    Raises:
        ValueError: a size is not positive, or the window does not fit the stride.
    """

    joints: int = 15
    channels: int = 1
    size: int = 192
    widths: tuple[int, int, int, int] = (16, 32, 64, 128)
    blocks: tuple[int, int, int] = (1, 1, 2)
    head_width: int = 64
    head_layers: int = 1
    local: int = 0

    def __post_init__(self) -> None:
        for name, count in (("widths", 4), ("blocks", 3)):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON knows lists only
            if len(getattr(self, name)) != count or min(getattr(self, name)) < 1:
                raise ValueError(f"anchor network: {name} = {getattr(self, name)}: give {count} positive numbers")
        for name in ("joints", "channels", "size", "head_width", "head_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"anchor network: {name} = {getattr(self, name)} must be positive")
        if self.local < 0:
            raise ValueError(f"anchor network: local = {self.local} must be at least 0")
        if self.size % STRIDE:
            raise ValueError(f"anchor network: size = {self.size} must be a multiple of {STRIDE}")


class AnchorVotes(NamedTuple):
    """What the anchors say about J joints.

    Attributes:
        pixels: (B, J, 2) u, v in the window.
        depths: (B, J) metres relative to the person's distance.
        log_scales: (B, J) log of Laplace's scale of a coordinate, in metres.
        covariances: (B, J, 6) of (u, v, depth) as the votes spread, in pixels and metres: uu, uv, ud, vv, vd, dd.
        surround: (B, J, 2) mean of the anchors alone, which training draws to the joint.
    """

    pixels: Tensor
    depths: Tensor
    log_scales: Tensor
    covariances: Tensor
    surround: Tensor


def anchor_pixels(size: int) -> Tensor:
    """(A, 2) u, v of all anchors: 16 in each cell, at 2, 6, 10 and 14 pixels; cells row by row."""
    ticks = torch.arange(size // STRIDE * PER_SIDE, dtype=torch.float32) * (STRIDE / PER_SIDE) + STRIDE / PER_SIDE / 2
    cells = ticks.reshape(-1, PER_SIDE)
    rows, columns = cells[:, None, :, None], cells[None, :, None, :]
    shape = (len(cells), len(cells), PER_SIDE, PER_SIDE)
    return torch.stack([columns.expand(shape), rows.expand(shape)], dim=-1).reshape(-1, 2)


def count_anchor_votes(answers: AnchorAnswers) -> AnchorVotes:
    """Softmax-weighted means over all anchors; depths are in metres."""
    weights = answers.logits.softmax(dim=1)
    votes = torch.cat([answers.anchors + answers.offsets, answers.depths[..., None]], dim=-1)
    means = (weights[..., None] * votes).sum(1)
    spread = weighted_spread(weights, votes - means[:, None])
    scales = (weights * answers.log_scales).sum(1)
    return AnchorVotes(means[..., :2], means[..., 2], scales, spread, _mean_anchor(weights, answers.anchors))


def _mean_anchor(weights: Tensor, anchors: Tensor) -> Tensor:
    """(B, A, J) weights -> (B, J, 2)."""
    if anchors.dim() == 3:  # alike for all: one matrix product takes a fraction of the time
        return weights.transpose(1, 2) @ anchors[:, 0]
    return (weights[..., None] * anchors).sum(1)


class AnchorNetwork(nn.Module):
    """Windows of people -> their joints.

    Args:
        config: sizes.
    """

    anchors: Tensor

    def __init__(self, config: AnchorNetworkConfig) -> None:
        super().__init__()
        self.config = config
        first, *widths = config.widths
        self.stem = _convolution(config.channels, first, stride=2)
        stages, before = [], first
        for width, blocks in zip(widths, config.blocks, strict=True):
            stages += [_Residual(before, width, stride=2), *(_Residual(width, width) for _ in range(blocks - 1))]
            before = width
        self.body = nn.Sequential(*stages)
        answers = PER_SIDE**2 * config.joints
        self.offset_head = _head(config, 2 * answers)
        self.depth_head = _head(config, answers)
        self.weight_head = _head(config, 2 * answers)
        cells = (config.size // STRIDE) ** 2
        if config.local:
            others = PER_SIDE**2 * cells
            self.local = LocalAnchors(config.joints, config.local, config.widths[-1], config.head_width, others)
        self.register_buffer("anchors", anchor_pixels(config.size), persistent=False)

    def forward(self, windows: Tensor, keypoints: Tensor | None = None) -> AnchorVotes:
        """Joints of B people.

        Args:
            windows: (B, channels, size, size).
            keypoints: (B, J, 3) u, v in pixels of the window and confidence, for the lifting variant;
                without them it goes by the picture alone.
        """
        features = self.body(self.stem(windows))
        answers = self._everywhere(features)
        if keypoints is not None and self.config.local:
            answers = _joined(answers, self.local(features, keypoints, self.config.size))
        depths, log_scales = answers.depths * DEPTH_UNIT, answers.log_scales + _FIRST_LOG_SCALE
        return count_anchor_votes(answers._replace(depths=depths, log_scales=log_scales))

    def _everywhere(self, features: Tensor) -> AnchorAnswers:
        """What the anchors all over the window say."""
        joints = self.config.joints
        offsets = _by_anchor(self.offset_head(features), joints, 2)
        depths = _by_anchor(self.depth_head(features), joints, 1)[..., 0]
        logits, scales = _by_anchor(self.weight_head(features), joints, 2).unbind(-1)
        return AnchorAnswers(self.anchors[:, None], offsets, depths, logits, scales)


def _joined(first: AnchorAnswers, second: AnchorAnswers) -> AnchorAnswers:
    """The answers of both kinds of anchors."""
    anchors = first.anchors.expand(first.offsets.shape)
    return AnchorAnswers(*(torch.cat([a, b], dim=1) for a, b in zip((anchors, *first[1:]), second, strict=True)))


class _Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, before: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.first = _convolution(before, width, stride)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        same = stride == 1 and before == width
        shortcut = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.shortcut = nn.Identity() if same else shortcut

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(self.second(self.first(features)) + self.shortcut(features))


def _convolution(before: int, width: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    )


def _head(config: AnchorNetworkConfig, answers: int) -> nn.Sequential:
    """One branch of A2J: convolutions, then one answer per anchor, joint and number."""
    widths = [config.widths[-1], *[config.head_width] * config.head_layers]
    layers = [_convolution(a, b) for a, b in pairwise(widths)]
    last = nn.Conv2d(widths[-1], answers, 3, padding=1)
    # Small answers at first: every joint is then the middle of the window at the person's distance.
    for parameter in last.parameters():
        nn.init.normal_(parameter, std=1e-3)
    return nn.Sequential(*layers, last)


def _by_anchor(answers: Tensor, joints: int, numbers: int) -> Tensor:
    """(B, 16 J n, H, W) -> (B, A, J, n), anchors in the order of :func:`anchor_pixels`."""
    batch, _, rows, columns = answers.shape
    split = answers.reshape(batch, PER_SIDE**2, joints, numbers, rows, columns)
    return split.permute(0, 4, 5, 1, 2, 3).reshape(batch, rows * columns * PER_SIDE**2, joints, numbers)
