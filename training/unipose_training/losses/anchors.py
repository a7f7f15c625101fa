"""A2J's two terms: anchors gather around the joint, and their votes meet in it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from unipose_training.losses.robust import split_valid, weighted_mean


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
