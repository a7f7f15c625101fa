"""The cloud carries the skeleton: joints stay near points, and points near bones."""

from __future__ import annotations

import torch
from torch import Tensor

from unipose_training.losses.reduction import distances, length, weighted_mean

_FAR = 1e3
_TINY = 1e-9


def cloud_support_loss(joints: Tensor, points: Tensor, given: Tensor, radii: Tensor) -> Tensor:
    """``mean_j max(0, min_i |P_j - x_i| - r_j)``: no joint far from every point.

    Ours, after the chamfer terms of WSM (Zhang et al., TVCG 2020).

    Args:
        joints: (B, J, 3).
        points: (B, N, 3) metres, the person's.
        given: (B, N) bool, False for padding.
        radii: (J,) metres that a joint may lie from the nearest point.
    """
    points = torch.where(given[..., None], points, _FAR)
    nearest = distances(joints, points).amin(-1)
    # Without any point there is nothing to lie near to.
    return weighted_mean((nearest - radii).clamp_min(0), given.any(-1, keepdim=True).to(joints.dtype))


def limb_cover_loss(joints: Tensor, points: Tensor, given: Tensor, bones: Tensor, radii: Tensor) -> Tensor:
    """``mean_i max(0, min_b (dist(x_i, bone_b) - r_b))``: no point far from every limb.

    One-way: a limb that nobody sees is not asked for points. Ours.

    Args:
        joints: (B, J, 3).
        points: (B, N, 3) metres.
        given: (B, N) bool, False for padding.
        bones: (K, 2) pairs of joint indices.
        radii: (K,) thickness of each part in metres.
    """
    points = torch.where(given[..., None], points, 0.0)
    start, end = joints[:, bones[:, 0]], joints[:, bones[:, 1]]
    outside = (_to_segments(points, start, end) - radii).amin(-1).clamp_min(0)
    return weighted_mean(outside, given.to(joints.dtype))


def _to_segments(points: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """(B, N, 3) points and (B, K, 3) ends of segments -> (B, N, K) metres."""
    along = (end - start)[:, None]
    offset = points[:, :, None] - start[:, None]
    part = (offset * along).sum(-1) / (along * along).sum(-1).clamp_min(_TINY)
    return length(offset - part.clamp(0, 1)[..., None] * along)
