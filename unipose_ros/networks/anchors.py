"""The image network: anchors all over the window vote for each joint's place and depth.

Heads, anchors and decoding are those of A2J (Xiong et al., ICCV 2019); the backbone is a small
residual network (He et al., CVPR 2016), and each joint has a learned scale. The lifting variant has
anchors on 2D keypoints as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from unipose_ros.networks.export import Axes, any_batch
from unipose_ros.networks.layers import ResidualBlock, conv_bn_relu, weighted_covariance

# Anchors that stand on 2D keypoints, for the lifting variant of the image network.
#
# Each joint's keypoint gets a few anchors that only vote for that joint. A keypoint that is sure counts
# more from the start; what the image shows around it then decides how much it is believed, so a wrong
# keypoint can be outvoted by the anchors all over the window. PandaPose (arXiv 2602.01095) names local
# anchors on 2D joints; their number, the bias and the layers are ours.


#: Numbers that an anchor says: offset (2), depth, weight, log scale.
_NUMBERS = 5
#: A keypoint of no confidence has no say.
_SILENT = -1e4
_LEAST_CONFIDENCE = 1e-4


class LocalAnchorVotes(NamedTuple):
    """What A anchors say about J joints.

    Attributes:
        anchors: (B, A, J, 2) pixels, or (A, 1, 2) where they are alike for all.
        offsets: (B, A, J, 2) pixels.
        depths, logits, log_scales: (B, A, J); depths in the units of the network.
    """

    anchors: Tensor
    offsets: Tensor
    depths: Tensor
    logits: Tensor
    log_scales: Tensor


class LocalAnchors(nn.Module):
    """Votes of ``count`` anchors on each keypoint.

    Args:
        joints: number of joints.
        count: anchors of a joint.
        width: channels of the feature map.
        hidden: width of the layer between features and votes.
        others: number of anchors that stand elsewhere; untrained, a sure keypoint counts as much as they all.
    """

    def __init__(self, joints: int, count: int, width: int, hidden: int, others: int) -> None:
        super().__init__()
        self._joints, self._count = joints, count
        self.look = nn.Linear(width + 1, hidden)
        self.joint = nn.Parameter(torch.zeros(joints, hidden))
        self.between = nn.Linear(hidden, hidden)
        self.say = nn.Linear(hidden, count * _NUMBERS)
        self.gain = nn.Parameter(torch.ones(joints))
        self.start = nn.Parameter(torch.full((joints,), math.log(others / count)))
        nn.init.normal_(self.joint, std=0.1)
        for parameter in self.say.parameters():
            nn.init.normal_(parameter, std=1e-3)

    def forward(self, features: Tensor, keypoints: Tensor, size: int) -> LocalAnchorVotes:
        """See :class:`LocalAnchorVotes`.

        Args:
            features: (B, width, H, W) of the window.
            keypoints: (B, J, 3) u, v in pixels of the window, and confidence; 0 for what was not found.
            size: pixels of the window's side.
        """
        confidence = keypoints[..., 2]
        there = confidence > 0
        points = torch.where(there[..., None], keypoints[..., :2], size / 2)
        seen = torch.cat([_read(features, points, size), confidence[..., None]], dim=-1)
        hidden = torch.relu(self.look(seen) + self.joint)
        outputs = self.say(torch.relu(self.between(hidden)))
        outputs = outputs.reshape(*outputs.shape[:2], self._count, _NUMBERS).transpose(1, 2)
        logit = self.gain * confidence.clamp_min(_LEAST_CONFIDENCE).log() + self.start
        bias = torch.where(there, logit, _SILENT)[:, None]
        anchors = points[:, None].expand(-1, self._count, -1, -1)
        return LocalAnchorVotes(anchors, outputs[..., :2], outputs[..., 2], outputs[..., 3] + bias, outputs[..., 4])


def _read(features: Tensor, points: Tensor, size: int) -> Tensor:
    """(B, C, H, W) features at (B, J, 2) pixels of the window -> (B, J, C); those of its edge beyond it."""
    grid = (2 * points + 1) / size - 1
    read = grid_sample(features, grid[:, None], "bilinear", padding_mode="border", align_corners=False)
    return read[:, :, 0].transpose(1, 2)


#: Pixels of the window per cell of the feature map, and anchors along one side of a cell.
STRIDE = 16
PER_SIDE = 4
#: Depths are in units of this many meters; then they are about as large as offsets in pixels.
DEPTH_UNIT = 0.02
#: A joint's scale before anything is learned: 10 cm.
_FIRST_LOG_SCALE = -2.3


@dataclass(frozen=True)
class AnchorNetworkConfig:
    """Sizes of an :class:`AnchorNetwork`.

    Attributes:
        joints: number of joints.
        channels: of the window: 1 for depth, 3 for color.
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


