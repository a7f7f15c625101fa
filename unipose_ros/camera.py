"""The pinhole camera: intrinsics, rays, projection, unprojection, rectification.

Conventions: REP-103 optical frame (x right, y down, z forward), meters; pixels (u, v) with
(0, 0) the center of the top-left pixel, as in ``sensor_msgs/CameraInfo``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unipose_ros.lens import MODEL_LENGTHS, Lens, LensError, fitting_coefficients, lens_of

#: The image's sides over the focal length, by which an uncalibrated camera is told: from 3 to 150 degrees of view.
_LEAST_VIEW, _GREATEST_VIEW = 0.05, 8.0
#: fy / fx; pixels that are binned in one direction only are twice as wide as high.
_LEAST_ASPECT, _GREATEST_ASPECT = 0.2, 5.0
#: The principal point in sides of the image: within it, or beside it where the image is a region of the sensor.
_CENTER_RANGE = (-5.0, 6.0)
#: Parts of the image's sides; with a principal point farther from its middle, the calibration may be of another image.
_OFF_CENTER = 0.2
#: Of a distortion: the rational model's reach some hundreds where upper and lower polynomial nearly cancel out.
_GREATEST_COEFFICIENT = 1e6
#: Pixels of an image; 8K UHD has 33 million.
MOST_PIXELS = 2**25
#: Pixels by which a ray's image may miss the pixel that it was asked for.
_RESIDUAL = 0.1
#: Pixels at which the invertible region of a lens is looked up.
_MASK_SAMPLES = 300_000
#: Images of more pixels than this have no table of rays, of 16 bytes a pixel.
_MOST_RAYS = 2**22


class CameraError(ValueError):
    """The calibration cannot be used; the message names field, value and remedy."""


@dataclass(frozen=True)
class Camera:
    """Intrinsics of one image.

    Attributes:
        fx, fy, cx, cy: of K, in pixels.
        width, height: image size in pixels.
        distortion: OpenCV coefficients; empty for a rectified image. Zeros that the model does not need are dropped.
        model: a key of :data:`unipose_ros.lens.MODEL_LENGTHS`; ``equidistant`` is OpenCV's fisheye model.

    Raises:
        CameraError: a value is one that no calibrated camera has; the text names field, value and remedy.
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
                raise CameraError(f"{name} = {value}: a focal length must be positive; {_CALIBRATE}")
        if not (np.isfinite(self.cx) and np.isfinite(self.cy)):
            raise CameraError(f"principal point ({self.cx}, {self.cy}) is not finite; calibrate the camera")
        if self.width <= 0 or self.height <= 0:
            raise CameraError(f"size {self.width}x{self.height}: camera_info must carry the image size")
        if self.model not in MODEL_LENGTHS:
            raise CameraError(
                f"distortion_model = '{self.model}': use one of {sorted(MODEL_LENGTHS)}, or rectified topics"
            )
        if not np.all(np.isfinite(self.distortion)):
            raise CameraError(f"D = {self.distortion} is not finite; calibrate the camera")
        if any(abs(coefficient) > _GREATEST_COEFFICIENT for coefficient in self.distortion):
            raise CameraError(f"D = {self.distortion}: no lens has coefficients like these; {_CALIBRATE}")
        try:
            model, distortion = fitting_coefficients(self.model, tuple(self.distortion))
        except LensError as error:
            raise CameraError(str(error)) from error
        object.__setattr__(self, "model", model)
        object.__setattr__(self, "distortion", distortion)

    @property
    def lens(self) -> Lens | None:
        """What bends the rays; ``None`` for an ideal pinhole."""
        return lens_of(self.model, self.distortion) if self.distortion else None

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
            CameraError: the intrinsics are none that a calibrated camera has, the model is unknown, or the region of
                interest is not within the sensor.
        """
        matrix, distortion = _matrix_of(info, rectified)
        if matrix[2, 0] or matrix[2, 1]:
            raise CameraError(
                f"the last row of {'P' if matrix.shape[1] == 4 else 'K'} is {matrix[2].tolist()}, not 0 0 1: it is "
                "transposed; they are stored row by row"
            )
        camera = cls(
            **_of_image(info, matrix),
            distortion=distortion if any(distortion) else (),
            model=str(info.distortion_model) if any(distortion) else "plumb_bob",
        )
        require_plausible(camera)
        if not matrix[0, 2] and not matrix[1, 2]:
            raise CameraError(f"principal point (0, 0): no camera has it in the image's corner; {_CALIBRATE}")
        return camera


def _matrix_of(info: Any, rectified: bool) -> tuple[NDArray[np.float64], tuple[float, ...]]:
    """(3, 3) K and the distortion, or (3, 4) P for a rectified image, which has none."""
    distortion = tuple(float(c) for c in info.d)
    if rectified and (any(info.p) or any(distortion)):
        return np.asarray(info.p, np.float64).reshape(3, 4), ()
    # Drivers of cameras without distortion leave P at zero: then it is K.
    return np.asarray(info.k, np.float64).reshape(3, 3), distortion


def resolution_of(info: Any, rectified: bool = False) -> tuple[int, int] | None:
    """Size of the image that a calibration is probably of, where that is not the size it names; else ``None``.

    The principal point of a whole sensor lies near its middle, within a tenth of its width with nearly all cameras.
    One that is in the middle of an image of other sides in the same proportion, or of exchanged sides, is a hint that
    a driver scales images but not their calibration.

    Args:
        info, rectified: as for :meth:`Camera.from_camera_info`.
    """
    matrix, _ = _matrix_of(info, rectified)
    size = np.array([info.width, info.height], np.float64)
    middle = 2 * matrix[:2, 2] + 1
    across, down = middle / size
    if abs(across - 1) > _OFF_CENTER and abs(down - 1) > _OFF_CENTER and abs(across / down - 1) < _OFF_CENTER / 2:
        return round(middle[0]), round(middle[1])
    exchanged = np.abs(middle / size[::-1] - 1).max() < _OFF_CENTER / 2
    return (int(info.height), int(info.width)) if exchanged and abs(across - 1) > _OFF_CENTER else None


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


_CALIBRATE = (
    "the driver publishes an uncalibrated camera_info, calibrate the camera or fix the driver's calibration file"
)


def require_plausible(camera: Camera) -> None:
    """Refuse a calibration that no camera has, such as a driver's placeholder of ones.

    Raises:
        CameraError: names the field, its value and the remedy.
    """
    if camera.width * camera.height > MOST_PIXELS:
        raise CameraError(f"size {camera.width}x{camera.height}: more than {MOST_PIXELS} pixels; {_CALIBRATE}")
    for axis, side in (("x", camera.width), ("y", camera.height)):
        focal, center = getattr(camera, f"f{axis}"), getattr(camera, f"c{axis}")
        low, high = side / _GREATEST_VIEW, side / _LEAST_VIEW
        if not low <= focal <= high:
            raise CameraError(
                f"f{axis} = {focal:g}: with {side} pixels a focal length is {low:g} to {high:g} pixels; {_CALIBRATE}"
            )
        low, high = (bound * side for bound in _CENTER_RANGE)
        if not low <= center <= high:
            raise CameraError(
                f"principal point c{axis} = {center:g}: with {side} pixels it is {low:g} to {high:g}; {_CALIBRATE}"
            )
    if not _LEAST_ASPECT <= camera.fy / camera.fx <= _GREATEST_ASPECT:
        raise CameraError(f"fx = {camera.fx:g} and fy = {camera.fy:g}: no pixels are so oblong; {_CALIBRATE}")


def rectify_pixels(camera: Camera, pixels: ArrayLike) -> NDArray[np.float64]:
    """Pixels of the raw image -> pixels of the ideal pinhole with the same K.

    Args:
        pixels: (..., 2). NaN stays NaN.

    Returns:
        (..., 2) float64; NaN where the lens model has no ray that comes within a tenth of a pixel.
    """
    raw = np.asarray(pixels, np.float64)
    lens = camera.lens
    if lens is None or raw.size == 0:
        return raw.copy()
    focal, center = np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy])
    ideal: NDArray[np.float64] = lens.undistort((raw - center) / focal, _RESIDUAL / float(focal.max())) * focal + center
    return ideal


def rays(camera: Camera, pixels: ArrayLike) -> NDArray[np.float64]:
    """Viewing rays with z = 1: ``K^-1 (u, v, 1)`` after undoing the distortion.

    Args:
        pixels: (..., 2).

    Returns:
        (..., 3) float64; multiply by a depth along z to get meters. NaN where the lens model has no inverse.
    """
    ideal = rectify_pixels(camera, pixels)
    x = (ideal[..., 0] - camera.cx) / camera.fx
    y = (ideal[..., 1] - camera.cy) / camera.fy
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def unproject(camera: Camera, pixels: ArrayLike, depth: ArrayLike) -> NDArray[np.float64]:
    """Pixels (..., 2) and depths along z (...) in meters -> points (..., 3) in meters."""
    return rays(camera, pixels) * np.asarray(depth, np.float64)[..., None]


def unproject_pixels(
    camera: Camera, u: NDArray[np.intp], v: NDArray[np.intp], depth: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Whole pixels and depths along z, (N,) each -> (N, 3) points in meters, the same as those of :func:`unproject`.

    Rays are looked up: undoing a lens's distortion takes a microsecond a pixel, and the pixels are the same each time.
    """
    points = np.empty((3, len(u)), np.float32)
    z = depth.astype(np.float64)
    if camera.lens is None:
        across, down = pinhole_rays(camera)
        points[0], points[1] = across[u] * z, down[v] * z
    elif not _has_table(camera):
        return unproject(camera, np.stack([u, v], axis=-1), depth).astype(np.float32)
    else:
        seen = ray_table(camera)[v, u]
        points[0], points[1] = seen[:, 0] * z, seen[:, 1] * z
    points[2] = depth
    return np.ascontiguousarray(points.T)


