"""What 2D keypoints say about a pose and a camera that were both predicted, and about other keypoints.

The plane is that of a camera turned to the person, in units of the person's size there (see
:mod:`unipose_ros.codecs.keypoints`), so that near and far people teach alike.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unipose_training.losses.reduction import known, length, robust, weighted_mean

#: No joint is nearer to the camera than this part of the distance of the middle of the hips.
_NEAREST = 0.2
#: Cosines are kept this far from 1, where the arc cosine has no slope.
_MARGIN = 1e-6


def project_to_plane(joints: Tensor, zoom: Tensor, shift: Tensor, sizes: Tensor, known_focal: Tensor) -> Tensor:
    """Joints -> the scaled plane, in full perspective where the focal length is known, else in a weak one.

    The middle of the hips is at distance ``1 / (zoom sizes)``; a joint z metres behind it is smaller by
    ``1 + z zoom sizes``, which a weak perspective leaves out.

    Args:
        joints: (B, J, 3) metres in the frame of the turned camera, from the middle of the hips.
        zoom: (B,) units of the plane per metre at the hips.
        shift: (B, 2) metres from the axis to the hips.
        sizes: (B,) units of the unscaled plane z = 1 per unit of the scaled one.
        known_focal: (B,) bool.

    Returns:
        (B, J, 2).
    """
    nearness = torch.where(known_focal, zoom * sizes, 0.0)
    depth = (1 + joints[..., 2] * nearness[:, None]).clamp_min(_NEAREST)
    return (joints[..., :2] + shift[:, None]) * zoom[:, None, None] / depth[..., None]


def reprojection_loss(projected: Tensor, labels: Tensor, weights: Tensor, knee: float = 0.1) -> Tensor:
    """``mean_j w_j rho(|p_j - q_j|)`` on the scaled plane.

    Args:
        projected: (B, J, 2).
        labels: (B, J, 2); NaN without a label.
        weights: (B, J) trust in the label.
        knee: in sizes of the person.
    """
    labels, seen = known(labels)
    return weighted_mean(robust(length(projected - labels), knee), weights * seen.all(-1))


def tilt_loss(rotation: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Mean angle in radians between rotations (B, 3, 3); weights (B,)."""
    cosine = ((rotation * truth).sum((-1, -2)) - 1) / 2
    return weighted_mean(torch.acos(cosine.clamp(-1 + _MARGIN, 1 - _MARGIN)), weights)


def confidence_guided_loss(
    refined: Tensor, given: Tensor, labels: Tensor, confidences: Tensor, labelled: Tensor
) -> Tensor:
    """``mean_j (1 - c_j) |r_j - q_j|^2 + c_j |r_j - g_j|^2``: repair what the detector doubts, leave the rest.

    The idea is that of CameraPose's refinement (Yang et al., WACV 2023), which publishes no formula;
    this one is ours.

    Args:
        refined, given, labels: (B, J, 2) after refining, from the detector, true.
        confidences: (B, J) of the detector, in [0, 1]; 0 for a keypoint it did not give.
        labelled: (B, J) bool; others count nothing.
    """
    to_label = ((refined - torch.where(labelled[..., None], labels, 0.0)) ** 2).sum(-1)
    to_given = ((refined - given) ** 2).sum(-1)
    return weighted_mean((1 - confidences) * to_label + confidences * to_given, labelled.to(refined.dtype))
