"""How far votes lie apart -> a covariance of the size that a network says; for torch and for numpy."""

from __future__ import annotations

from typing import Any, TypeVar

Array = TypeVar("Array", bound=Any)

#: Square metres (a centimetre squared): votes that fall together still leave an even covariance.
LEAST_SPREAD = (1e-4, 0.0, 0.0, 1e-4, 0.0, 1e-4)


def sized_spread(spread: Array, least: Array, scales: Array) -> Array:
    """A spread scaled so that the mean variance of a coordinate is Laplace's, ``2 s^2``.

    Args:
        spread: (..., 6) square metres: xx, xy, xz, yy, yz, zz.
        least: (6,) :data:`LEAST_SPREAD` in the kind of array that ``spread`` is.
        scales: (...) s in metres.
    """
    whole = spread + least
    mean = (whole[..., 0] + whole[..., 3] + whole[..., 5]) / 3
    sized: Array = whole * (2 * scales**2 / mean)[..., None]
    return sized
