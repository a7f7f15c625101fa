"""What a network says and what was lifted from keypoints, together: where each is sure, it counts."""

from __future__ import annotations

import torch
from torch import Tensor

from unipose_training.losses.reduction import known

#: A lifted joint farther than this (metres) from the network's is taken for a slip of the 2D network.
_SLIP = 0.25
#: Standard deviation (metres) of a sure keypoint across its ray.
_ACROSS = 0.03
#: The least confidence that is divided by.
_LEAST = 0.05


def fused(
    joints: Tensor, log_scales: Tensor, lifted: Tensor, lifted_variance: Tensor, lifted_confidence: Tensor
) -> tuple[Tensor, Tensor]:
    """Means weighted by inverse variance, joint by joint.

    A 2D network is exact where it sees a joint and wrong by a limb's length where it does not; a
    point network is never far off and never exact. The gate and the variance of a doubtful keypoint
    (divided by its confidence squared) are ours.

    Args:
        joints: (..., J, 3) metres, the network's.
        log_scales: (..., J) log of Laplace's scale of a coordinate.
        lifted: (..., J, 3); NaN where nothing was lifted.
        lifted_variance: (..., J) square metres, along z.
        lifted_confidence: (..., J) in [0, 1].

    Returns:
        (..., J, 3) metres and (..., J) log scales.
    """
    lifted, there = known(lifted)
    variance, measured = known(lifted_variance)
    usable = there.all(-1) & measured & ((joints - lifted).norm(dim=-1) <= _SLIP)
    sure = lifted_confidence.clamp(_LEAST, 1)
    precision = torch.where(usable, sure**2 / (variance + _ACROSS**2), 0.0)
    own = 0.5 * (-2 * log_scales).exp()  # Laplace's variance is 2 s^2
    total = own + precision
    mean = (own[..., None] * joints + precision[..., None] * lifted) / total[..., None]
    return mean, -0.5 * (2 * total).log()
