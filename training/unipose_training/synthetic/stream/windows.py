"""Many people's windows of depth images at once, as :mod:`unipose_ros.codecs.windows` cuts them."""

from __future__ import annotations

import torch
from torch import Tensor

from unipose_ros.codecs.windows import DepthImageConfig
from unipose_training.synthetic.stream.clouds import Crops


def cut_windows(depth: Tensor, intrinsics: Tensor, crops: Crops, config: DepthImageConfig) -> tuple[Tensor, Tensor]:
    """Windows of meters, not yet made relative, and the pinhole cameras that see them.

    Args:
        depth: (F, H, W) meters, 0 without a reading.
        intrinsics: (F, 4) fx, fy, cx, cy.

    Returns:
        (M, S, S) meters, 0 outside of the image, and (M, 4) fx, fy, cx, cy of the windows.
    """
    height, width = depth.shape[1:]
    camera = intrinsics[crops.frames]
    middle = (crops.boxes[:, :2] + crops.boxes[:, 2:]) / 2
    scale = config.size * crops.distances[:, None] / (camera[:, :2] * config.extent)
    half = (config.size - 1) / 2
    ticks = torch.arange(config.size, device=depth.device) - half
    # Half a pixel is rounded up, as OpenCV does.
    u = (ticks / scale[:, :1] + middle[:, :1] + 0.5).floor().long()
    v = (ticks / scale[:, 1:] + middle[:, 1:] + 0.5).floor().long()
    inside = ((u >= 0) & (u < width))[:, None, :] & ((v >= 0) & (v < height))[:, :, None]
    place = (crops.frames[:, None] * height + v.clamp(0, height - 1))[:, :, None] * width
    values = depth.flatten()[place + u.clamp(0, width - 1)[:, None, :]]
    seen = torch.cat([camera[:, :2] * scale, (camera[:, 2:] - middle) * scale + half], dim=1)
    return torch.where(inside & torch.isfinite(values), values, 0.0), seen
