"""Bodies told from what merely fits a picture: the kinematic chain space, and a critic in it.

Reprojection leaves every joint free along its ray. What keeps depth right without 3D labels is what
bodies are like: how long bones are to each other, which angles they form, and which way they point where
down is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize, softplus

from unipose_training.losses.reduction import bone_lengths, weighted_mean


def kinematic_chain(joints: Tensor, bones: Tensor) -> Tensor:
    """(..., J, 3) and (K, 2) -> (..., K (K + 1) / 2) products of all pairs of bones over the mean squared length.

    The diagonal says how long bones are, the rest which angles they form; turns of the whole body and
    its size have no influence. Source: the kinematic chain space of Wandt et al. (RepNet, CVPR 2019).
    """
    vectors = joints[..., bones[:, 1], :] - joints[..., bones[:, 0], :]
    products = vectors @ vectors.transpose(-1, -2)
    rows, columns = torch.triu_indices(len(bones), len(bones), device=joints.device)
    mean = products.diagonal(dim1=-2, dim2=-1).mean(-1, keepdim=True)
    return products[..., rows, columns] / mean.clamp_min(1e-6)


def bone_ratio_loss(joints: Tensor, bones: Tensor, means: Tensor, spreads: Tensor, weights: Tensor) -> Tensor:
    """``mean_b rho((r_b - mean_b) / spread_b)``, r_b being a bone's part of the length of all bones.

    Args:
        joints: (B, J, 3).
        bones: (K, 2) pairs of joint indices.
        means, spreads: (K,) of the ratio over the population.
        weights: (B,).
    """
    lengths = bone_lengths(joints, bones)
    ratios = lengths / lengths.sum(-1, keepdim=True).clamp_min(1e-6)
    apart = ((ratios - means) / spreads).abs()
    # A parabola up to three spreads, then a line: one impossible bone must not drown the others.
    terms = torch.where(apart < 3, apart**2 / 2, 3 * apart - 4.5)
    return weighted_mean(terms, weights[:, None])


class PoseCritic(nn.Module):
    """Says how much a pose looks like one from motion capture: large for real ones.

    It judges the kinematic chain space, and the bones as they stand in the upright frame: a camera that
    looks down is told from a person who leans back by what people seldom do.

    Args:
        bones: (K, 2) pairs of joint indices.
        width: of the two hidden layers.
    """

    def __init__(self, bones: Tensor, width: int = 128) -> None:
        super().__init__()
        self.register_buffer("bones", bones, persistent=False)
        count = len(bones) * (len(bones) + 1) // 2
        count += 3 * len(bones)
        self.first, self.second, self.last = nn.Linear(count, width), nn.Linear(width, width), nn.Linear(width, 1)

    def forward(self, upright: Tensor) -> Tensor:
        """(B, J, 3) -> (B,) logits."""
        bones = cast(Tensor, self.bones)
        directions = normalize(upright[:, bones[:, 1]] - upright[:, bones[:, 0]], dim=-1)
        features = torch.cat([kinematic_chain(upright, bones), directions.flatten(1)], dim=-1)
        hidden = leaky_relu(self.second(leaky_relu(self.first(features), 0.2)), 0.2)
        logits: Tensor = self.last(hidden)
        return logits[:, 0]


def adversarial_loss(critic: PoseCritic, predicted: Tensor, real: Tensor, strength: float) -> Tensor:
    """Teaches the critic to tell predicted from real poses, and at the same time the lifter to deceive it.

    One loss for both: the gradient is reversed on its way to the predictions (Ganin and Lempitsky,
    ICML 2015). The classifier's loss is the logistic one.

    Args:
        predicted, real: (B, J, 3), (C, J, 3) in the upright frame.
        strength: of the gradient that reaches ``predicted``.
    """
    reverse: Callable[[Tensor, float], Tensor] = _Reverse.apply
    judged = critic(reverse(predicted, strength))
    return softplus(judged).mean() + softplus(-critic(real)).mean()


class _Reverse(torch.autograd.Function):
    """The identity; its gradient is turned round."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None
