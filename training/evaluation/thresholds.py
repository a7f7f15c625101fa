"""Shares of joints within a distance: PCK, ITOP's mAP and the area under the curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Thresholds of the curve, metres; ITOP's own is 0.10.
THRESHOLDS = (0.02, 0.04, 0.06, 0.08, 0.10, 0.12, 0.15, 0.20)
#: The thresholds whose mean PCK is the AUC of MPI-INF-3DHP (Mehta et al., 3DV 2017): 0 to 150 mm by 5 mm.
AUC_THRESHOLDS = tuple(round(0.005 * step, 3) for step in range(31))


@dataclass(frozen=True)
class PckCurve:
    """Shares in [0, 1] of joints with an error strictly below each threshold.

    Attributes:
        thresholds_m: the thresholds.
        pck: over all joints of all people together.
        map: mean of the joints' own shares, ITOP's mAP (Haque et al., ECCV 2016); it differs from
            ``pck`` only when joints count unequally often.
        auc: mean PCK over :data:`AUC_THRESHOLDS`.
    """

    thresholds_m: tuple[float, ...]
    pck: tuple[float, ...]
    map: tuple[float, ...]
    auc: float


def pck_curve(
    errors: NDArray[np.float64], counted: NDArray[np.bool_], thresholds: tuple[float, ...] = THRESHOLDS
) -> PckCurve:
    """The curve of (N, J) errors in metres; a joint that counts and has no error (NaN) is wrong."""
    return PckCurve(
        thresholds_m=thresholds,
        pck=tuple(share_within(errors, counted, t) for t in thresholds),
        map=tuple(mean_average_precision(errors, counted, t) for t in thresholds),
        auc=float(np.mean([share_within(errors, counted, t) for t in AUC_THRESHOLDS])),
    )


def share_within(errors: NDArray[np.float64], counted: NDArray[np.bool_], threshold: float) -> float:
    """Share of the joints that count with an error strictly below the threshold; NaN when none counts."""
    return float((errors[counted] < threshold).mean()) if counted.any() else float("nan")


def mean_average_precision(errors: NDArray[np.float64], counted: NDArray[np.bool_], threshold: float) -> float:
    """ITOP's mAP: the share within the threshold of each joint, averaged over joints that ever count."""
    shares = [share_within(errors[:, j], counted[:, j], threshold) for j in range(errors.shape[1])]
    known = [value for value in shares if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
