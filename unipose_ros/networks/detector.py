"""The network that finds people in a depth image: a map of trunk centers, each with a box and a distance.

Boxes hang on centers as in CenterNet (Zhou et al., "Objects as Points", 2019). Depth is seen at a
fixed angular resolution (:mod:`unipose_ros.detection.heatmap`), so a pixel and a distance make a
length; everything is put out in meters and no camera is baked in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from unipose_ros.networks.export import Axes, any_batch
from unipose_ros.networks.layers import ResidualBlock, conv_bn_relu
from unipose_ros.networks.registry import HEAT, LOG_DISTANCE, LOG_MIDDLE, SIDES, STRIDE

#: Side in pixels of the neighborhood that a depth is compared with, and what its contrast is multiplied by.
_AROUND = 17
_CONTRAST = 5.0
#: Heat before anything is learned: one cell in a hundred.
_FIRST_HEAT = -4.6


@dataclass(frozen=True)
class PersonCenterNetConfig:
    """Sizes of a :class:`PersonCenterNet`.

    Attributes:
        focal: focal length in pixels of the image it uses.
        widths: channels at strides 2, 4, 8, 16 and 32.
        head_width: channels of the maps that the outputs are read from.

    Raises:
        ValueError: a size is not positive.
    """

    focal: float = 96.0
    widths: tuple[int, int, int, int, int] = (12, 24, 48, 64, 64)
    head_width: int = 24

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))  # JSON knows lists only
        if len(self.widths) != 5 or min(self.widths) < 1:
            raise ValueError(f"person_detector: widths = {self.widths}: give 5 positive numbers")
        if self.head_width < 1 or not self.focal > 0:
            raise ValueError(f"person_detector: head_width = {self.head_width}, focal = {self.focal}: must be positive")


#: ``small`` costs 1 ms on one thread of a CPU for a whole image of a usual camera.
SIZES = {"small": PersonCenterNetConfig()}


class CenterMaps(NamedTuple):
    """What the network predicts about every cell (h, w) of stride 4.

    Attributes:
        heat: (B, h, w) logit that a person's trunk center lies there.
        sides: (B, 4, h, w) meters from the cell's center to the left, upper, right and lower side of
            the box around the person's joints, at the person's distance.
        log_distances: (B, h, w) log of the distance in meters along z.
    """

    heat: Tensor
    sides: Tensor
    log_distances: Tensor


class PersonCenterNet(nn.Module):
    """Depth images -> people maps.

    Args:
        config: sizes.
    """

    def __init__(self, config: PersonCenterNetConfig) -> None:
        super().__init__()
        self.config = config
        two, four, eight, sixteen, last = config.widths
        self.stem = conv_bn_relu(3, two, stride=2)
        self.down = nn.ModuleList([
            nn.Sequential(conv_bn_relu(two, four, stride=2), ResidualBlock(four, four)),
            nn.Sequential(conv_bn_relu(four, eight, stride=2), ResidualBlock(eight, eight)),
            nn.Sequential(conv_bn_relu(eight, sixteen, stride=2), ResidualBlock(sixteen, sixteen)),
            nn.Sequential(conv_bn_relu(sixteen, last, stride=2), conv_bn_relu(last, last)),
        ])  # fmt: skip
        head = config.head_width
        self.across = nn.ModuleList([nn.Conv2d(width, head, 1) for width in (four, eight, sixteen, last)])
        self.smooth = nn.ModuleList([conv_bn_relu(head, head) for _ in range(3)])
        self.outputs = nn.Conv2d(head, 6, 1)
        nn.init.zeros_(self.outputs.bias)  # type: ignore[arg-type]  # it has one
        with torch.no_grad():
            self.outputs.bias[0] = _FIRST_HEAT  # type: ignore[index]  # it has one

    @property
    def onnx_axes(self) -> Axes:
        """Images of any size: they have the camera's shape."""
        return any_batch(("maps",), {2: "height", 3: "width"})

    def example_input(self, batch: int) -> Tensor:
        """Log depths, and that all of them were read."""
        return torch.stack([0.3 * torch.randn(batch, 96, 128), torch.ones(batch, 96, 128)], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Images to output maps.

        Args:
            images: (B, 2, H, W): log of depth in meters, relative to :data:`LOG_MIDDLE` and 0 where
                there is no reading, and the part of the pixel with readings, in [0, 1].

        Returns:
            (B, 6, h, w), the channels of :class:`CenterMaps` one after the other.
        """
        features = [self.stem(with_contrast(images))]
        for stage in self.down:
            features.append(stage(features[-1]))
        lateral = [across(feature) for across, feature in zip(self.across, features[1:], strict=True)]
        merged = lateral[-1]
        for finer, smooth in zip(reversed(lateral[:-1]), self.smooth, strict=True):
            merged = smooth(functional.interpolate(merged, scale_factor=2.0, mode="nearest") + finer)
        outputs = self.outputs(merged)
        # The distance is relative to the depth that is seen there.
        return torch.cat([outputs[:, :5], outputs[:, 5:] + seen_depth(images)], dim=1)


def split_maps(outputs: Tensor) -> CenterMaps:
    """The network's (B, 6, h, w) by name."""
    return CenterMaps(outputs[:, HEAT], outputs[:, SIDES], outputs[:, LOG_DISTANCE] + LOG_MIDDLE)


def with_contrast(images: Tensor) -> Tensor:
    """(B, 2, H, W) -> (B, 3, H, W): depth also relative to what is seen around it.

    Differences of log depth between neighbors are slopes of the surface in meters per meter.
    Beside the range of a room they are small, hence a channel of their own.
    """
    log_depth, valid = images[:, :1], images[:, 1:]
    contrast = valid * (log_depth - _mean_seen(log_depth, valid, _AROUND, stride=1))
    return torch.cat([images, (_CONTRAST * contrast).clamp(-1, 1)], dim=1)


def seen_depth(images: Tensor) -> Tensor:
    """(B, 2, H, W) -> (B, 1, h, w) mean log depth of every cell; 0 where there is no reading."""
    return _mean_seen(images[:, :1], images[:, 1:], STRIDE, stride=STRIDE)


def _mean_seen(values: Tensor, valid: Tensor, side: int, stride: int) -> Tensor:
    """Mean of the valid values in windows of ``side`` pixels."""
    padding = side // 2 if stride == 1 else 0
    total = functional.avg_pool2d(values * valid, side, stride, padding)
    return total / functional.avg_pool2d(valid, side, stride, padding).clamp(min=1e-3)
