"""Windows of a batch: the pictures as a network takes them, and joints in their pixels.

The numbers are those of :mod:`unipose_ros.codecs.depth_image` and
:mod:`unipose_ros.codecs.colour_image`, for many people at once and on any device.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from unipose_ros.codecs.depth_image import DepthImageConfig
from unipose_training.losses.ray import project
from unipose_training.samples.batch import PersonBatch


class Windows(NamedTuple):
    """Windows of B people, not yet encoded.

    Attributes:
        image: (B, 1, S, S) metres along z, 0 without a reading; or (B, 3, S, S) colours, 0 to 255.
        camera: (B, 4) fx, fy, cx, cy of the pinhole camera that sees the window.
        distances: (B,) metres along z that depths are said relative to.
    """

    image: Tensor
    camera: Tensor
    distances: Tensor


def depth_windows(batch: PersonBatch) -> Windows:
    """The depth windows of the last frames."""
    return Windows(batch.depth[:, -1, None], batch.depth_camera[:, -1], batch.distances[:, -1])


def colour_windows(batch: PersonBatch) -> Windows:
    """The colour windows of the last frames."""
    return Windows(batch.colour[:, -1].to(torch.float32), batch.colour_camera[:, -1], batch.distances[:, -1])


def depth_input(windows: Windows, config: DepthImageConfig) -> Tensor:
    """(B, 1, S, S) as :func:`unipose_ros.codecs.depth_image.encode_depth` makes it."""
    depth = windows.image
    relative = (depth - windows.distances[:, None, None, None]) / config.unit
    return torch.where(depth > 0, relative, config.clip).clamp(-config.clip, config.clip)


def colour_input(windows: Windows) -> Tensor:
    """(B, 3, S, S) as :func:`unipose_ros.codecs.colour_image.encode_colour` makes it."""
    return windows.image / 127.5 - 1


def to_window(joints: Tensor, windows: Windows) -> tuple[Tensor, Tensor]:
    """(B, J, 3) metres in the camera's frame -> (B, J, 2) pixels of the window and (B, J) relative depths."""
    return project(joints, windows.camera), joints[..., 2] - windows.distances[:, None]


def to_camera(pixels: Tensor, depths: Tensor, windows: Windows) -> Tensor:
    """(B, J, 2) pixels of the window and (B, J) relative depths -> (B, J, 3) metres in the camera's frame."""
    z = (depths + windows.distances[:, None])[..., None]
    focal, centre = windows.camera[:, None, :2], windows.camera[:, None, 2:]
    return torch.cat([(pixels - centre) / focal * z, z], dim=-1)
