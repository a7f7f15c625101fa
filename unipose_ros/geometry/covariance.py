"""How sure a joint is: covariances and confidences."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

# How far votes lie apart -> a covariance of the size that a network says; for torch and for numpy.


Array = TypeVar("Array", bound=Any)

#: Square meters (a centimeter squared): votes that fall together still leave an even covariance.
MIN_COVARIANCE = (1e-4, 0.0, 0.0, 1e-4, 0.0, 1e-4)


def scaled_covariance(spread: Array, least: Array, scales: Array) -> Array:
    """A spread scaled so that the mean variance of a coordinate is Laplace's, ``2 s^2``.

    Args:
        spread: (..., 6) square meters: xx, xy, xz, yy, yz, zz.
        least: (6,) :data:`MIN_COVARIANCE` in the kind of array that ``spread`` is.
        scales: (...) s in meters.
    """
    whole = spread + least
    mean = (whole[..., 0] + whole[..., 3] + whole[..., 5]) / 3
    sized: Array = whole * (2 * scales**2 / mean)[..., None]
    return sized


FloatArray = NDArray[np.float64]

#: Row and column of xx, xy, xz, yy, yz, zz.
_UPPER = np.triu_indices(3)
#: A keypoint of this confidence or more is as exact as the 2D network gets.
_SHARP = 0.6


def lateral_stds(
    confidences: FloatArray, ranges: FloatArray, sizes: FloatArray, noise: float, focal: float
) -> FloatArray:
    """Standard deviation of a joint across its ray in meters.

    A 2D network's error is a part of the person's size in the image and grows as its confidence
    falls; the power was fitted to MoveNet on rendered people. Half a pixel of the image adds to it.

    Args:
        confidences, ranges: (N, J) of the keypoint in [0, 1], and distance in meters.
        sizes: (N,) size as a part of an average adult.
        noise: meters for an average adult and a confident keypoint.
        focal: focal length in pixels.
    """
    blur = np.minimum(np.maximum(confidences, 0.05) / _SHARP, 1) ** -1.5
    return np.hypot(noise * sizes[:, None] * blur, 0.5 * ranges / focal)


def ray_covariances(points: FloatArray, along: FloatArray, across: FloatArray) -> FloatArray:
    """Covariances that are long along the viewing ray: ``across² I + (along² - across²) d dᵀ``.

    Args:
        points: (N, J, 3) meters; NaN gives NaN.
        along, across: (N, J) standard deviations in meters.

    Returns:
        (N, J, 6) square meters: xx, xy, xz, yy, yz, zz.
    """
    direction = points / np.linalg.norm(points, axis=-1, keepdims=True)
    outer = direction[..., :, None] * direction[..., None, :]
    full = (across**2)[..., None, None] * np.eye(3) + (along**2 - across**2)[..., None, None] * outer
    result: FloatArray = full[..., _UPPER[0], _UPPER[1]]
    return result
