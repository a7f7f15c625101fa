"""Depth teaches how far a joint is: near behind the surface it is seen through, never before it."""

from __future__ import annotations

import torch
from torch import Tensor

from unipose_training.losses.ray import project
from unipose_training.losses.reduction import known, robust, weighted_mean


def sample_depth(depth: Tensor, pixels: Tensor) -> Tensor:
    """The nearest pixel's depth.

    Args:
        depth: (B, H, W) metres; 0 and NaN mean no reading.
        pixels: (B, J, 2) u, v; no gradient goes through them.

    Returns:
        (B, J) metres, NaN outside of the picture and without a reading.
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

    A surface more than ``reach`` from the person is an occluder or the background and teaches
    nothing. Source: the offsets are those of Residual Pose (Martinez-Gonzalez et al., IROS 2020);
    knee and reach are ours.

    Args:
        joints: (..., J, 3).
        surface: (..., J) metres read around the keypoints; NaN without a reading.
        offsets: (J,) metres.
        weights: (..., J).
        reference: (...,) the person's distance in metres.
        knee, reach: metres.
    """
    surface, read = known(surface)
    own = read & ((surface - reference[..., None]).abs() <= reach)
    # An occluder's residual may be many metres; it is taken out before it is squared.
    residuals = torch.where(own, joints[..., 2] - surface - offsets, 0.0)
    return weighted_mean(robust(residuals, knee), weights)


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
        depth: (B, H, W) metres; 0 and NaN mean no reading.
        intrinsics: (B, 4) fx, fy, cx, cy of ``depth``.
        slack, reach: metres.
    """
    surface, read = known(sample_depth(depth, project(joints, intrinsics)))
    before = surface - joints[..., 2]
    return weighted_mean((before - slack).clamp_min(0), (read & (before <= reach)).to(joints.dtype))