@lru_cache(maxsize=2)
def pinhole_rays(camera: Camera) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(W,) x of the columns' rays and (H,) y of the rows', without what a lens bends."""
    columns, rows = np.arange(camera.width, dtype=np.float64), np.arange(camera.height, dtype=np.float64)
    return (columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy


def prepare_rays(camera: Camera) -> None:
    """Make the table that :func:`unproject_pixels` looks up: for an image of VGA size it takes 0.2 s."""
    if _has_table(camera):
        ray_table(camera)


def _has_table(camera: Camera) -> bool:
    return camera.lens is not None and camera.width * camera.height <= _MOST_RAYS


@lru_cache(maxsize=2)
def ray_table(camera: Camera) -> NDArray[np.float64]:
    """(H, W, 2) x and y of all pixels' rays; made once for a camera."""
    v, u = np.mgrid[: camera.height, : camera.width]
    table = np.ascontiguousarray(rays(camera, np.stack([u, v], axis=-1))[..., :2])
    table.setflags(write=False)
    return table


def project(camera: Camera, points: ArrayLike) -> NDArray[np.float64]:
    """Points (..., 3) in the optical frame, meters -> pixels (..., 2) of the raw image.

    Points at or behind the camera plane have no image and give NaN, and so do those beyond the place where the lens
    model turns back: it would put them into the middle of the image.
    """
    xyz = np.asarray(points, np.float64)
    z = np.where(xyz[..., 2] > 0, xyz[..., 2], np.nan)
    shown = np.stack([xyz[..., 0] / z, xyz[..., 1] / z], axis=-1)
    if camera.lens is not None and shown.size:
        shown = camera.lens.distort(shown)
    return np.asarray(shown * [camera.fx, camera.fy] + [camera.cx, camera.cy])


