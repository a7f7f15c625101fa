"""Joints do not jump: the second difference over time is small."""

from __future__ import annotations

from torch import Tensor

from unipose_training.losses.reduction import robust, weighted_mean


def motion_loss(joints: Tensor, weights: Tensor, consecutive: Tensor, knee: float = 0.05) -> Tensor:
    """``mean w_j rho(|P_{t+1} - 2 P_t + P_{t-1}|)``, each coordinate by itself.

    Zero for any constant velocity. Source: the usual acceleration penalty; the joints' weights are
    from the second differences of ITOP's labels.

    Args:
        joints: (B, T, J, 3) in steps of equal time; fewer than 3 frames give 0.
        weights: (J,) how still a joint is, 1 on average.
        consecutive: (B, T - 2) bool: the three frames really follow each other.
        knee: metres.
    """
    second = joints[:, 2:] - 2 * joints[:, 1:-1] + joints[:, :-2]
    return weighted_mean(robust(second, knee), weights[:, None] * consecutive[..., None, None])
