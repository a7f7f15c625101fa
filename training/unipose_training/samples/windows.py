"""Windows of a batch: the images as a network takes them, and joints in their pixels.

The numbers are those of :mod:`unipose_ros.codecs.windows` and
:mod:`unipose_ros.codecs.windows`, for many people at once and on any device.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from unipose_ros.codecs.windows import DepthImageConfig
from unipose_training.losses.projection import project
from unipose_training.samples.dataset import PersonBatch


class Windows(NamedTuple):
    """Windows of B people, not yet encoded.

    Attributes:
        image: (B, 1, S, S) meters along z, 0 without a reading; or (B, 3, S, S) colors, 0 to 255.
        camera: (B, 4) fx, fy, cx, cy of the pinhole camera that sees the window.
        distances: (B,) meters along z that depths are said relative to.
    """

    image: Tensor
    camera: Tensor
    distances: Tensor


def depth_windows(batch: PersonBatch) -> Windows:
    """The depth windows of the last frames."""
    return Windows(batch.depth[:, -1, None], batch.depth_camera[:, -1], batch.distances[:, -1])


def color_windows(batch: PersonBatch) -> Windows:
    """The color windows of the last frames."""
    return Windows(batch.color[:, -1].to(torch.float32), batch.color_camera[:, -1], batch.distances[:, -1])


def depth_input(windows: Windows, config: DepthImageConfig) -> Tensor:
    """(B, 1, S, S) as :func:`unipose_ros.codecs.windows.encode_depth` makes it."""
    depth = windows.image
    relative = (depth - windows.distances[:, None, None, None]) / config.unit
    return torch.where(depth > 0, relative, config.clip).clamp(-config.clip, config.clip)


def color_input(windows: Windows) -> Tensor:
    """(B, 3, S, S) as :func:`unipose_ros.codecs.windows.encode_color` makes it."""
    return windows.image / 127.5 - 1


def to_window(joints: Tensor, windows: Windows) -> tuple[Tensor, Tensor]:
    """(B, J, 3) meters in the camera's frame -> (B, J, 2) pixels of the window and (B, J) relative depths."""
    return project(joints, windows.camera), joints[..., 2] - windows.distances[:, None]


def to_camera(pixels: Tensor, depths: Tensor, windows: Windows) -> Tensor:
    """(B, J, 2) pixels of the window and (B, J) relative depths -> (B, J, 3) meters in the camera's frame."""
    z = (depths + windows.distances[:, None])[..., None]
    focal, center = windows.camera[:, None, :2], windows.camera[:, None, 2:]
    return torch.cat([(pixels - center) / focal * z, z], dim=-1)


# Turned, mirrored, shifted and scaled windows with the camera that would see them.
#
# A change of the image is a change of the scene and of K, so the joints that are asked for stay exact:
# the scene is mirrored and turned about the camera's axis and grows about the camera; the window then
# looks at it through another pinhole camera.


class Warp(NamedTuple):
    """What happens to the scenes and windows of B people.

    Attributes:
        across: (B, 2, 2) orthogonal, on x and y; a reflection where the determinant is negative.
        zoom: (B,) every place of the scene is multiplied by it.
        camera: (B, 4) fx, fy, cx, cy of the window afterwards.
        distances: (B,) meters that depths are said relative to afterwards.
    """

    across: Tensor
    zoom: Tensor
    camera: Tensor
    distances: Tensor


def no_warp(windows: Windows) -> Warp:
    """The warp that changes nothing."""
    identity = torch.eye(2, device=windows.camera.device).expand(len(windows.camera), 2, 2)
    return Warp(identity, torch.ones_like(windows.distances), windows.camera, windows.distances)


def warp_joints(joints: Tensor, warp: Warp, mirror: Tensor) -> Tensor:
    """(B, J, 3) meters in the camera's frame -> the same after the warp.

    Args:
        mirror: (J,) permutation that exchanges left and right.
    """
    across = joints[..., :2] @ warp.across.transpose(1, 2)
    moved = torch.cat([across, joints[..., 2:]], dim=-1) * warp.zoom[:, None, None]
    return torch.where(_reflects(warp), moved[:, mirror], moved)


def unwarp_joints(joints: Tensor, warp: Warp, mirror: Tensor) -> Tensor:
    """The inverse of :func:`warp_joints`."""
    back = torch.where(_reflects(warp), joints[:, mirror], joints) / warp.zoom[:, None, None]
    return torch.cat([back[..., :2] @ warp.across, back[..., 2:]], dim=-1)


def warp_windows(windows: Windows, warp: Warp, smooth: bool) -> Windows:
    """What the new camera sees of the new scene; 0 beside the old window.

    Args:
        smooth: mix neighboring pixels; depth must not be mixed across edges. Only of depth does the
            growth change the values.
    """
    size = windows.image.shape[-1]
    ticks = torch.arange(size, device=windows.image.device, dtype=torch.float32)
    v, u = torch.meshgrid(ticks, ticks, indexing="ij")
    source_pixels = old_pixels(torch.stack([u, v], dim=-1).flatten(0, 1), windows.camera, warp).reshape(
        -1, size, size, 2
    )
    mode = "bilinear" if smooth else "nearest"
    image = grid_sample(windows.image, 2 * source_pixels / (size - 1) - 1, mode, align_corners=True)
    if not smooth:
        image = image * warp.zoom[:, None, None, None]
    return Windows(image, warp.camera, warp.distances)


def old_pixels(pixels: Tensor, camera: Tensor, warp: Warp) -> Tensor:
    """Where in the window what is now seen at (P, 2) pixels was before: (B, P, 2)."""
    rays = (pixels - warp.camera[:, None, 2:]) / warp.camera[:, None, :2]
    return (rays @ warp.across) * camera[:, None, :2] + camera[:, None, 2:]


def _reflects(warp: Warp) -> Tensor:
    """(B, 1, 1) bool."""
    a = warp.across
    return (a[:, 0, 0] * a[:, 1, 1] < a[:, 0, 1] * a[:, 1, 0])[:, None, None]
