"""The pinhole camera: intrinsics, rays, projection, unprojection, rectification.

Conventions: REP-103 optical frame (x right, y down, z forward), meters; pixels (u, v) with
(0, 0) the center of the top-left pixel, as in ``sensor_msgs/CameraInfo``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Distortion models of ``sensor_msgs/distortion_models.hpp`` and the coefficient counts OpenCV takes.
DISTORTION_LENGTHS: dict[str, tuple[int, ...]] = {
    "": (0,),
    "none": (0,),
    "plumb_bob": (0, 4, 5),
    "rational_polynomial": (0, 8, 12, 14),
    "equidistant": (0, 4),
}


class CameraError(ValueError):
    """The calibration cannot be used; the message names field, value and remedy."""


@dataclass(frozen=True)
class Camera:
    """Intrinsics of one image.

    Attributes:
        fx, fy, cx, cy: of K, in pixels.
        width, height: image size in pixels.
        distortion: OpenCV coefficients; empty for a rectified image.
        model: one of :data:`DISTORTION_LENGTHS`; ``equidistant`` is OpenCV's fisheye model.

    Raises:
        CameraError: a focal length or the size is not positive and finite, or the number of
            coefficients does not fit the model.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    distortion: tuple[float, ...] = ()
    model: str = "plumb_bob"

    def __post_init__(self) -> None:
        for name in ("fx", "fy"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise CameraError(
                    f"{name} = {value}: a focal length must be positive; the driver publishes an "
                    "uncalibrated camera_info, calibrate the camera or fix the driver's calibration file"
                )
        if not (np.isfinite(self.cx) and np.isfinite(self.cy)):
            raise CameraError(f"principal point ({self.cx}, {self.cy}) is not finite; calibrate the camera")
        if self.width <= 0 or self.height <= 0:
            raise CameraError(f"size {self.width}x{self.height}: camera_info must carry the image size")
        if self.model not in DISTORTION_LENGTHS:
            raise CameraError(
                f"distortion_model = '{self.model}': use one of {sorted(DISTORTION_LENGTHS)}, or rectified topics"
            )
        if len(self.distortion) not in DISTORTION_LENGTHS[self.model]:
            raise CameraError(
                f"D has {len(self.distortion)} coefficients, '{self.model}' takes {DISTORTION_LENGTHS[self.model]}"
            )
        if not np.all(np.isfinite(self.distortion)):
            raise CameraError(f"D = {self.distortion} is not finite; calibrate the camera")

    @property
    def K(self) -> NDArray[np.float64]:  # noqa: N802 - the field's name for it
        """(3, 3) intrinsic matrix."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)

    def scaled(self, width: int, height: int) -> Camera:
        """The same camera for an image resized to ``width`` x ``height``.

        Pixel centers are at whole numbers, so the principal point moves by the half-pixel rule.
        """
        sx, sy = width / self.width, height / self.height
        return Camera(
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5,
            width=width,
            height=height,
            distortion=self.distortion,
            model=self.model,
        )

    @classmethod
    def from_camera_info(cls, info: Any, rectified: bool = False) -> Camera:
        """Read ``sensor_msgs/CameraInfo`` (ROS message or any object with its fields).

        K, P and the size are those of the whole sensor (REP-104); the image is the region of interest
        of it, with ``binning_x`` times ``binning_y`` pixels as one. The result is the camera of the image.

        Args:
            info: message with ``k``, ``d``, ``p``, ``width``, ``height``, ``distortion_model``; ``binning_x``,
                ``binning_y`` and ``roi`` where they are set.
            rectified: the image is a rectified one (REP-104): P is used and there is no distortion.

        Raises:
            CameraError: intrinsics are zero or not finite, the model is unknown, or the region of interest
                is not within the sensor.
        """
        matrix = np.asarray(info.p, np.float64).reshape(3, 4) if rectified else np.asarray(info.k).reshape(3, 3)
        distortion = () if rectified else _distortion_of(info.d)
        return cls(
            **_of_image(info, matrix),
            distortion=distortion,
            model=str(info.distortion_model) if distortion else "plumb_bob",
        )


def _of_image(info: Any, matrix: NDArray[np.float64]) -> dict[str, Any]:
    """Focal lengths, center and size of an image that is a part of the sensor, and binned."""
    region = getattr(info, "roi", None)
    fields: dict[str, Any] = {}
    for axis, (side, name) in enumerate((("width", "x"), ("height", "y"))):
        # 0 means 1, and a region without a size is the whole sensor.
        binning = int(getattr(info, f"binning_{name}", 0)) or 1
        sensor, offset = int(getattr(info, side)), int(getattr(region, f"{name}_offset", 0))
        size = int(getattr(region, side, 0)) or sensor - offset
        if offset + size > sensor or size < binning:
            raise CameraError(
                f"roi.{name}_offset = {offset} and roi.{side} = {size} with binning_{name} = {binning} do not fit "
                f"{side} = {sensor}; camera_info gives the size of the whole sensor"
            )
        fields[f"f{name}"] = float(matrix[axis, axis]) / binning
        # The center of the first binned pixel lies in the middle of those that it is made of.
        fields[f"c{name}"] = (float(matrix[axis, 2]) - offset + 0.5) / binning - 0.5
        fields[side] = size // binning
    return fields


def _distortion_of(coefficients: Sequence[float]) -> tuple[float, ...]:
    """D of a camera without distortion is often sent as zeros: treat it as none."""
    values = tuple(float(c) for c in coefficients)
    return values if any(values) else ()


def rectify_pixels(camera: Camera, pixels: ArrayLike) -> NDArray[np.float64]:
    """Pixels of the raw image -> pixels of the ideal pinhole with the same K.

    Args:
        pixels: (..., 2). NaN stays NaN.

    Returns:
        (..., 2) float64.
    """
    raw = np.asarray(pixels, np.float64)
    if not camera.distortion or raw.size == 0:
        return raw.copy()
    coefficients = np.asarray(camera.distortion)
    flat = raw.reshape(-1, 1, 2)
    if camera.model == "equidistant":
        ideal = cv2.fisheye.undistortPoints(flat, camera.K, coefficients, P=camera.K)
    else:
        ideal = cv2.undistortPoints(flat, camera.K, coefficients, P=camera.K)
    return np.asarray(ideal, np.float64).reshape(raw.shape)


def rays(camera: Camera, pixels: ArrayLike) -> NDArray[np.float64]:
    """Viewing rays with z = 1: ``K^-1 (u, v, 1)`` after undoing the distortion.

    Args:
        pixels: (..., 2).

    Returns:
        (..., 3) float64; multiply by a depth along z to get meters.
    """
    ideal = rectify_pixels(camera, pixels)
    x = (ideal[..., 0] - camera.cx) / camera.fx
    y = (ideal[..., 1] - camera.cy) / camera.fy
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def unproject(camera: Camera, pixels: ArrayLike, depth: ArrayLike) -> NDArray[np.float64]:
    """Pixels (..., 2) and depths along z (...) in meters -> points (..., 3) in meters."""
    return rays(camera, pixels) * np.asarray(depth, np.float64)[..., None]


def project(camera: Camera, points: ArrayLike) -> NDArray[np.float64]:
    """Points (..., 3) in the optical frame, meters -> pixels (..., 2) of the raw image.

    Points at or behind the camera plane have no image and give NaN.
    """
    xyz = np.asarray(points, np.float64)
    z = np.where(xyz[..., 2] > 0, xyz[..., 2], np.nan)
    if not camera.distortion or xyz.size == 0:
        return np.stack([camera.fx * xyz[..., 0] / z + camera.cx, camera.fy * xyz[..., 1] / z + camera.cy], axis=-1)
    normalized = np.stack([xyz[..., 0] / z, xyz[..., 1] / z, np.ones_like(z)], axis=-1).reshape(-1, 1, 3)
    coefficients = np.asarray(camera.distortion)
    zero = np.zeros(3)
    if camera.model == "equidistant":
        pixels, _ = cv2.fisheye.projectPoints(normalized, zero, zero, camera.K, coefficients)
    else:
        pixels, _ = cv2.projectPoints(normalized, zero, zero, camera.K, coefficients)
    return np.asarray(pixels, np.float64).reshape(*xyz.shape[:-1], 2)


def depth_to_points(camera: Camera, depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Depth image (H, W) in meters -> organized cloud (H, W, 3); no reading gives NaN."""
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]]
    valid = np.isfinite(depth) & (depth > 0)
    z = np.where(valid, depth, np.nan)
    return unproject(camera, np.stack([u, v], axis=-1), z).astype(np.float32)


