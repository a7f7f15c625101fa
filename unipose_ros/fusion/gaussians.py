"""Covariance matrices of joints: packed and full, along a ray, and of mixtures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Row and column of xx, xy, xz, yy, yz, zz.
UPPER = np.triu_indices(3)


def unpack(covariances: NDArray[np.floating]) -> FloatArray:
    """(..., 6) xx, xy, xz, yy, yz, zz -> (..., 3, 3)."""
    full = np.empty((*covariances.shape[:-1], 3, 3))
    full[..., UPPER[0], UPPER[1]] = covariances
    full[..., UPPER[1], UPPER[0]] = covariances
    return full


def pack(covariances: NDArray[np.floating]) -> FloatArray:
    """(..., 3, 3) -> (..., 6) xx, xy, xz, yy, yz, zz."""
    return np.asarray(covariances[..., UPPER[0], UPPER[1]], np.float64)


def along_rays(points: FloatArray, along: FloatArray, across: FloatArray) -> FloatArray:
    """Full covariances that are elongated along the viewing ray: ``across^2 I + (along^2 - across^2) d d^T``.

    Args:
        points: (..., 3) meters in the optical frame, not at its origin.
        along, across: (...) standard deviations in meters.
    """
    direction = points / np.linalg.norm(points, axis=-1, keepdims=True)
    outer = direction[..., :, None] * direction[..., None, :]
    full: FloatArray = (across**2)[..., None, None] * np.eye(3) + (along**2 - across**2)[..., None, None] * outer
    return full


def whitening(covariances: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Matrices W with ``W C W^T = I``, so that ``|W r|^2`` is the squared Mahalanobis distance.

    Args:
        covariances: (..., 3, 3); those that are not finite and positive definite have no W.

    Returns:
        (..., 3, 3), zeros where there is none, and (...) where there is one.
    """
    sound = np.asarray(np.isfinite(covariances).all(axis=(-2, -1)))
    safe = np.where(sound[..., None, None], covariances, np.eye(3))
    # Symmetric and scaled: tiny covariances are as good as large ones.
    safe = (safe + np.swapaxes(safe, -1, -2)) / 2
    size = np.trace(safe, axis1=-2, axis2=-1)
    values, vectors = np.linalg.eigh(safe)
    sound &= (values[..., 0] > 1e-9 * size) & (size > 0)
    scale = 1 / np.sqrt(np.where(sound[..., None], values, 1.0))
    white = scale[..., :, None] * np.swapaxes(vectors, -1, -2)
    return np.where(sound[..., None, None], white, 0.0), sound


def mixture(
    weights: NDArray[Any], means: NDArray[np.floating], covariances: NDArray[np.floating]
) -> tuple[FloatArray, FloatArray]:
    """Mean and covariance of a mixture of Gaussians (moment matching).

    Args:
        weights: (K, ...) that sum to 1 over the first axis.
        means: (K, ..., 3) meters.
        covariances: (K, ..., 3, 3).
    """
    w = np.asarray(weights, np.float64)
    mean = (w[..., None] * means).sum(axis=0)
    apart = means - mean
    outer = apart[..., :, None] * apart[..., None, :]
    return mean, (w[..., None, None] * (covariances + outer)).sum(axis=0)
