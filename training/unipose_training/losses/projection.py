"""2D keypoints train where a joint is across its viewing ray: back-projection, or reprojection."""

from __future__ import annotations

import torch
from torch import Tensor

from unipose_training.losses.robust import distances, huber, length, split_valid, weighted_mean

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
        weights: (B, J) confidence in the label.
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
        weights: (..., J) confidence in the keypoint, at least 0.
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


# Depth trains how far a joint is: near behind the surface it is seen through, never before it.

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