def depth_to_points(camera: Camera, depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Depth image (H, W) in meters -> organized cloud (H, W, 3); no reading gives NaN."""
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]]
    valid = np.isfinite(depth) & (depth > 0)
    z = np.where(valid, depth, np.nan)
    return unproject(camera, np.stack([u, v], axis=-1), z).astype(np.float32)


@lru_cache(maxsize=8)
def pixels_with_rays(camera: Camera) -> NDArray[np.bool_] | None:
    """(H, W) pixels whose viewing ray is known; ``None`` where all are, as with most lenses.

    What lies outside of the lens model's range is evaluated in blocks, the uncertain ones left out.
    """
    if camera.lens is None:
        return None
    right, bottom = camera.width - 1, camera.height - 1
    columns, rows = np.arange(camera.width), np.arange(camera.height)
    border = [(columns, 0 * columns), (columns, 0 * columns + bottom), (0 * rows, rows), (0 * rows + right, rows)]
    edge = np.concatenate([np.stack(line, axis=1) for line in border])
    # The invertible region is the middle of the image: what reaches the border reaches everything.
    if np.isfinite(rectify_pixels(camera, edge)).all():
        return None
    step = max(1, round(np.sqrt(camera.width * camera.height / _MASK_SAMPLES)))
    v, u = np.mgrid[: camera.height + step : step, : camera.width + step : step]
    corners = np.isfinite(rectify_pixels(camera, np.stack([np.minimum(u, right), np.minimum(v, bottom)], axis=-1)))
    known: NDArray[np.bool_] = np.asarray(corners.all(axis=-1))
    blocks = known[:-1, :-1] & known[1:, :-1] & known[:-1, 1:] & known[1:, 1:]
    mask = blocks.repeat(step, axis=0).repeat(step, axis=1)[: camera.height, : camera.width]
    mask.setflags(write=False)
    return mask


def points_to_depth(camera: Camera, points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cloud (..., 3) in the camera's optical frame -> depth image (H, W); the nearest point wins.

    Returns:
        float32 meters, 0 where no point falls.
    """
    xyz = points.reshape(-1, 3)
    xyz = xyz[np.isfinite(xyz).all(axis=1) & (xyz[:, 2] > 0)]
    depth = np.full(camera.height * camera.width, np.inf, np.float32)
    pixels = np.rint(project(camera, xyz))
    inside = (pixels >= 0).all(axis=1) & (pixels[:, 0] < camera.width) & (pixels[:, 1] < camera.height)
    flat = (pixels[inside, 1] * camera.width + pixels[inside, 0]).astype(np.int64)
    np.minimum.at(depth, flat, xyz[inside, 2].astype(np.float32))
    return np.where(np.isinf(depth), 0, depth).astype(np.float32).reshape(camera.height, camera.width)
