"""Anchors vote for a joint: where they agree it is, how far apart they are, how sure it is."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from unipose_ros.networks.spread import LEAST_SPREAD, sized_spread

#: Row and column of xx, xy, xz, yy, yz, zz.
_UPPER = ([0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2])


class Votes(NamedTuple):
    """What a point network says about J joints.

    Attributes:
        joints: (..., J, 3) metres.
        log_scales: (..., J) log of Laplace's scale of a coordinate, in metres.
        covariances: (..., J, 6) square metres: xx, xy, xz, yy, yz, zz.
    """

    joints: Tensor
    log_scales: Tensor
    covariances: Tensor


def count_votes(places: Tensor, logits: Tensor, log_scales: Tensor) -> Votes:
    """Softmax-weighted mean of what each anchor says.

    The covariance has the shape in which the votes spread and the size that the learned scale says:
    Laplace's variance is ``2 s^2``. A2J (Xiong et al., ICCV 2019) votes so in the image; the
    covariance is ours.

    Args:
        places: (..., A, J, 3) metres, each anchor's vote.
        logits: (..., A, J) weight of the vote before the softmax.
        log_scales: (..., A, J) each anchor's log scale.
    """
    weights = logits.softmax(dim=-2)
    joints = (weights[..., None] * places).sum(-3)
    scales = (weights * log_scales).sum(-2)
    apart = places - joints[..., None, :, :]
    spread = weighted_spread(weights, apart)
    return Votes(joints, scales, sized_spread(spread, spread.new_tensor(LEAST_SPREAD), scales.exp()))


def weighted_spread(weights: Tensor, apart: Tensor) -> Tensor:
    """Weights (..., A, J) of A offsets (..., A, J, 3) from their mean -> (..., J, 6) covariances."""
    sides = apart.transpose(-3, -2)
    full = (sides * weights.transpose(-1, -2)[..., None]).transpose(-1, -2) @ sides
    rows, columns = _UPPER
    return full[..., rows, columns]
