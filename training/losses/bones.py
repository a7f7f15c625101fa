"""What is known of bones: left is as long as right, and nobody's change."""

from __future__ import annotations

import torch
from torch import Tensor

from unipose_ros.skeletons import ITOP15
from unipose_training.losses.reduction import bone_lengths, length, robust, weighted_mean

_NECK, _TORSO = ITOP15.index("neck"), ITOP15.index("torso")
_SHOULDERS = [ITOP15.index("left_shoulder"), ITOP15.index("right_shoulder")]
_HIPS = [ITOP15.index("left_hip"), ITOP15.index("right_hip")]


def symmetry_loss(joints: Tensor, pairs: Tensor, dead_zone: float = 0.02, weights: Tensor | None = None) -> Tensor:
    """``mean_p w_p max(0, |len_left - len_right| - dead_zone)^2`` in square metres.

    The plain difference is that of RefiNet (D'Eusanio et al., ICPR 2020). The dead zone is ours:
    the labels of ITOP differ by more than 2 cm between left and right themselves.

    Args:
        joints: (..., J, 3).
        pairs: (P, 2, 2) joint indices: the bone of one side and that of the other.
        dead_zone: metres.
        weights: (..., P), or None for 1.
    """
    apart = (bone_lengths(joints, pairs[:, 0]) - bone_lengths(joints, pairs[:, 1])).abs()
    return weighted_mean((apart - dead_zone).clamp_min(0) ** 2, weights)


def bone_constancy_loss(joints: Tensor, bones: Tensor, given: Tensor, knee: float = 0.05) -> Tensor:
    """``mean_{t,b} rho(len_{t,b} - mean_t len_b)``: bones keep their length over a clip.

    Args:
        joints: (B, T, J, 3).
        bones: (K, 2) pairs of joint indices.
        given: (B, T) bool, frames that count.
        knee: metres.
    """
    counted = given[..., None].to(joints.dtype)
    measured = bone_lengths(joints, bones)
    mean = (measured * counted).sum(1, keepdim=True) / counted.sum(1, keepdim=True).clamp_min(1)
    return weighted_mean(robust(measured - mean, knee), counted)


def bone_prior_loss(
    joints: Tensor, bones: Tensor, means: Tensor, spreads: Tensor, size: Tensor, tolerance: float = 3.0
) -> Tensor:
    """``mean_b max(0, |len_b - size mean_b| - tolerance size spread_b)``: no bone unlike all people's.

    Args:
        joints: (..., J, 3).
        bones: (K, 2) pairs of joint indices.
        means, spreads: (K,) metres over the population.
        size: (...,) the person's size as a part of an average adult.
        tolerance: in spreads.
    """
    scale = size[..., None]
    beyond = (bone_lengths(joints, bones) - scale * means).abs() - tolerance * scale * spreads
    return weighted_mean(torch.clamp_min(beyond, 0))


def middle_loss(joints: Tensor, knee: float = 0.02) -> Tensor:
    """``rho(|neck - middle of shoulders|) + rho(|torso - middle of neck and hips|)``, averaged.

    That is what these two joints of ITOP are, within a millimetre of its labels; no 2D network
    points at them.

    Args:
        joints: (..., 15, 3) in ITOP's order, metres.
        knee: metres.
    """
    neck = joints[..., _SHOULDERS, :].mean(-2)
    torso = (neck + joints[..., _HIPS, :].mean(-2)) / 2
    apart = torch.stack([joints[..., _NECK, :] - neck, joints[..., _TORSO, :] - torso], dim=-2)
    return weighted_mean(robust(length(apart), knee))
