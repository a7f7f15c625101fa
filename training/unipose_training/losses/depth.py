"""Depth trains how far a joint is: near behind the surface it is seen through, never before it."""

from __future__ import annotations

import torch
from torch import Tensor

from unipose_training.losses.projection import project
from unipose_training.losses.robust import distances, huber, length, split_valid, weighted_mean

# The cloud carries the skeleton: joints stay near points, and points near bones.


_FAR = 1e3
_TINY = 1e-9


def cloud_support_loss(joints: Tensor, points: Tensor, given: Tensor, radii: Tensor) -> Tensor:
    """``mean_j max(0, min_i |P_j - x_i| - r_j)``: no joint far from every point.

    Ours, after the chamfer terms of WSM (Zhang et al., TVCG 2020).

    Args:
        joints: (B, J, 3).
        points: (B, N, 3) meters, the person's.
        given: (B, N) bool, False for padding.
        radii: (J,) meters that a joint may lie from the nearest point.
    """
    points = torch.where(given[..., None], points, _FAR)
    nearest = distances(joints, points).amin(-1)
    # Without any point there is nothing to lie near to.
    return weighted_mean((nearest - radii).clamp_min(0), given.any(-1, keepdim=True).to(joints.dtype))


def limb_cover_loss(joints: Tensor, points: Tensor, given: Tensor, bones: Tensor, radii: Tensor) -> Tensor:
    """``mean_i max(0, min_b (dist(x_i, bone_b) - r_b))``: no point far from every limb.

    One-way: a limb that no person sees is not asked for points. Ours.

    Args:
        joints: (B, J, 3).
        points: (B, N, 3) meters.
        given: (B, N) bool, False for padding.
        bones: (K, 2) pairs of joint indices.
        radii: (K,) thickness of each part in meters.
    """
    points = torch.where(given[..., None], points, 0.0)
    start, end = joints[:, bones[:, 0]], joints[:, bones[:, 1]]
    outside = (_to_segments(points, start, end) - radii).amin(-1).clamp_min(0)
    return weighted_mean(outside, given.to(joints.dtype))


def _to_segments(points: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """(B, N, 3) points and (B, K, 3) ends of segments -> (B, N, K) meters."""
    along = (end - start)[:, None]
    offset = points[:, :, None] - start[:, None]
    part = (offset * along).sum(-1) / (along * along).sum(-1).clamp_min(_TINY)
    return length(offset - part.clamp(0, 1)[..., None] * along)


def sample_depth(depth: Tensor, pixels: Tensor) -> Tensor:
    """The nearest pixel's depth.

    Args:
        depth: (B, H, W) meters; 0 and NaN mean no reading.
        pixels: (B, J, 2) u, v; no gradient goes through them.

    Returns:
        (B, J) meters, NaN outside of the image and without a reading.
    """
    height, width = depth.shape[1:]
    u, v = pixels.detach().round().unbind(-1)
    inside = (u >= 0) & (v >= 0) & (u < width) & (v < height)  # False for NaN
    u, v = torch.where(inside, u, 0).long(), torch.where(inside, v, 0).long()
    values = depth.flatten(1).gather(1, v * width + u)
    return torch.where(inside & (values > 0) & torch.isfinite(values), values, torch.nan)


def surface_loss(
    joints: Tensor, surface: Tensor, offsets: Tensor, weights: Tensor, reference: Tensor, knee: float = 0.1,
    reach: float = 0.6,
) -> Tensor:  # fmt: skip
    """``mean_j w_j rho(P_j.z - S_j - o_j)``: a joint lies a known way behind the surface at its keypoint.

    A surface more than ``reach`` from the person is an occluder or the background and trains
    nothing. Source: the offsets are those of Residual Pose (Martinez-Gonzalez et al., IROS 2020);
    knee and reach are ours.

    Args:
        joints: (..., J, 3).
        surface: (..., J) meters read around the keypoints; NaN without a reading.
        offsets: (J,) meters.
        weights: (..., J).
        reference: (...,) the person's distance in meters.
        knee, reach: meters.
    """
    surface, read = split_valid(surface)
    own = read & ((surface - reference[..., None]).abs() <= reach)
    # An occluder's residual may be many meters; it is taken out before it is squared.
    residuals = torch.where(own, joints[..., 2] - surface - offsets, 0.0)
    return weighted_mean(huber(residuals, knee), weights)


def free_space_loss(
    joints: Tensor, depth: Tensor, intrinsics: Tensor, slack: float = 0.02, reach: float = 0.5
) -> Tensor:
    """``mean_j max(0, S(pi(P_j)) - P_j.z - slack)``: what the camera saw through is empty.

    One-sided: behind the surface a joint may be anywhere. A joint that is more than ``reach`` in
    front of what its pixel shows stands beside its person's outline, before a wall; pushing it to
    the wall would be wrong, so it is left to the other terms. The idea is that of space carving
    (Kutulakos and Seitz, IJCV 2000); slack and reach are ours.

    Args:
        joints: (B, J, 3).
        depth: (B, H, W) meters; 0 and NaN mean no reading.
        intrinsics: (B, 4) fx, fy, cx, cy of ``depth``.
        slack, reach: meters.
    """
    surface, read = split_valid(sample_depth(depth, project(joints, intrinsics)))
    before = surface - joints[..., 2]
    return weighted_mean((before - slack).clamp_min(0), (read & (before <= reach)).to(joints.dtype))
