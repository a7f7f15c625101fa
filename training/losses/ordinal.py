"""The order of two points in depth teaches where the network says less than metres."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from unipose_training.losses.reduction import weighted_mean


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
