"""Covariances of joints as six numbers each: how they are packed, rotated, sized and made from a viewing ray.

``xx, xy, xz, yy, yz, zz`` is the upper triangle of a symmetric 3 x 3 matrix, row by row. Functions that
only index and add take NumPy arrays and torch tensors alike, so that training and running share them.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Array = TypeVar("Array", bound=Any)

#: Row and column of xx, xy, xz, yy, yz, zz in the full matrix. Lists: torch takes tuples for something else.
ROWS, COLUMNS = [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]
#: Where xx, yy and zz are among the six.
VARIANCES = [0, 3, 5]
#: Square meters (a centimeter squared): votes that coincide still leave an isotropic covariance.
LEAST_COVARIANCE = (1e-4, 0.0, 0.0, 1e-4, 0.0, 1e-4)
#: A keypoint of this confidence or more is as exact as the 2D network gets; below, its error grows with this power
#: of the confidence. Both were fitted to MoveNet on rendered people. Confidences below the last count as it.
_SHARP, _BLUR_POWER, _LEAST_CONFIDENCE = 0.6, -1.5, 0.05


def pack(full: Array) -> Array:
    """(..., 3, 3) symmetric matrices -> (..., 6)."""
    packed: Array = full[..., ROWS, COLUMNS]
    return packed


def expand(packed: NDArray[np.floating]) -> FloatArray:
    """(..., 6) -> (..., 3, 3) symmetric matrices."""
    full = np.zeros((*packed.shape[:-1], 3, 3))
    full[..., ROWS, COLUMNS] = packed
    full[..., COLUMNS, ROWS] = packed
    return full


def transformed(packed: NDArray[np.floating], matrices: NDArray[np.floating]) -> FloatArray:
    """Covariances of linearly mapped quantities: ``M C M^T``.

    Args:
        packed: (..., 6).
        matrices: (..., 3, 3) rotations or Jacobians; broadcast against ``packed``.

    Returns:
        (..., 6).
    """
    return pack(matrices @ expand(packed) @ np.swapaxes(matrices, -1, -2))


def variances(packed: Array) -> Array:
    """(..., 6) -> (..., 3) xx, yy, zz."""
    diagonal: Array = packed[..., VARIANCES]
    return diagonal


def laplace_scale(packed: NDArray[np.floating]) -> NDArray[np.floating]:
    """(..., 6) -> (...) Laplace's scale s of a coordinate with the same mean variance, which is ``2 s^2``."""
    return np.asarray(np.sqrt(variances(packed).sum(axis=-1) / 6))


def outer_products(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    """(..., 3) -> (..., 6) of ``v v^T``."""
    return np.asarray(vectors[..., ROWS] * vectors[..., COLUMNS])


def with_scale(packed: Array, least: Array, scales: Array) -> Array:
    """Covariances of the same shape, sized so that the mean variance of a coordinate is Laplace's, ``2 s^2``.

    Args:
        packed: (..., 6) square meters.
        least: (6,) :data:`LEAST_COVARIANCE` in the kind of array that ``packed`` is.
        scales: (...) s in meters.
    """
    raised = packed + least
    mean = (raised[..., 0] + raised[..., 3] + raised[..., 5]) / 3
    sized: Array = raised * (2 * scales**2 / mean)[..., None]
    return sized


def ray_covariances(points: FloatArray, along: FloatArray, across: FloatArray) -> FloatArray:
    """Covariances that are long along the viewing ray: ``across² I + (along² - across²) d dᵀ``.

    Args:
        points: (N, J, 3) meters; NaN gives NaN.
        along, across: (N, J) standard deviations in meters.

    Returns:
        (N, J, 6) square meters.
    """
    direction = points / np.linalg.norm(points, axis=-1, keepdims=True)
    outer = direction[..., :, None] * direction[..., None, :]
    full = (across**2)[..., None, None] * np.eye(3) + (along**2 - across**2)[..., None, None] * outer
    return pack(full)


def keypoint_blur(confidences: FloatArray) -> FloatArray:
    """(...) confidences of 2D keypoints -> factors on their standard deviation, 1 for a confident one."""
    return np.asarray(np.minimum(np.maximum(confidences, _LEAST_CONFIDENCE) / _SHARP, 1) ** _BLUR_POWER)


def lateral_std(
    confidences: FloatArray, ranges: FloatArray, sizes: FloatArray, noise: float, focal: float
) -> FloatArray:
    """Standard deviation of a joint across its viewing ray in meters.

    A 2D network's error is a fraction of the person's size in the image and grows as its confidence falls
    (:func:`keypoint_blur`). Half a pixel of the image adds to it.

    Args:
        confidences, ranges: (N, J) of the keypoint in [0, 1], and distance in meters.
        sizes: (N,) size as a fraction of an average adult.
        noise: meters for an average adult and a confident keypoint.
        focal: focal length in pixels.
    """
    return np.hypot(noise * sizes[:, None] * keypoint_blur(confidences), 0.5 * ranges / focal)
