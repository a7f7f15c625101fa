"""The blocks that convolutional networks here are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