#: Of networks on depth; windows come from ``codecs.depth_image``. ``mini`` and ``tiny`` for a CPU (the
#: first can be trained on one), ``base`` for a robot's GPU.
DEPTH_SIZES = {
    "mini": AnchorNetworkConfig(channels=1, size=96),
    "tiny": AnchorNetworkConfig(channels=1, size=192),
    "base": AnchorNetworkConfig(
        channels=1, size=192, widths=(32, 64, 128, 192), blocks=(2, 3, 3), head_width=128, head_layers=2
    ),
}
#: Of networks on color; windows come from ``codecs.color_image``. Color says less about shape, so the
#: windows are larger.
RGB_SIZES = {
    "mini": AnchorNetworkConfig(channels=3, size=112),
    "tiny": AnchorNetworkConfig(channels=3, size=224),
    "base": AnchorNetworkConfig(
        channels=3, size=256, widths=(32, 64, 128, 192), blocks=(2, 3, 3), head_width=128, head_layers=2
    ),
}


class AnchorVotes(NamedTuple):
    """What the anchors say about J joints.

    Attributes:
        pixels: (B, J, 2) u, v in the window.
        depths: (B, J) meters relative to the person's distance.
        log_scales: (B, J) log of Laplace's scale of a coordinate, in meters.
        covariances: (B, J, 6) of (u, v, depth) as the votes spread, in pixels and meters: uu, uv, ud, vv, vd, dd.
        anchor: (B, J, 2) mean of the anchors alone, which training draws to the joint.
    """

    pixels: Tensor
    depths: Tensor
    log_scales: Tensor
    covariances: Tensor
    anchor: Tensor


