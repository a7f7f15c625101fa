"""Joints are to be where somebody says they are."""

from __future__ import annotations

from torch import Tensor

from unipose_training.losses.reduction import known, length, robust, weighted_mean


def joint_loss(joints: Tensor, targets: Tensor, weights: Tensor, knee: float = 0.05) -> Tensor:
    """``mean w rho(|P - P*|)`` with Huber's function; a target that is missing (NaN) adds nothing.

    Args:
        joints, targets: (..., J, 3) metres.
        weights: of a shape that fits (..., J).
        knee: metres.
    """
    targets, there = known(targets)
    return weighted_mean(robust(length(joints - targets), knee), weights * there.all(-1))
