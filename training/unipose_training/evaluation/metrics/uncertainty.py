"""Whether the published covariances and confidences are what the errors are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from unipose_ros.geometry.covariance import expand
from unipose_ros.modalities.convert import CONFIDENCE_RADIUS

# Whether the joints called uncertain are the wrong ones.


REMOVED = tuple(round(0.05 * step, 2) for step in range(20))


@dataclass(frozen=True)
class Sparsification:
    """Mean error of the joints left when the least certain are removed (Ilg et al., ECCV 2018).

    Errors are relative to the mean of all, so every curve begins at 1.

    Attributes:
        removed: shares removed.
        curve: by the uncertainty given.
        oracle: by the errors themselves, the best that can be.
        ause: area between the two; 0 is perfect.
        ause_random: the same area for an order by chance, whose curve stays at 1.
        mean_mm: mean error of all.
        count: joints.
    """

    count: int
    removed: tuple[float, ...]
    curve: tuple[float, ...]
    oracle: tuple[float, ...]
    ause: float
    ause_random: float
    mean_mm: float


def sparsification(errors: NDArray[np.floating], uncertainty: NDArray[np.floating]) -> Sparsification | None:
    """The curve of errors in meters; joints with a NaN on either side are left out.

    Joints of equal uncertainty share their mean error, so that their order does not matter.
    ``None`` when no joint is left or none has an error.
    """
    known = np.isfinite(errors) & np.isfinite(uncertainty)
    values, scores = np.asarray(errors[known], np.float64), np.asarray(uncertainty[known])
    if not values.size or values.mean() == 0:
        return None
    curve = _remaining(_tied_means(values, scores))
    oracle = _remaining(np.sort(values))
    return Sparsification(
        count=int(values.size),
        removed=REMOVED,
        curve=tuple(curve.tolist()),
        oracle=tuple(oracle.tolist()),
        ause=_area(curve - oracle),
        ause_random=_area(1 - oracle),
        mean_mm=1e3 * float(values.mean()),
    )


def _tied_means(values: NDArray[np.float64], scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Errors from the surest to the least sure, ties replaced by their mean."""
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    means = np.bincount(group, weights=values) / sizes
    return np.asarray(np.repeat(means, sizes))


def _remaining(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of what is left, relative to the mean of all, for each share removed from the end."""
    kept = [max(1, round(len(ordered) * (1 - share))) for share in REMOVED]
    return np.asarray(np.array([ordered[:k].mean() for k in kept]) / ordered.mean())


def _area(difference: NDArray[np.float64]) -> float:
    return float(((difference[1:] + difference[:-1]) / 2 * np.diff(REMOVED)).sum())


LEVELS = tuple(round(0.05 * step, 2) for step in range(1, 20))


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


@dataclass(frozen=True)
class ConfidenceReliability:
    """Whether a confidence is the probability that the joint lies within 10 cm of the ground truth.

    Attributes:
        count: joints with an error and a confidence.
        mean: mean confidence.
        within_10cm: fraction of the joints with an error below 10 cm.
        calibration_error: expected calibration error (Guo et al., ICML 2017): mean over the joints of
            |fraction within 10 cm - mean confidence| of the bin that they are in.
        edges: of the bins, one more than there are bins.
        confidences, fractions, counts: of each bin; NaN where it is empty.
    """

    count: int
    mean: float
    within_10cm: float
    calibration_error: float
    edges: tuple[float, ...]
    confidences: tuple[float, ...]
    fractions: tuple[float, ...]
    counts: tuple[int, ...]


def confidence_reliability(
    confidences: NDArray[np.floating], errors: NDArray[np.floating], bins: int = 10
) -> ConfidenceReliability:
    """Compare confidences with how often the error is below 10 cm, in bins of equal width.

    Args:
        confidences: (...) in [0, 1]; NaN is left out.
        errors: (...) meters; NaN is left out.
    """
    known = np.isfinite(confidences) & np.isfinite(errors)
    predicted, near = np.asarray(confidences, np.float64)[known], np.asarray(errors)[known] < CONFIDENCE_RADIUS
    numbers = np.minimum((predicted * bins).astype(np.intp), bins - 1)
    counts = np.bincount(numbers, minlength=bins)
    with np.errstate(invalid="ignore"):
        means, fractions = (np.bincount(numbers, values, bins) / counts for values in (predicted, near))
    total, nan = int(counts.sum()), float("nan")
    apart = np.nansum(np.abs(means - fractions) * counts)
    return ConfidenceReliability(
        count=total,
        mean=float(predicted.mean()) if total else nan,
        within_10cm=float(near.mean()) if total else nan,
        calibration_error=float(apart / total) if total else nan,
        edges=tuple(float(edge) for edge in np.linspace(0, 1, bins + 1)),
        confidences=tuple(means.tolist()),
        fractions=tuple(fractions.tolist()),
        counts=tuple(counts.tolist()),
    )


def squared_mahalanobis(differences: NDArray[np.floating], triangles: NDArray[np.floating]) -> NDArray[np.float64]:
    """e^T C^-1 e of (..., 3) errors; NaN where the error or C is absent or C is not positive definite."""
    errors, matrices = np.asarray(differences, np.float64), expand(triangles)
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
