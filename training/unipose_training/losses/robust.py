"""What the terms share: robust distances, and means that leave out what is missing."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss, softplus


def huber(residuals: Tensor, knee: float) -> Tensor:
    """Huber's function scaled to slope 1: ``r^2 / (2 knee)`` up to the knee, ``|r| - knee / 2`` beyond.

    Source: Huber, Annals of Mathematical Statistics 1964.
    """
    return smooth_l1_loss(residuals, torch.zeros_like(residuals), reduction="none", beta=knee)


def split_valid(measured: Tensor) -> tuple[Tensor, Tensor]:
    """A measurement with 0 for what is not finite, and the boolean mask of what is.

    The zero comes before any arithmetic: 0 times a NaN is a NaN, also in a gradient.
    """
    finite = torch.isfinite(measured)
    return torch.where(finite, measured, 0.0), finite


def weighted_mean(terms: Tensor, weights: Tensor | None = None) -> Tensor:
    """``mean(w * t)`` over all elements, a scalar; 0 of nothing.

    It is divided by the number of terms, not by the sum of the weights: a sample that saw little
    trains little.
    """
    if terms.numel() == 0:
        return terms.sum()
    return terms.mean() if weights is None else (terms * weights).mean()


def length(vectors: Tensor) -> Tensor:
    """(..., D) -> (...); the gradient of a zero vector is 0, not NaN."""
    result: Tensor = torch.linalg.vector_norm(vectors, dim=-1)
    return result


def distances(points: Tensor, others: Tensor) -> Tensor:
    """(B, M, 3), (B, N, 3) -> (B, M, N) meters."""
    return length(points[:, :, None] - others[:, None])


def bone_lengths(joints: Tensor, bones: Tensor) -> Tensor:
    """(..., J, 3) joints and (K, 2) pairs of joint indices -> (..., K) meters."""
    return length(joints[..., bones[:, 1], :] - joints[..., bones[:, 0], :])


# Joints are to be where a person says they are.


def joint_loss(joints: Tensor, targets: Tensor, weights: Tensor, knee: float = 0.05) -> Tensor:
    """``mean w rho(|P - P*|)`` with Huber's function; a target that is missing (NaN) adds nothing.

    Args:
        joints, targets: (..., J, 3) meters.
        weights: of a shape that fits (..., J).
        knee: meters.
    """
    targets, there = split_valid(targets)
    return weighted_mean(huber(length(joints - targets), knee), weights * there.all(-1))


# A network that says how sure it is: the scale pays for itself.


def laplace_loss(residuals: Tensor, log_scales: Tensor, weights: Tensor) -> Tensor:
    """``mean w (|r| / s + log s)``: the negative log-likelihood of Laplace's distribution, less log 2.

    For a residual r it is least at s = |r|. Source: Kendall and Gal, NeurIPS 2017.

    Args:
        residuals: meters; NaN where nothing was measured.
        log_scales: log s, s in meters, of a shape that fits.
        weights: of a shape that fits.
    """
    residuals, measured = split_valid(residuals)
    terms = residuals.abs() * (-log_scales).exp() + log_scales
    return weighted_mean(terms, weights * measured)


# The order of two points in depth trains where the network predicts less than meters.


def ordinal_loss(first: Tensor, second: Tensor, order: Tensor, weights: Tensor, margin: float = 0.05) -> Tensor:
    """``mean w log(1 + exp(r (z_i - z_j) + m))`` for r = 1 or -1, and ``mean w (z_i - z_j)^2`` for r = 0.

    Depths are in units of their own (the network is free to choose their scale); m is in the same
    units and keeps points that are in order from touching. Source: the ordinal term of Pavlakos
    et al. (CVPR 2018), with the order turned so that 1 means nearer; the margin is ours.

    Args:
        first, second: (M,) depths z_i and z_j of the two points; for r = 1 the first is to be nearer.
        order: (M,) r: 1, -1 or 0.
        weights: (M,) at least 0.
        margin: at least 0.
    """
    apart = first - second
    ordered = softplus(order * apart + margin)
    return weighted_mean(torch.where(order == 0, apart.square(), ordered), weights)


# A2J's two terms: anchors gather around the joint, and their votes meet in it.


def informative_anchor_loss(anchor: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """``mean_j w_j sum_uv L(sum_a p_ja anchor_a - q_j)``: the anchors alone already surround the joint.

    L is the smooth L1 distance with knee 1 pixel. Source: A2J (Xiong et al., ICCV 2019).

    Args:
        anchor: (B, J, 2) the sums, in pixels of the crop.
        targets: (B, J, 2) pixels; NaN without a joint.
        weights: (B, J).
    """
    return _smooth_distance(anchor, targets, weights, knee=1.0)


def anchor_regression_loss(
    pixels: Tensor, depths: Tensor, target_pixels: Tensor, target_depths: Tensor, weights: Tensor,
    uv_weight: float = 1.0, depth_knee: float = 3.0,
) -> Tensor:  # fmt: skip
    """``mean_j w_j (uv_weight sum_uv L_1(q) + L_3(z))``: the votes meet in the joint.

    Depth counts in units of 2 cm, which makes its error about as large as that in pixels. Source:
    A2J (Xiong et al., ICCV 2019); knee and unit are those of its code for ITOP.

    Args:
        pixels, target_pixels: (B, J, 2) in the crop; a target is NaN without a joint.
        depths, target_depths: (B, J) in units of 2 cm.
        weights: (B, J).
        uv_weight: weight of the pixels' part.
        depth_knee: in units of 2 cm.
    """
    across = _smooth_distance(pixels, target_pixels, weights, knee=1.0)
    along = _smooth_distance(depths[..., None], target_depths[..., None], weights, depth_knee)
    return uv_weight * across + along


def _smooth_distance(values: Tensor, targets: Tensor, weights: Tensor, knee: float) -> Tensor:
    targets, given = split_valid(targets)
    # Huber's function as torch scales it: slope 1, as A2J has it.
    apart = smooth_l1_loss(values, targets, reduction="none", beta=knee).sum(-1)
    return weighted_mean(apart, weights * given.all(-1).to(torch.float32))


# The modalities train each other: each follows what a slow average of another says.


def consistency_loss(
    student: Tensor, teacher: Tensor, student_confidence: Tensor, teacher_confidence: Tensor, knee: float = 0.05
) -> Tensor:
    """``mean_j c_j^student c_j^teacher rho(|P_j^student - P_j^teacher|)``.

    No gradient reaches the teacher or either confidence: a student cannot win by being unsure. Source:
    Mean Teacher (Tarvainen and Valpola, NeurIPS 2017) between modalities, as UniPose
    (arXiv 2509.23376) lets its modalities interact; the weighting is ours.

    Args:
        student, teacher: (..., J, 3) meters; NaN where the teacher has no joint.
        student_confidence, teacher_confidence: (..., J) in [0, 1].
        knee: meters.
    """
    teacher, there = split_valid(teacher.detach())
    apart = length(student - teacher)
    return weighted_mean(huber(apart, knee), (student_confidence * teacher_confidence).detach() * there.all(-1))
