"""How sure a network's joint is: the probability that it is near enough, from the scale it has learned."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Metres: a joint nearer than this to where it truly is counts as found.
NEAR = 0.10
#: Of the table: beyond this many scales, all but one in 10^7 of the errors lie within.
_LAST = 20.0


def probability_near(scales: NDArray[np.floating]) -> FloatArray:
    """Probability that the error is shorter than 10 cm.

    Args:
        scales: (...) metres; its coordinates' errors follow Laplace's distribution with this scale.
            NaN gives 0.
    """
    distances, probabilities = _table()
    with np.errstate(divide="ignore", invalid="ignore"):
        within = np.interp(NEAR / np.asarray(scales, np.float64), distances, probabilities)
    return np.nan_to_num(within)


@cache
def _table() -> tuple[FloatArray, FloatArray]:
    """Distances r in scales, and the probability that three Laplace coordinates are shorter than r together.

    ``P(r) = int_0^r e^-x Q(sqrt(r^2 - x^2)) dx`` with
    ``Q(s) = int_0^s e^-y (1 - e^-sqrt(s^2 - y^2)) dy``, by Gauss and Legendre's rule; the
    substitutions x = r sin(a) and y = s sin(b) take the roots' steep ends away.
    """
    nodes, weights = np.polynomial.legendre.leggauss(64)
    angles, weights = (nodes + 1) * np.pi / 4, weights * np.pi / 4
    sines, cosines = np.sin(angles), np.cos(angles)

    def two(radii: FloatArray) -> FloatArray:
        s = radii[..., None]
        return np.asarray((np.exp(-s * sines) * -np.expm1(-s * cosines) * s * cosines * weights).sum(axis=-1))

    distances = np.linspace(0, _LAST, 401)
    r = distances[:, None]
    probabilities = (np.exp(-r * sines) * two(r * cosines) * r * cosines * weights).sum(axis=-1)
    return distances, probabilities
