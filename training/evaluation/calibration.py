"""Whether the published covariances are as large as the errors are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

LEVELS = tuple(round(0.05 * step, 2) for step in range(1, 20))
_TRIANGLE = np.array([[0, 1, 2], [1, 3, 4], [2, 4, 5]])


@dataclass(frozen=True)
class Reliability:
    """Share of true joints inside the ellipsoid that should hold a given share of them.

    Attributes:
        count: joints with an error and a usable covariance.
        levels, coverage: nominal and observed shares.
        calibration_error: mean of |coverage - level|.
        bias: mean of coverage - level; negative means too sure.
        scale: factor by which standard deviations would have to be multiplied for the median to fit.
        cover_95: observed share at the level 0.95.
    """

    count: int
    levels: tuple[float, ...]
    coverage: tuple[float, ...]
    calibration_error: float
    bias: float
    scale: float
    cover_95: float


def covariance_matrices(triangles: NDArray[np.floating]) -> NDArray[np.float64]:
    """(..., 6) upper triangles xx, xy, xz, yy, yz, zz -> (..., 3, 3)."""
    return np.asarray(triangles, np.float64)[..., _TRIANGLE]


def squared_mahalanobis(differences: NDArray[np.floating], triangles: NDArray[np.floating]) -> NDArray[np.float64]:
    """e^T C^-1 e of (..., 3) errors; NaN where the error or C is absent or C is not positive definite."""
    errors, matrices = np.asarray(differences, np.float64), covariance_matrices(triangles)
    known = np.isfinite(errors).all(axis=-1) & np.isfinite(matrices).all(axis=(-2, -1))
    result = np.full(known.shape, np.nan)
    if known.any():
        values, axes = np.linalg.eigh(matrices[known])
        turned = np.einsum("nij,ni->nj", axes, errors[known])
        proper = (values > 0).all(axis=-1)
        result[known] = np.where(proper, (turned**2 / np.where(values > 0, values, 1.0)).sum(axis=-1), np.nan)
    return result


def reliability(squared: NDArray[np.floating], levels: tuple[float, ...] = LEVELS) -> Reliability:
    """Compare squared Mahalanobis distances with chi-square of three degrees of freedom.

    If errors are Gaussian with the published covariances, the share of distances below the
    quantile of level p is p; the expected calibration error (Guo et al., ICML 2017, here over
    coverage as in Kuleshov et al., ICML 2018) is then 0.
    """
    known = squared[np.isfinite(squared)]
    if not known.size:
        nan = float("nan")
        return Reliability(0, levels, (nan,) * len(levels), nan, nan, nan, nan)
    coverage = np.array([(known <= chi2.ppf(level, 3)).mean() for level in levels])
    difference = coverage - np.array(levels)
    return Reliability(
        count=int(known.size),
        levels=levels,
        coverage=tuple(coverage.tolist()),
        calibration_error=float(np.abs(difference).mean()),
        bias=float(difference.mean()),
        scale=float(np.sqrt(np.median(known) / chi2.ppf(0.5, 3))),
        cover_95=float((known <= chi2.ppf(0.95, 3)).mean()),
    )
