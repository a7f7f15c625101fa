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


@dataclass(frozen=True)
class FittedNeighbour:
    """A camera beside the one that the points are given in, looking the same way: ``u = cx + (fx X + sx) / Z``.

    ``v`` likewise. fx and fy may be negative, where an axis points the other way.

    Attributes:
        sx, sy: pixels times the points' unit: focal length times how far the camera stands aside.
        residual_px: root mean square of the points that were kept, along one axis.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    sx: float
    sy: float
    residual_px: float

    def project(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points (..., 3) -> pixels (..., 2); z > 0."""
        z = points[..., 2].astype(np.float64)
        u = self.cx + (self.fx * points[..., 0] + self.sx) / z
        v = self.cy + (self.fy * points[..., 1] + self.sy) / z
        return np.stack([u, v], axis=-1)


def fit_neighbour(points: NDArray[np.floating], pixels: NDArray[np.floating]) -> FittedNeighbour:
    """The neighbouring camera that maps points to pixels best; arguments and errors as :func:`fit_pinhole`.

    Where all points are about as far away it is not determined, but right at that distance.
    """
    xyz, uv = _usable(points, pixels)
    inverse = 1 / xyz[:, 2]
    (u, ru), (v, rv) = (
        _fit(np.stack([xyz[:, axis] * inverse, np.ones(len(xyz)), inverse], axis=1), uv[:, axis]) for axis in (0, 1)
    )
    return FittedNeighbour(u[0], v[0], u[1], v[1], u[2], v[2], float(np.hypot(ru, rv) / np.sqrt(2)))


def fit_pinhole(points: NDArray[np.floating], pixels: NDArray[np.floating]) -> FittedPinhole:
    """The pinhole that maps points to pixels best, without those that do not suit.

    Args:
        points: (N, 3) in the camera's frame, any unit; z > 0.
        pixels: (N, 2).

    Raises:
        DataError: too few usable points, or all in one direction.
    """
    xyz, uv = _usable(points, pixels)
    directions = xyz[:, :2] / xyz[:, 2:]
    ((fx, cx), ru), ((fy, cy), rv) = (
        _fit(np.stack([directions[:, axis], np.ones(len(xyz))], axis=1), uv[:, axis]) for axis in (0, 1)
    )
    return FittedPinhole(fx, fy, cx, cy, float(np.hypot(ru, rv) / np.sqrt(2)))


def _usable(
    points: NDArray[np.floating], pixels: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points and pixels that are there, if they can determine a camera."""
    usable = np.isfinite(points).all(axis=1) & np.isfinite(pixels).all(axis=1) & (points[:, 2] > 0)
    xyz, uv = points[usable].astype(np.float64), pixels[usable].astype(np.float64)
    if len(xyz) < _MIN_POINTS:
        raise DataError(f"camera fit: {len(xyz)} usable points, at least {_MIN_POINTS} are needed")
    directions = xyz[:, :2] / xyz[:, 2:]
    if (directions.std(axis=0) < _MIN_SPREAD).any():
        raise DataError("camera fit: all points lie in one direction; use clips in which people move")
    return xyz, uv


def _fit(design: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[list[float], float]:
    """Coefficients and residual of y = design @ coefficients; a few wrong labels do not matter."""
    kept = np.ones(len(y), np.bool_)
    for _ in range(_ROUNDS):
        coefficients, *_rest = np.linalg.lstsq(design[kept], y[kept], rcond=None)
        errors = np.abs(y - design @ coefficients)
        # 1.4826 turns a median of absolute errors into a standard deviation; whole pixels leave 0.5 anyway.
        kept = errors <= max(3 * 1.4826 * float(np.median(errors[kept])), 0.5)
    return coefficients.tolist(), float(np.sqrt((errors[kept] ** 2).mean()))