def anchor_pixels(size: int) -> Tensor:
    """(A, 2) u, v of all anchors: 16 in each cell, at 2, 6, 10 and 14 pixels; cells row by row."""
    ticks = torch.arange(size // STRIDE * PER_SIDE, dtype=torch.float32) * (STRIDE / PER_SIDE) + STRIDE / PER_SIDE / 2
    cells = ticks.reshape(-1, PER_SIDE)
    rows, columns = cells[:, None, :, None], cells[None, :, None, :]
    shape = (len(cells), len(cells), PER_SIDE, PER_SIDE)
    return torch.stack([columns.expand(shape), rows.expand(shape)], dim=-1).reshape(-1, 2)


def count_anchor_votes(outputs: LocalAnchorVotes) -> AnchorVotes:
    """Softmax-weighted means over all anchors; depths are in meters."""
    weights = outputs.logits.softmax(dim=1)
    votes = torch.cat([outputs.anchors + outputs.offsets, outputs.depths[..., None]], dim=-1)
    means = (weights[..., None] * votes).sum(1)
    covariances = weighted_covariance(weights, votes - means[:, None])
    scales = (weights * outputs.log_scales).sum(1)
    return AnchorVotes(means[..., :2], means[..., 2], scales, covariances, _mean_anchor(weights, outputs.anchors))


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
        self.stem = conv_bn_relu(config.channels, first, stride=2)
        stages, before = [], first
        for width, blocks in zip(widths, config.blocks, strict=True):
            stages += [ResidualBlock(before, width, stride=2)]
            stages += [ResidualBlock(width, width) for _ in range(blocks - 1)]
            before = width
        self.body = nn.Sequential(*stages)
        outputs = PER_SIDE**2 * config.joints
        self.offset_head = _head(config, 2 * outputs)
        self.depth_head = _head(config, outputs)
        self.weight_head = _head(config, 2 * outputs)
        cells = (config.size // STRIDE) ** 2
        if config.local:
            others = PER_SIDE**2 * cells
            self.local = LocalAnchors(config.joints, config.local, config.widths[-1], config.head_width, others)
        self.register_buffer("anchors", anchor_pixels(config.size), persistent=False)

    @property
    def onnx_axes(self) -> Axes:
        """Any number of people."""
        return any_batch(AnchorVotes._fields)

    def example_input(self, batch: int) -> Tensor:
        """Windows in the range of encoded ones."""
        return torch.randn(batch, self.config.channels, self.config.size, self.config.size).clamp(-2, 2)

    def forward(self, windows: Tensor, keypoints: Tensor | None = None) -> AnchorVotes:
        """Joints of B people.

        Args:
            windows: (B, channels, size, size).
            keypoints: (B, J, 3) u, v in pixels of the window and confidence, for the lifting variant;
                without them it goes by the image alone.
        """
        features = self.body(self.stem(windows))
        outputs = self._everywhere(features)
        if keypoints is not None and self.config.local:
            outputs = _joined(outputs, self.local(features, keypoints, self.config.size))
        depths, log_scales = outputs.depths * DEPTH_UNIT, outputs.log_scales + _FIRST_LOG_SCALE
        return count_anchor_votes(outputs._replace(depths=depths, log_scales=log_scales))

    def _everywhere(self, features: Tensor) -> LocalAnchorVotes:
        """What the anchors all over the window say."""
        joints = self.config.joints
        offsets = _by_anchor(self.offset_head(features), joints, 2)
        depths = _by_anchor(self.depth_head(features), joints, 1)[..., 0]
        logits, scales = _by_anchor(self.weight_head(features), joints, 2).unbind(-1)
        return LocalAnchorVotes(self.anchors[:, None], offsets, depths, logits, scales)


def _joined(first: LocalAnchorVotes, second: LocalAnchorVotes) -> LocalAnchorVotes:
    """The predictions of both kinds of anchors."""
    anchors = first.anchors.expand(first.offsets.shape)
    return LocalAnchorVotes(*(torch.cat([a, b], dim=1) for a, b in zip((anchors, *first[1:]), second, strict=True)))


def _head(config: AnchorNetworkConfig, outputs: int) -> nn.Sequential:
    """One branch of A2J: convolutions, then one output per anchor, joint and number."""
    widths = [config.widths[-1], *[config.head_width] * config.head_layers]
    layers = [conv_bn_relu(a, b) for a, b in pairwise(widths)]
    last = nn.Conv2d(widths[-1], outputs, 3, padding=1)
    # Small outputs at first: every joint is then the middle of the window at the person's distance.
    for parameter in last.parameters():
        nn.init.normal_(parameter, std=1e-3)
    return nn.Sequential(*layers, last)


def _by_anchor(outputs: Tensor, joints: int, numbers: int) -> Tensor:
    """(B, 16 J n, H, W) -> (B, A, J, n), anchors in the order of :func:`anchor_pixels`."""
    batch, _, rows, columns = outputs.shape
    split = outputs.reshape(batch, PER_SIDE**2, joints, numbers, rows, columns)
    return split.permute(0, 4, 5, 1, 2, 3).reshape(batch, rows * columns * PER_SIDE**2, joints, numbers)