def points_to_depth(camera: Camera, points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cloud (..., 3) in the camera's optical frame -> depth image (H, W); the nearest point wins.

    Returns:
        float32 meters, 0 where no point falls.
    """
    xyz = points.reshape(-1, 3)
    xyz = _in_lens(camera, xyz[np.isfinite(xyz).all(axis=1) & (xyz[:, 2] > 0)])
    depth = np.full(camera.height * camera.width, np.inf, np.float32)
    pixels = np.rint(project(camera, xyz))
    inside = (pixels >= 0).all(axis=1) & (pixels[:, 0] < camera.width) & (pixels[:, 1] < camera.height)
    flat = (pixels[inside, 1] * camera.width + pixels[inside, 0]).astype(np.int64)
    np.minimum.at(depth, flat, xyz[inside, 2].astype(np.float32))
    return np.where(np.isinf(depth), 0, depth).astype(np.float32).reshape(camera.height, camera.width)


def _in_lens(camera: Camera, xyz: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without points farther off the axis than the corners of the image.

    A distortion polynomial holds inside the image only; far outside it turns back and would put
    a point from the edge of a wide cloud into the middle of the image.
    """
    if not camera.distortion:
        return xyz
    right, bottom = camera.width - 0.5, camera.height - 0.5
    corners = rays(camera, [[-0.5, -0.5], [right, -0.5], [-0.5, bottom], [right, bottom]])
    limit = np.hypot(corners[:, 0], corners[:, 1]).max()
    return np.asarray(xyz[np.hypot(xyz[:, 0], xyz[:, 1]) <= limit * xyz[:, 2]])
