"""MoveNet MultiPose Lightning as a torch module: MobileNetV2 (width 1.5), a feature pyramid, six heads.

The layout was read from the published TFJS graph (Google, "MoveNet.MultiPose"); the parts are
those of Sandler et al. 2018 (MobileNetV2), Lin et al. 2017 (FPN) and Zhou et al. 2019
(CenterNet). Batch norms are folded into the convolutions, as in the published graph.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from unipose_ros.networks.export import Axes
from unipose_ros.networks.movenet.decode import SIZE_MULTIPLE

#: Output order of :class:`MoveNetNetwork` and channels of each head.
HEADS = {"center": 1, "box_scale": 2, "box_offset": 2, "kpt_heatmap": 17, "kpt_regress": 34, "kpt_offset": 34}
#: Heads that hold a probability.
_PROBABILITIES = ("center", "kpt_heatmap")
#: 2 / 255 as the published graph stores it, in half precision.
_PIXEL_SCALE = 0.007843017578125

#: (out channels, blocks, stride of the first) per stage after the stem: MobileNetV2's table times 1.5.
_STAGES = ((40, 2, 2), (48, 3, 2), (96, 4, 2), (144, 3, 1), (240, 3, 2), (480, 1, 1))
_STEM = 48
_FIRST = 24
_LAST = 1280
#: Index of the last block at strides 4, 8 and 16 that feeds the pyramid, with its channels.
_LATERALS = {2: 40, 5: 48, 9: 96}


class Conv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding for even sizes and an optional activation."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1, bias: bool = True,
        activation: type[nn.Module] = nn.Identity,
    ) -> None:  # fmt: skip
        # SAME at stride 2 pads only on the right and below when the size is even.
        self.pads_end = stride == 2
        padding = 0 if self.pads_end else kernel // 2
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=bias)
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        x = functional.pad(x, (0, 1, 0, 1)) if self.pads_end else x
        return cast(Tensor, self.activation(super().forward(x)))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; the input is added where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int = 6) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = Conv(inputs, hidden, activation=nn.ReLU6) if expansion > 1 else nn.Identity()
        self.depthwise = Conv(hidden, hidden, 3, stride=stride, groups=hidden, activation=nn.ReLU6)
        self.project = Conv(hidden, outputs)
        self.adds_input = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.adds_input else cast(Tensor, y)


class Separable(nn.Sequential):
    """3x3 per channel, then 1x1 with ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = Conv(inputs, inputs, 3, groups=inputs, bias=False)
        self.pointwise = Conv(inputs, outputs, activation=nn.ReLU)


class Backbone(nn.Module):
    """MobileNetV2 of width 1.5, putting out its features at strides 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, _STEM, 3, stride=2, activation=nn.ReLU6)
        blocks = [InvertedResidual(_STEM, _FIRST, 1, expansion=1)]
        channels = _FIRST
        for outputs, count, stride in _STAGES:
            for i in range(count):
                blocks.append(InvertedResidual(channels, outputs, stride if i == 0 else 1))
                channels = outputs
        self.blocks = nn.ModuleList(blocks)
        self.last = Conv(channels, _LAST, activation=nn.ReLU6)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [-1, 1] -> four feature maps, finest first."""
        x = self.stem(x)
        features = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in _LATERALS:
                features.append(x)
        return [*features, self.last(x)]


class Pyramid(nn.Module):
    """Coarse features are doubled in size and added to finer ones, down to stride 4."""

    def __init__(self) -> None:
        super().__init__()
        widths = (24, 32, 64)
        self.top = Conv(_LAST, widths[-1])
        self.laterals = nn.ModuleList([Conv(c, w) for c, w in zip(_LATERALS.values(), widths, strict=True)])
        self.merges = nn.ModuleList([Separable(24, 24), Separable(32, 24), Separable(64, 32)])

    def forward(self, features: list[Tensor]) -> Tensor:
        """Four maps, finest first -> (N, 24, H / 4, W / 4)."""
        x = self.top(features[3])
        for level in (2, 1, 0):
            x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = self.merges[level](x + self.laterals[level](features[level]))
        return cast(Tensor, x)


class Head(nn.Sequential):
    """96 hidden channels, then the head's own."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.hidden = Separable(24, 96)
        self.out = Conv(96, outputs)


class MoveNetNetwork(nn.Module):
    """The whole network, from pixels to heads."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.pyramid = Pyramid()
        self.heads = nn.ModuleDict({name: Head(channels) for name, channels in HEADS.items()})

    @property
    def onnx_axes(self) -> Axes:
        """Any number of images of any size."""
        maps = {0: "batch", 2: "rows", 3: "columns"}
        return {"image": {0: "batch", 1: "height", 2: "width"}} | dict.fromkeys(HEADS, maps)

    def example_input(self, batch: int) -> Tensor:
        """Black images."""
        return torch.zeros(batch, 3 * SIZE_MULTIPLE, 4 * SIZE_MULTIPLE, 3, dtype=torch.uint8)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Run the network.

        Args:
            image: (N, H, W, 3) uint8 RGB, H and W multiples of 32.

        Returns:
            The maps of :data:`HEADS` in that order, (N, channels, H / 4, W / 4) float32; center
            and heat maps as probabilities, the others in cells, vertical before horizontal.
        """
        x = image.permute(0, 3, 1, 2).float() * _PIXEL_SCALE - 1.0
        shared = self.pyramid(self.backbone(x))
        return tuple(
            torch.sigmoid(head(shared)) if name in _PROBABILITIES else head(shared) for name, head in self.heads.items()
        )
