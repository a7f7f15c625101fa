"""Intrinsics from labels: data sets without calibration still say where known points are in the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.joint_sets import JointSet
from unipose_training.errors import DataError

# Data sets of poses without images: what lifting from 2D to 3D is trained and evaluated on.


@dataclass(frozen=True, eq=False)
class PoseSequence:
    """One person seen by one camera over N frames.

    Attributes:
        name, subset: what reports call it, and the part of the data set that it belongs to.
        joint_set: J joints of both arrays.
        camera: of the pixels; ``None`` where it is not known.
        rate_hz: of the frames.
        positions: (N, J, 3) float32 meters in the optical frame; NaN where there is no ground truth.
        pixels: (N, J, 2) float32; NaN where there is none.
        valid: (N,) the publishers let this frame count.

    Raises:
        DataError: array shapes disagree.
    """

    name: str
    subset: str
    joint_set: JointSet
    camera: Camera | None
    rate_hz: float
    positions: NDArray[np.float32]
    pixels: NDArray[np.float32]
    valid: NDArray[np.bool_]

    def __post_init__(self) -> None:
        frames, joints = len(self.valid), len(self.joint_set)
        for name, shape in (("positions", (frames, joints, 3)), ("pixels", (frames, joints, 2))):
            array: NDArray[Any] = getattr(self, name)
            if array.shape != shape:
                raise DataError(f"{self.name}: {name} have shape {list(array.shape)}, expected {list(shape)}")

    def __len__(self) -> int:
        return len(self.valid)


# Color seen from where the depth camera stands.


#: A Kinect v2's color has three pixels for one of depth, along each axis.
_FINER = 3


def registered_color(image: NDArray[np.uint8], pixels: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Color of a Kinect v2 at each pixel of its depth.

    Args:
        image: (H, W, 3) of the color camera.
        pixels: (h, w, 2) (u, v) in it of each pixel of depth; NaN where that is not known.

    Returns:
        (h, w, 3), black where the color camera does not look.
    """
    smooth = cv2.blur(image, (_FINER, _FINER))  # or two pixels of three would not be used
    pixel_map = np.nan_to_num(pixels, nan=-1e4).astype(np.float32)
    return np.asarray(cv2.remap(smooth, pixel_map[..., 0], pixel_map[..., 1], cv2.INTER_LINEAR), np.uint8)


#: Rounds of fitting and leaving out points that are farther off than three robust deviations.
_ROUNDS = 5
_MIN_POINTS = 10
#: A standard deviation of directions below this says nothing of the focal length.
_MIN_STD = 0.02


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
class FittedNeighbor:
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


def fit_neighbor(points: NDArray[np.floating], pixels: NDArray[np.floating]) -> FittedNeighbor:
    """The neighboring camera that maps points to pixels best; arguments and errors as :func:`fit_pinhole`.

    Where all points are about as far away it is not determined, but right at that distance.
    """
    xyz, uv = _usable(points, pixels)
    inverse = 1 / xyz[:, 2]
    (u, ru), (v, rv) = (
        _fit(np.stack([xyz[:, axis] * inverse, np.ones(len(xyz)), inverse], axis=1), uv[:, axis]) for axis in (0, 1)
    )
    return FittedNeighbor(u[0], v[0], u[1], v[1], u[2], v[2], float(np.hypot(ru, rv) / np.sqrt(2)))


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
    if (directions.std(axis=0) < _MIN_STD).any():
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
