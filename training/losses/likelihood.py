"""A network that says how sure it is: the scale pays for itself."""

from __future__ import annotations

from torch import Tensor

from unipose_training.losses.reduction import known, weighted_mean


def laplace_loss(residuals: Tensor, log_scales: Tensor, weights: Tensor) -> Tensor:
    """``mean w (|r| / s + log s)``: the negative log-likelihood of Laplace's distribution, less log 2.

    For a residual r it is least at s = |r|. Source: Kendall and Gal, NeurIPS 2017.

    Args:
        residuals: metres; NaN where nothing was measured.
        log_scales: log s, s in metres, of a shape that fits.
        weights: of a shape that fits.
    """
    residuals, measured = known(residuals)
    terms = residuals.abs() * (-log_scales).exp() + log_scales
    return weighted_mean(terms, weights * measured)
