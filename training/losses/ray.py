"""2D keypoints teach where a joint is across its viewing ray: back-projection, or reprojection."""

from __future__ import annotations

import torch
from torch import Tensor

from unipose_training.losses.reduction import known, length, robust, weighted_mean

#: Nothing is projected from nearer than this (metres), where pixels grow without limit.
_NEAREST = 0.1


def view_rays(pixels: Tensor, intrinsics: Tensor) -> Tensor:
    """Unit viewing rays ``K^-1 (u, v, 1)`` of rectified pixels.

    Args:
        pixels: (..., J, 2).
        intrinsics: (..., 4) fx, fy, cx, cy of the picture.

    Returns:
        (..., J, 3); NaN for NaN.
    """
    focal, centre = intrinsics[..., None, :2], intrinsics[..., None, 2:]
    across = (pixels - centre) / focal
    rays = torch.cat([across, torch.ones_like(across[..., :1])], dim=-1)
    return rays / length(rays)[..., None]


def project(joints: Tensor, intrinsics: Tensor) -> Tensor:
    """(..., J, 3) metres -> (..., J, 2) rectified pixels; a joint nearer than 10 cm counts as 10 cm away."""
    focal, centre = intrinsics[..., None, :2], intrinsics[..., None, 2:]
    return joints[..., :2] / joints[..., 2:].clamp_min(_NEAREST) * focal + centre


def ray_loss(joints: Tensor, rays: Tensor, weights: Tensor, knee: float = 0.05) -> Tensor:
    """``mean_j w_j rho(|(I - d_j d_j^T) P_j|)``: metres between joint and ray.

    Unlike a reprojection error it is linear in P, is as strict near as far, and has no gradient
    along the ray, so it never pulls the depth. Source: the 2D-to-3D ray loss that UniPose
    (arXiv 2509.23376) names, in the usual point-to-line form; knee and weights are ours.

    Args:
        joints: (..., J, 3).
        rays: (..., J, 3) unit vectors (:func:`view_rays`); NaN without a keypoint.
        weights: (..., J) trust in the keypoint, at least 0.
        knee: metres.
    """
    rays, seen = known(rays)
    # Of a unit vector, |P x d| is the distance, with a gradient that is exact across the ray.
    across = length(torch.linalg.cross(joints, rays, dim=-1))
    return weighted_mean(robust(across, knee), weights * seen.all(-1))


def pixel_loss(joints: Tensor, pixels: Tensor, intrinsics: Tensor, weights: Tensor, knee: float = 5.0) -> Tensor:
    """``mean_j w_j rho(|pi(P_j) - q_j|)`` in pixels: the usual reprojection error, kept for comparison.

    To first order it is f / Z times the distance to the ray, and pulls on the depth as well.

    Args:
        joints: (..., J, 3).
        pixels: (..., J, 2) rectified; NaN without a keypoint.
        intrinsics: (..., 4) fx, fy, cx, cy.
        weights: (..., J).
        knee: pixels.
    """
    pixels, seen = known(pixels)
    apart = length(project(joints, intrinsics) - pixels)
    return weighted_mean(robust(apart, knee), weights * seen.all(-1))
