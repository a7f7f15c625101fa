"""Point clouds -> depth images that are as fine as the cloud is, so that people look in them as in any depth image.

An organized cloud is an image already: its rows and columns are those of a camera, which follows from its points.
Any other cloud is drawn with as many pixels as it fills.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import MOST_PIXELS, Camera, CameraError, points_to_depth, project, rays
from unipose_ros.images import ImageError

FloatArray = NDArray[np.float64]

#: sensor_msgs/PointField datatypes that a coordinate may have.
_COORDINATES: dict[int, np.dtype[Any]] = {7: np.dtype("f4"), 8: np.dtype("f8")}
#: Points by which a grid is evaluated; fewer than the second number say nothing.
_JUDGED, _FEWEST = 4000, 200
#: Pixels by which nine points in ten lie at most beside their place in the grid. A cloud of another camera, moved
#: into this one's frame, lies off by its parallax.
_ON_GRID = 0.5
#: Rows and columns that say whether a cloud is mirrored, and the determinant of correlations that is clear.
_ALONG, _CLEAR = 60, 0.5
#: Widths of blocks, in pixels, that are tried for a thin cloud.
_STEPS = (1, 2, 3, 4, 5, 6, 8)
#: A cloud fills an image whose blocks of four pixels have this many on average, as a part of four.
_FILLED = 0.7
#: Width over height from which pixels are too wide to find people in.
_WIDE_PIXEL = 3
#: Fewer points than this are not thin, but few.
_LEAST_POINTS = 1000


def read_cloud(message: Any) -> NDArray[np.float32]:
    """``PointCloud2`` (a ROS message or a recorded one) -> (H, W, 3) float32 meters; H is 1 if it is not organized.

    Everything that the message says of itself is checked before it is used.

    Raises:
        ImageError: there is no x, y or z of a float type, or they do not lie within the data.
    """
    step, height, width = int(message.point_step), int(message.height), int(message.width)
    columns = [_coordinate(message, name, step) for name in "xyz"]
    if height * width > MOST_PIXELS:
        raise ImageError(f"points: {width}x{height} are more than {MOST_PIXELS}; thin the cloud out")
    if not height * width:
        return np.zeros((height, width, 3), np.float32)
    buffer = np.frombuffer(message.data, np.uint8)
    row_step = _row_step(int(message.row_step), width * step, height, buffer.size)
    views = [
        np.ndarray(
            (height, width), kind.newbyteorder(">" if message.is_bigendian else "<"), buffer, offset, (row_step, step)
        )
        for offset, kind in columns
    ]
    with np.errstate(over="ignore", invalid="ignore"):  # float64 beyond float32 becomes infinite, and is no point then
        return np.stack(views, axis=-1).astype(np.float32, copy=False)


def _coordinate(message: Any, name: str, point_step: int) -> tuple[int, np.dtype[Any]]:
    """Offset and type of a coordinate within a point."""
    field = next((field for field in message.fields if field.name == name), None)
    if field is None:
        present = ", ".join(str(field.name) for field in message.fields[:20])
        raise ImageError(f"points: the cloud lacks the field {name}; its fields are {present or 'none'}")
    kind = _COORDINATES.get(int(field.datatype))
    if kind is None or int(field.count) > 1:
        raise ImageError(
            f"points: field {name} has datatype {field.datatype} and count {field.count}; FLOAT32 (7) or FLOAT64 (8) "
            "and 1 are understood"
        )
    if int(field.offset) + kind.itemsize > point_step:
        raise ImageError(f"points: field {name} at offset {field.offset} does not fit point_step = {point_step}")
    return int(field.offset), kind


def _row_step(stated: int, packed: int, height: int, size: int) -> int:
    """Bytes from row to row: as stated, or packed where that alone fits the data (some drivers state the cloud's)."""
    for row_step in (stated, packed):
        if row_step >= packed and row_step * (height - 1) + packed <= size:
            return row_step
    raise ImageError(
        f"points: data holds {size} bytes, {height} rows of {packed} bytes (row_step = {stated}) are announced"
    )


def finite_points(points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(..., 3) -> (...) points all of whose coordinates are finite; ``all(axis=-1)`` takes twenty times as long."""
    x, y, z = (np.isfinite(points[..., axis]) for axis in range(3))
    x &= y
    x &= z
    return np.asarray(x)


def cloud_image(
    camera: Camera, points: NDArray[np.float32], known: Camera | None = None
) -> tuple[Camera, NDArray[np.float32]]:
    """Points in the optical frame of a camera -> a depth image that they fill, and the camera of that image.

    Args:
        camera: whose frame the points are in; says what lies within the image.
        points: (H, W, 3) meters.
        known: the camera of an earlier cloud's image, which is kept while it fits.

    Returns:
        Camera, and (height, width) float32 meters, 0 where there is no point.
    """
    finite = finite_points(points)
    return draw_cloud(camera, points, grid_camera(camera, points, known, finite), finite)


def draw_cloud(
    camera: Camera, points: NDArray[np.float32], own: Camera | None, finite: NDArray[np.bool_]
) -> tuple[Camera, NDArray[np.float32]]:
    """As :func:`cloud_image`, where more is known.

    Args:
        own: of whose pixels the cloud's rows and columns are, by :func:`grid_camera`.
        finite: (H, W) by :func:`finite_points`.
    """
    if own is not None:
        z = points[..., 2]
        return own, np.where(finite & (z > 0), z, np.float32(0))
    depth = points_to_depth(camera, points)
    step = sampling_step(depth > 0)
    if step == 1:
        return camera, depth
    coarse = coarser_camera(camera, step, step)
    return coarse, points_to_depth(coarse, points)


def registered_points(source: Camera, depth: NDArray[np.float32], pose: NDArray[np.float64]) -> NDArray[np.float32]:
    """A depth image of one camera -> the points it reads, in the optical frame of another.

    Args:
        source: of ``depth``.
        depth: (H, W) meters; 0 is no reading.
        pose: (4, 4) the source's optical frame -> the other one's, meters.

    Returns:
        (H, W, 3) meters, NaN without a reading.
    """
    z = np.where(depth > 0, depth, np.nan)[..., None]
    turned = _turned_rays(source, tuple(np.asarray(pose)[:3, :3].ravel().tolist()))
    return np.asarray(turned * z + np.asarray(pose)[:3, 3].astype(np.float32), np.float32)


@lru_cache(maxsize=2)
def _turned_rays(camera: Camera, rotation: tuple[float, ...]) -> NDArray[np.float32]:
    """(H, W, 3) viewing rays of all pixels along another frame's axes."""
    v, u = np.mgrid[: camera.height, : camera.width]
    turned = rays(camera, np.stack([u, v], axis=-1)) @ np.reshape(rotation, (3, 3)).T
    return np.asarray(turned, np.float32)


def grid_camera(
    camera: Camera,
    points: NDArray[np.float32],
    known: Camera | None = None,
    finite: NDArray[np.bool_] | None = None,
) -> Camera | None:
    """The camera of whose pixels the cloud's rows and columns are; ``None`` where they are no camera's in this frame.

    Args:
        camera: whose frame the points are in. The grid may be coarser or finer, and show another part of the view.
        points: (H, W, 3) meters.
        known: the camera of an earlier cloud's image, which is kept while it fits.
        finite: (H, W) by :func:`finite_points`, where it is known.
    """
    height, width = points.shape[:2]
    if min(height, width) < 2:
        return None
    places = np.flatnonzero((finite_points(points) if finite is None else finite) & (points[..., 2] > 0))
    if len(places) < _FEWEST:
        return None
    sampled = places[np.linspace(0, len(places) - 1, min(_JUDGED, len(places))).astype(np.intp)]
    rows, columns = np.divmod(sampled, width)
    pixels = np.stack([columns, rows], axis=-1).astype(np.float64)
    seen = points[rows, columns].astype(np.float64)
    likely = [known] if known is not None and (known.width, known.height) == (width, height) else []
    for candidate in [*likely, *_scaled(camera, width, height)]:
        if _misses(candidate, seen, pixels) < _ON_GRID / 2:
            return candidate
    fitted = [_fit(camera, lens, seen, pixels, (width, height)) for lens in {camera.distortion, ()}]
    found = [candidate for candidate in fitted if candidate is not None]
    best = min(found, key=lambda candidate: _misses(candidate, seen, pixels), default=None)
    return best if best is not None and _misses(best, seen, pixels) < _ON_GRID else None


def is_mirrored(points: NDArray[np.float32]) -> bool | None:
    """Whether an organized cloud shows its image mirrored: columns or rows run against an axis, or axes are exchanged.

    An image that is turned is not: then both run against an axis.

    Args:
        points: (H, W, 3) meters.

    Returns:
        ``None`` where that cannot be told, as of clouds that are not organized (H = 1), or of few points.
    """
    if min(points.shape[:2]) < 2:
        return None
    down, right = (max(1, side // _ALONG) for side in points.shape[:2])
    sampled = points[::down, ::right].astype(np.float64)
    known = np.isfinite(sampled).all(axis=-1) & (sampled[..., 2] > 0)
    if np.count_nonzero(known) < _FEWEST:
        return None
    rows, columns = np.nonzero(known)
    plane = sampled[known][:, :2] / sampled[known][:, 2:]
    if not (plane.std(axis=0) > 0).all() or not columns.std() or not rows.std():
        return None
    together = float(np.linalg.det(np.corrcoef(np.stack([columns, rows, *plane.T]))[:2, 2:]))
    return together < 0 if abs(together) > _CLEAR else None


def _scaled(camera: Camera, width: int, height: int) -> list[Camera]:
    """What drivers make of an image that is to be smaller: means of blocks, or one pixel of each block."""
    made: list[Camera] = []
    step = round(camera.width / width)
    if step > 1 and step == round(camera.height / height):
        picked = {name: getattr(camera, name) / step for name in ("fx", "fy", "cx", "cy")}
        made += _camera_or_none(camera, picked, camera.distortion, (width, height))
    whole = camera.scaled(width, height) if (width, height) != (camera.width, camera.height) else camera
    return [whole, *made]


def _fit(
    camera: Camera, distortion: tuple[float, ...], seen: FloatArray, pixels: FloatArray, size: tuple[int, int]
) -> Camera | None:
    """Focal lengths and center by least squares; a driver has applied the lens's distortion to its points, or not."""
    plane = seen[:, :2] / seen[:, 2:]
    if distortion and camera.lens is not None:
        plane = camera.lens.distort(plane)
    known = np.isfinite(plane).all(axis=1)
    fitted: dict[str, float] = {}
    for axis, name in enumerate("xy"):
        table = np.stack([plane[known, axis], np.ones(int(known.sum()))], axis=1)
        focal, center = np.linalg.lstsq(table, pixels[known, axis], rcond=None)[0]
        fitted |= {f"f{name}": float(focal), f"c{name}": float(center)}
    return next(iter(_camera_or_none(camera, fitted, distortion, size)), None)


def _camera_or_none(
    camera: Camera, intrinsics: dict[str, Any], distortion: tuple[float, ...], size: tuple[int, int]
) -> list[Camera]:
    """A camera of other intrinsics; nothing where no camera has them."""
    try:
        return [replace(camera, **intrinsics, width=size[0], height=size[1], distortion=distortion)]
    except CameraError:
        return []


def _misses(camera: Camera, seen: FloatArray, pixels: FloatArray) -> float:
    """Pixels by which nine points in ten at most are not where a camera shows them."""
    off = np.abs(project(camera, seen) - pixels).max(axis=1)
    return float(np.percentile(np.where(np.isfinite(off), off, np.inf), 90))


def sampling_step(valid: NDArray[np.bool_]) -> int:
    """Width in pixels of the blocks that the readings of a thin image fill; 1 for one that is not thin.

    A surface of which every block has a reading has four of them in a block of twice the width, of which a thin one
    has one or two.

    Args:
        valid: (H, W) pixels with a reading.
    """
    if np.count_nonzero(valid) < _LEAST_POINTS:
        return 1
    for step in _STEPS[:-1]:
        blocks = _occupied(valid, step)
        if np.count_nonzero(blocks) >= 4 * _FILLED * np.count_nonzero(_occupied(blocks, 2)):
            return step
    return _STEPS[-1]


def _occupied(valid: NDArray[np.bool_], step: int) -> NDArray[np.bool_]:
    """(H, W) -> whether there is a reading, by blocks; those that the image's edge cuts are left out."""
    if step == 1:
        return valid
    height, width = (side // step * step for side in valid.shape)
    found = np.zeros((height // step, width // step), np.bool_)
    for row in range(step):
        for column in range(step):
            found |= valid[row:height:step, column:width:step]
    return found


def coarser(camera: Camera, depth: NDArray[np.float32], rows: int, columns: int) -> tuple[Camera, NDArray[np.float32]]:
    """A depth image of blocks of pixels, with the nearest reading of each.

    Args:
        depth: (H, W) meters; 0 is no reading.
        rows, columns: of a block.
    """
    small = coarser_camera(camera, rows, columns)
    padded = np.zeros((small.height * rows, small.width * columns), np.float32)
    padded[: camera.height, : camera.width] = depth
    blocks = np.where(padded > 0, padded, np.inf).reshape(small.height, rows, small.width, columns)
    nearest = blocks.min(axis=(1, 3))
    return small, np.where(np.isfinite(nearest), nearest, 0).astype(np.float32)


def coarser_camera(camera: Camera, rows: int, columns: int) -> Camera:
    """The camera of an image of blocks of pixels; those at the right and lower edge may reach beyond the image."""
    return replace(
        camera,
        fx=camera.fx / columns,
        fy=camera.fy / rows,
        cx=(camera.cx + 0.5) / columns - 0.5,
        cy=(camera.cy + 0.5) / rows - 0.5,
        width=-(-camera.width // columns),
        height=-(-camera.height // rows),
    )


def without_wide_pixels(camera: Camera, depth: NDArray[np.float32]) -> tuple[Camera, NDArray[np.float32]]:
    """A depth image whose pixels are three times as wide as high, or more, with as few rows as columns.

    People are upright: with every fourth column alone the networks find two in three of those that they find with
    every fourth row and column, or with every fourth row alone.
    """
    rows = round(camera.fy / camera.fx)
    return coarser(camera, depth, rows, 1) if rows >= _WIDE_PIXEL else (camera, depth)


def as_seen_by(camera: Camera, source: Camera, depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """A depth image of one camera in the pixels of another at the same place: each takes the reading it looks at.

    Args:
        camera: of the result.
        source: of ``depth``.
    """
    if camera == source:
        return depth
    rows, columns, inside = _looked_at(camera, source)
    return np.where(inside, depth[rows, columns], np.float32(0))


@lru_cache(maxsize=4)
def _looked_at(camera: Camera, source: Camera) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """(H, W) row and column of another camera's pixel that each of a camera's looks at, and whether there is one."""
    v, u = np.mgrid[: camera.height, : camera.width]
    pixels = np.rint(project(source, rays(camera, np.stack([u, v], axis=-1))))
    size = np.array([source.width, source.height])
    inside: NDArray[np.bool_] = np.asarray(((pixels >= 0) & (pixels < size)).all(axis=-1))  # False for NaN
    pixels_or_zero = np.where(inside[..., None], pixels, 0).astype(np.intp)
    return pixels_or_zero[..., 1], pixels_or_zero[..., 0], inside
