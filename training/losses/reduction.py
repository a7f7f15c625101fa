"""What the terms share: robust distances, and means that leave out what is missing."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss


def robust(residuals: Tensor, knee: float) -> Tensor:
    """Huber's function scaled to slope 1: ``r^2 / (2 knee)`` up to the knee, ``|r| - knee / 2`` beyond.

    Source: Huber, Annals of Mathematical Statistics 1964.
    """
    return smooth_l1_loss(residuals, torch.zeros_like(residuals), reduction="none", beta=knee)


def known(measured: Tensor) -> tuple[Tensor, Tensor]:
    """A measurement with 0 for what is not finite, and the boolean mask of what is.

    The zero comes before any arithmetic: 0 times a NaN is a NaN, also in a gradient.
    """
    finite = torch.isfinite(measured)
    return torch.where(finite, measured, 0.0), finite


def weighted_mean(terms: Tensor, weights: Tensor | None = None) -> Tensor:
    """``mean(w * t)`` over all elements, a scalar; 0 of nothing.

    It is divided by the number of terms, not by the sum of the weights: a sample that saw little
    teaches little.
    """
    if terms.numel() == 0:
        return terms.sum()
    return terms.mean() if weights is None else (terms * weights).mean()


def length(vectors: Tensor) -> Tensor:
    """(..., D) -> (...); the gradient of a zero vector is 0, not NaN."""
    result: Tensor = torch.linalg.vector_norm(vectors, dim=-1)
    return result


def distances(points: Tensor, others: Tensor) -> Tensor:
    """(B, M, 3), (B, N, 3) -> (B, M, N) metres."""
    return length(points[:, :, None] - others[:, None])


def bone_lengths(joints: Tensor, bones: Tensor) -> Tensor:
    """(..., J, 3) joints and (K, 2) pairs of joint indices -> (..., K) metres."""
    return length(joints[..., bones[:, 1], :] - joints[..., bones[:, 0], :])
