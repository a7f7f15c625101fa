"""2D keypoints train where a joint is across its viewing ray: back-projection, or reprojection."""

from __future__ import annotations

import torch
from torch import Tensor

from unipose_training.losses.robust import huber, length, split_valid, weighted_mean

# What 2D keypoints say about a pose and a camera that were both predicted, and about other keypoints.
#
# The plane is that of a camera turned to the person, in units of the person's size there (see
# :mod:`unipose_ros.codecs.keypoints`), so that near and far people train alike.


#: No joint is nearer to the camera than this part of the distance of the middle of the hips.
_MIN_DEPTH_ON_PLANE = 0.2
#: Cosines are kept this far from 1, where the arc cosine has no slope.
_MARGIN = 1e-6


def project_to_plane(joints: Tensor, zoom: Tensor, shift: Tensor, sizes: Tensor, known_focal: Tensor) -> Tensor:
    """Joints -> the scaled plane, in full perspective where the focal length is known, else in a weak one.

    The middle of the hips is at distance ``1 / (zoom sizes)``; a joint z meters behind it is smaller by
    ``1 + z zoom sizes``, which a weak perspective leaves out.

    Args:
        joints: (B, J, 3) meters in the frame of the turned camera, from the middle of the hips.
        zoom: (B,) units of the plane per meter at the hips.
        shift: (B, 2) meters from the axis to the hips.
        sizes: (B,) units of the unscaled plane z = 1 per unit of the scaled one.
        known_focal: (B,) bool.

    Returns:
        (B, J, 2).
    """
    nearness = torch.where(known_focal, zoom * sizes, 0.0)
    depth = (1 + joints[..., 2] * nearness[:, None]).clamp_min(_MIN_DEPTH_ON_PLANE)
    return (joints[..., :2] + shift[:, None]) * zoom[:, None, None] / depth[..., None]


def reprojection_loss(projected: Tensor, labels: Tensor, weights: Tensor, knee: float = 0.1) -> Tensor:
    """``mean_j w_j rho(|p_j - q_j|)`` on the scaled plane.

    Args:
        projected: (B, J, 2).
        labels: (B, J, 2); NaN without a label.
        weights: (B, J) trust in the label.
        knee: in sizes of the person.
    """
    labels, seen = split_valid(labels)
    return weighted_mean(huber(length(projected - labels), knee), weights * seen.all(-1))


def tilt_loss(rotation: Tensor, ground_truth: Tensor, weights: Tensor) -> Tensor:
    """Mean angle in radians between rotations (B, 3, 3); weights (B,)."""
    cosine = ((rotation * ground_truth).sum((-1, -2)) - 1) / 2
    return weighted_mean(torch.acos(cosine.clamp(-1 + _MARGIN, 1 - _MARGIN)), weights)


def confidence_guided_loss(
    refined: Tensor, given: Tensor, labels: Tensor, confidences: Tensor, labeled: Tensor
) -> Tensor:
    """``mean_j (1 - c_j) |r_j - q_j|^2 + c_j |r_j - g_j|^2``: repair what the detector uncertainties, leave the rest.

    The idea is that of CameraPose's refinement (Yang et al., WACV 2023), which publishes no formula;
    this one is ours.

    Args:
        refined, given, labels: (B, J, 2) after refining, from the detector, true.
        confidences: (B, J) of the detector, in [0, 1]; 0 for a keypoint it did not give.
        labeled: (B, J) bool; others count nothing.
    """
    to_label = ((refined - torch.where(labeled[..., None], labels, 0.0)) ** 2).sum(-1)
    to_given = ((refined - given) ** 2).sum(-1)
    return weighted_mean((1 - confidences) * to_label + confidences * to_given, labeled.to(refined.dtype))


#: Nothing is projected from nearer than this (meters), where pixels grow without limit.
_NEAREST = 0.1


def view_rays(pixels: Tensor, intrinsics: Tensor) -> Tensor:
    """Unit viewing rays ``K^-1 (u, v, 1)`` of rectified pixels.

    Args:
        pixels: (..., J, 2).
        intrinsics: (..., 4) fx, fy, cx, cy of the image.

    Returns:
        (..., J, 3); NaN for NaN.
    """
    focal, center = intrinsics[..., None, :2], intrinsics[..., None, 2:]
    across = (pixels - center) / focal
    rays = torch.cat([across, torch.ones_like(across[..., :1])], dim=-1)
    return rays / length(rays)[..., None]


def project(joints: Tensor, intrinsics: Tensor) -> Tensor:
    """(..., J, 3) meters -> (..., J, 2) rectified pixels; a joint nearer than 10 cm counts as 10 cm away."""
    focal, center = intrinsics[..., None, :2], intrinsics[..., None, 2:]
    return joints[..., :2] / joints[..., 2:].clamp_min(_NEAREST) * focal + center


def ray_loss(joints: Tensor, rays: Tensor, weights: Tensor, knee: float = 0.05) -> Tensor:
    """``mean_j w_j rho(|(I - d_j d_j^T) P_j|)``: meters between joint and ray.

    Unlike a reprojection error it is linear in P, is as strict near as far, and has no gradient
    along the ray, so it never pulls the depth. Source: the 2D-to-3D ray loss that UniPose
    (arXiv 2509.23376) names, in the usual point-to-line form; knee and weights are ours.

    Args:
        joints: (..., J, 3).
        rays: (..., J, 3) unit vectors (:func:`view_rays`); NaN without a keypoint.
        weights: (..., J) trust in the keypoint, at least 0.
        knee: meters.
    """
    rays, seen = split_valid(rays)
    # Of a unit vector, |P x d| is the distance, with a gradient that is exact across the ray.
    across = length(torch.linalg.cross(joints, rays, dim=-1))
    return weighted_mean(huber(across, knee), weights * seen.all(-1))


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
    pixels, seen = split_valid(pixels)
    apart = length(project(joints, intrinsics) - pixels)
    return weighted_mean(huber(apart, knee), weights * seen.all(-1))
