"""Student's t as a likelihood that outliers cannot drag along.

A residual is whitened (divided by its standard deviation, or multiplied with the inverse Cholesky factor of
its covariance) before it comes here. All functions are plain arithmetic, so that they take NumPy arrays and
torch tensors alike.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

#: A NumPy array or a torch tensor.
Values = TypeVar("Values")

#: Degrees of freedom: with fewer, outliers count less (Lange, Little and Taylor, JASA 1989).
FREEDOM = 2.0
#: Standard deviations are so many times as wide at first, and as they are after this fraction of the iterations.
_WIDE, _NARROWED = 4.0, 0.6


def student_weight(squares: Values, dimensions: int) -> Values:
    """Weight of a residual in iteratively re-weighted least squares: ``(nu + d) / (nu + r^2)``.

    Args:
        squares: squared whitened residual, the sum over its coordinates.
        dimensions: number of coordinates of the residual.
    """
    given: Any = squares
    weight: Values = (FREEDOM + dimensions) / (FREEDOM + given)
    return weight


def student_cost(squares: Values, dimensions: int) -> Values:
    """Negative log likelihood up to a constant: ``(nu + d) / 2 log(1 + r^2 / nu)``.

    Args:
        squares: squared whitened residual.
        dimensions: number of coordinates of the residual.
    """
    given: Any = squares
    ratio = given / FREEDOM
    logarithm = ratio.log1p() if hasattr(ratio, "log1p") else np.log1p(ratio)
    cost: Values = (FREEDOM + dimensions) / 2 * logarithm
    return cost


def annealed_width(progress: float) -> float:
    """Factor on all standard deviations during a minimization, from 4 down to 1.

    Wide at first, every source counts; the minimum that is found then does not depend on the start. Graduated
    non-convexity (Blake and Zisserman, Visual Reconstruction, 1987).

    Args:
        progress: fraction of the iterations that are done, in [0, 1].
    """
    return float(max(1.0, _WIDE ** (1 - progress / _NARROWED)))
