"""Intrinsics from labels: data sets without calibration still say where known points are in the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_training.data.errors import DataError

#: Rounds of fitting and leaving out points that are farther off than three robust deviations.
_ROUNDS = 5
_MIN_POINTS = 10
#: A spread of directions below this says nothing of the focal length.
_MIN_SPREAD = 0.02


@dataclass(frozen=True)
class FittedPinhole:
    """``u = cx + fx X/Z``, ``v = cy + fy Y/Z``; fx and fy may be negative, where an axis points the other way.

    Attributes:
        residual_px: root mean square of the points that were kept, along one axis.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    residual_px: float


def fit_pinhole(points: NDArray[np.floating], pixels: NDArray[np.floating]) -> FittedPinhole:
    """The pinhole that maps points to pixels best, without those that do not suit.

    Args:
        points: (N, 3) in the camera's frame, any unit; z > 0.
        pixels: (N, 2).

    Raises:
        DataError: too few usable points, or all in one direction.
    """
    usable = np.isfinite(points).all(axis=1) & np.isfinite(pixels).all(axis=1) & (points[:, 2] > 0)
    xyz, uv = points[usable].astype(np.float64), pixels[usable].astype(np.float64)
    if len(xyz) < _MIN_POINTS:
        raise DataError(f"camera fit: {len(xyz)} usable points, at least {_MIN_POINTS} are needed")
    directions = xyz[:, :2] / xyz[:, 2:]
    if (directions.std(axis=0) < _MIN_SPREAD).any():
        raise DataError("camera fit: all points lie in one direction; use clips in which people move")
    (fx, cx, ru), (fy, cy, rv) = (_fit_line(directions[:, axis], uv[:, axis]) for axis in (0, 1))
    return FittedPinhole(fx, fy, cx, cy, float(np.hypot(ru, rv) / np.sqrt(2)))


def _fit_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float]:
    """Slope, offset and residual of y = slope x + offset; a few wrong labels do not matter."""
    design = np.stack([x, np.ones_like(x)], axis=1)
    kept = np.ones(len(x), np.bool_)
    for _ in range(_ROUNDS):
        (slope, offset), *_rest = np.linalg.lstsq(design[kept], y[kept], rcond=None)
        errors = np.abs(y - slope * x - offset)
        # 1.4826 turns a median of absolute errors into a standard deviation; whole pixels leave 0.5 anyway.
        kept = errors <= max(3 * 1.4826 * float(np.median(errors[kept])), 0.5)
    return float(slope), float(offset), float(np.sqrt((errors[kept] ** 2).mean()))
