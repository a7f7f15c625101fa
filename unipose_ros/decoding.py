"""Messages -> one :class:`~unipose_ros.frame.RgbdFrame`, refusing what does not fit together.

The robot and the readers of recordings decode here, so that a recording is refused when the robot would have refused
it, and read when the robot would have. The messages may be ROS ones or those of a recording: only the fields count.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros import images
from unipose_ros.camera import Camera, CameraError, pixels_with_rays, resolution_of
from unipose_ros.clouds import (
    as_seen_by,
    coarser,
    draw_cloud,
    finite_points,
    grid_camera,
    is_mirrored,
    read_cloud,
    registered_points,
    sampling_step,
    without_wide_pixels,
)
from unipose_ros.frame import FrameError, RgbdFrame
from unipose_ros.transforms import TransformError

#: Two calibrations of one and the same registered camera agree better than this part of the focal length, or width.
_FOCAL_TOLERANCE = 0.02
#: Meters beyond which no depth camera reads anything.
FARTHEST = 100.0
#: Meters; where half of the readings lie nearer or farther than this, they are probably in another unit: a room in
#: centimeters, decimeters, feet or the quarter millimeters of some drivers.
_NEAREST_MEDIAN, _FARTHEST_MEDIAN = 0.3, 15.0
#: Parts of a cloud's points: with fewer in the image, the cloud lies elsewhere.
_FEW_IN_IMAGE = 0.02
#: An 8-bit image with 99 % of its pixels below this is black for a network.
_BLACK = 16


#: Target frame, source frame, nanoseconds -> (4, 4) that takes points of the source to the target, meters. Raises
#: :class:`unipose_ros.transforms.TransformError` where it is not known.
Lookup = Callable[[str, str, int], NDArray[np.float64]]


class BadInputError(ValueError):
    """An input cannot become a frame.

    Attributes:
        reason: short key under which it is counted.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class FrameDecoder:
    """Decodes color and depth with the cached calibration of both.

    Args:
        rectified: which of ``color`` and ``depth`` are rectified images, whose calibration is P.
        transforms: of the robot. With them depth may come from another camera than color, and a cloud in any frame:
            both are moved into the color camera's frame. Without them they are refused.

    Attributes:
        remarks: of the last frame, by reason: what looks wrong with it although it is a frame.
        figures: of the last frame, by name: such as the part of the depth image with readings.
    """

    def __init__(self, rectified: Collection[str] = (), transforms: Lookup | None = None) -> None:
        self._rectified = frozenset(rectified)
        self._transforms = transforms
        self._infos: dict[str, Any] = {}
        self._parsed: dict[str, tuple[Any, Camera, tuple[int, int] | None]] = {}
        self._grid: Camera | None = None
        self._step = 1
        self._mirrored: tuple[tuple[Any, ...], bool] | None = None
        self.remarks: dict[str, str] = {}
        self.figures: dict[str, float] = {}

    def set_info(self, name: str, info: Any) -> None:
        """Take a ``CameraInfo``.

        Args:
            name: ``color`` or ``depth``.
        """
        self._infos[name] = info

    def decode(self, color: Any | None, depth: Any | None, stamp_ns: int) -> RgbdFrame:
        """Decode two images that belong together, or one alone.

        Args:
            color: ``Image`` or ``CompressedImage``.
            depth: ``Image``, ``CompressedImage`` or ``PointCloud2``.

        Raises:
            BadInputError: something about it is not usable; says what, and what to do.
        """
        self.remarks, self.figures = {}, {}
        frame_id = self._frame_of(color, depth)
        pose = self._depth_pose(depth, frame_id)
        camera = self._camera(color, depth, frame_id, pose is not None)
        pixels = None if color is None else self._color(color, camera)
        own, meters = (camera, None) if depth is None else self._depth(depth, camera, pose)
        if meters is not None:
            meters = self._within_lens(own, self._in_meters(meters))
            if pixels is None:
                camera, meters = without_wide_pixels(own, meters)
            else:
                meters = as_seen_by(camera, own, meters)
            valid = np.count_nonzero(meters != 0)  # counting booleans is faster
            self.figures["depth valid (%)"] = 100 * float(valid / meters.size)
        with blame("frame"):
            return RgbdFrame(stamp_ns=stamp_ns, frame_id=frame_id, camera=camera, depth=meters, color=pixels)

    def _frame_of(self, color: Any | None, depth: Any | None) -> str:
        """The optical frame that everything is brought into: that of the image, for clouds that of the calibration."""
        if self._transforms is None:
            return _common_frame(color, depth)
        frame_id = _common_frame(color, depth if color is None else None)
        own = self._infos.get("depth") or self._infos.get("color")
        if color is None and is_cloud(depth) and own is not None:
            return str(own.header.frame_id) or frame_id
        return frame_id

    def _depth_pose(self, depth: Any | None, frame_id: str) -> NDArray[np.float64] | None:
        """(4, 4) from depth's own frame to that of the images; ``None`` where it is that frame."""
        if depth is None or self._transforms is None or depth.header.frame_id == frame_id:
            return None
        stamp = depth.header.stamp
        try:
            return self._transforms(frame_id, str(depth.header.frame_id), stamp.sec * 10**9 + stamp.nanosec)
        except TransformError as error:
            raise BadInputError(
                "registration", f"depth is in frame '{depth.header.frame_id}', the image in '{frame_id}', and /tf does "
                f"not lead from one to the other: {error}; let the driver or robot_state_publisher publish it, or use "
                "depth that the driver registers to color"
            ) from error  # fmt: skip

    def _camera(self, color: Any | None, depth: Any | None, frame_id: str, foreign: bool = False) -> Camera:
        """The calibration of the images.

        Color and depth share one: that of color, or of depth where color has none. An image that
        came alone has its own, or the other's where it has none, and color whose depth is ``foreign``, of another
        camera or none, has color's.
        """
        known = dict(self._infos)
        if not known:
            raise BadInputError(
                "no_camera_info", "no camera_info has come, neither for color nor for depth; remap color/camera_info "
                "or depth/camera_info to the driver's topic, or record it with the images"
            )  # fmt: skip
        if color is None or depth is None:
            own = "color" if depth is None else "depth"
            known = {own: known[own]} if own in known else known
        elif (is_cloud(depth) or foreign) and "color" in known:
            # What depth's calibration describes is not a cloud, or another camera.
            known = {"color": known["color"]}
        elif foreign and not is_cloud(depth):
            raise BadInputError(
                "no_camera_info", "no color/camera_info has come; depth of another camera cannot be registered to "
                "color without it"
            )  # fmt: skip
        cameras = {name: self._parse(name, info) for name, info in known.items()}
        for name, info in known.items():
            require_frame(f"{name}/camera_info", info.header.frame_id, frame_id)
        if len(cameras) == 2:
            require_registered(cameras["color"], cameras["depth"])
        return next(iter(cameras.values()))

    def _parse(self, name: str, info: Any) -> Camera:
        """Read a calibration once, not for every frame."""
        cached = self._parsed.get(name)
        if cached is None or not _same_calibration(cached[0], info):
            with blame("intrinsics", f"{name}/camera_info"):
                rectified = name in self._rectified
                camera = Camera.from_camera_info(info, rectified)
                cached = self._parsed[name] = (info, camera, resolution_of(info, rectified))
        if cached[2] is not None:
            self.remarks["principal_point"] = (
                f"{name}/camera_info: the principal point is the middle of an image of {cached[2][0]}x{cached[2][1]}, "
                f"not of {info.width}x{info.height}: is K that of another resolution? Then people are looked for in "
                "the wrong place and size; use the calibration of this one (of a part of the sensor, with its roi)"
            )
        return cached[1]

    def _color(self, message: Any, camera: Camera) -> NDArray[np.uint8]:
        with blame("color_image"):
            if is_compressed(message):
                _require_claimed("color", images.compressed_size(message.data), camera)
                color = images.decode_compressed_color(message.data)
            else:
                color = decode_color_message(message)
            _require_size("color", color.shape, camera)
        if np.percentile(color[::16, ::16], 99) < _BLACK:
            self.remarks["dark_image"] = (
                f"the color image is black: 99 % of its pixels are below {_BLACK} of 255; is the lens covered, the "
                "exposure too short, or is it an infrared image of fewer bits than its encoding has?"
            )
        return color

    def _depth(
        self, message: Any, camera: Camera, pose: NDArray[np.float64] | None
    ) -> tuple[Camera, NDArray[np.float32]]:
        """A depth image and its camera, which is a coarser one for clouds and images with few readings.

        Args:
            camera: of the images.
            pose: see :meth:`_depth_pose`.
        """
        with blame("depth_image"):
            if is_cloud(message):
                points = read_cloud(message)
                if pose is not None:
                    points = (points @ pose[:3, :3].T + pose[:3, 3]).astype(np.float32)
                return self._cloud(points, camera, _cloud_layout(message))
            if pose is not None:
                source = self._depth_camera(message)
                depth = self._in_meters(self._depth_values(message, source))
                return self._cloud(registered_points(source, depth, pose), camera, (source,))
            return self._not_thin(camera, self._depth_values(message, camera))

    def _depth_camera(self, message: Any) -> Camera:
        """The calibration of a depth camera of its own."""
        info = self._infos.get("depth")
        if info is None:
            raise BadInputError(
                "no_camera_info", f"depth comes from another camera ('{message.header.frame_id}') than color, and no "
                "depth/camera_info has come; remap it to the depth camera's"
            )  # fmt: skip
        require_frame("depth/camera_info", info.header.frame_id, message.header.frame_id)
        return self._parse("depth", info)

    def _depth_values(self, message: Any, camera: Camera) -> NDArray[np.float32]:
        """(H, W) meters of a depth image whose size the calibration says."""
        with blame("depth_image"):
            if is_compressed(message):
                _require_claimed("depth", images.compressed_depth_size(message.format, message.data), camera)
                depth = images.decode_compressed_depth(message.format, message.data)
            else:
                depth = images.decode_depth(*_buffer(message))
            _require_size("depth", depth.shape, camera)
            return depth

    def _cloud(
        self, points: NDArray[np.float32], camera: Camera, layout: tuple[Any, ...]
    ) -> tuple[Camera, NDArray[np.float32]]:
        known = finite_points(points)
        own = grid_camera(camera, points, self._grid, known)
        self._grid, depth = draw_cloud(camera, points, own, known)
        finite = int(np.count_nonzero(known))
        drawn = int(np.count_nonzero(depth))
        if finite and drawn < _FEW_IN_IMAGE * min(finite, depth.size):
            ahead = float((points[..., 2] > 0).sum() / finite)
            self.remarks["cloud_outside"] = (
                f"points: {finite} points are finite, but hardly any lies within the image ({100 * ahead:.0f} % have "
                "z > 0): the cloud is not in the optical frame (x right, y down, z forward) that its frame_id names; "
                "let the driver publish it there, or transform it"
            )
        elif own is None and self._is_mirrored(points, (points.shape, *layout)):  # the grid of a camera is not
            self.remarks["mirrored_cloud"] = (
                "points: the cloud's rows and columns show its x and y mirrored or exchanged: unless they are stored "
                "in another order than an image's, the coordinates are not those of the optical frame (x right, "
                "y down, z forward), and left and right of all people are exchanged"
            )
        return self._grid, depth

    def _is_mirrored(self, points: NDArray[np.float32], layout: tuple[Any, ...]) -> bool:
        """As :func:`is_mirrored`, told once of a stream: while a driver's clouds are alike, its axes are."""
        if self._mirrored is None or self._mirrored[0] != layout:
            found = is_mirrored(points)
            self._mirrored = None if found is None else (layout, found)
        return self._mirrored is not None and self._mirrored[1]

    def _not_thin(self, camera: Camera, depth: NDArray[np.float32]) -> tuple[Camera, NDArray[np.float32]]:
        """Where only every second or third pixel has a reading, an image of those."""
        step = sampling_step(depth > 0)
        if abs(step - self._step) > 1 or 1 in (step, self._step):
            # Otherwise as before: the image's size should not go to and fro.
            self._step = step
        if self._step == 1:
            return camera, depth
        self.remarks["thin_depth"] = (
            f"depth: only about every {self._step}. pixel of every {self._step}. row has a reading, so the image is "
            "used with so many fewer pixels; the driver's own depth resolution costs less"
        )
        return coarser(camera, depth, self._step, self._step)

    def _in_meters(self, depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """Without what no camera reads; says it when the unit looks wrong."""
        sample = depth[::4, ::4]
        readings = sample[sample > 0]
        if readings.size:
            median = float(np.median(readings))
            if not _NEAREST_MEDIAN < median < _FARTHEST_MEDIAN:
                self.remarks["depth_unit"] = (
                    f"depth: the median of the readings is {median:.4g} m, where nobody stands whole in an image: is "
                    "it in another unit? 32FC1 and clouds are meters, 16UC1 is millimeters (what a driver calls depth "
                    "scale or depth units must be 0.001)"
                )
        far = depth > FARTHEST
        return np.where(far, np.float32(0), depth) if far.any() else depth

    def _within_lens(self, camera: Camera, depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """Without readings at pixels whose direction is not known."""
        known = pixels_with_rays(camera)
        if known is None:
            return depth
        lost = 100 * float(np.count_nonzero(depth[~known]) / depth.size)
        self.figures["depth outside of the lens model (%)"] = lost
        if lost:
            self.remarks["lens_model"] = (
                f"{lost:.1f} % of the image lies where the lens model of camera_info (D, {camera.model}) shows no "
                "direction; what is read there is left out: calibrate the camera to the image's edge, or use "
                "rectified topics"
            )
        return np.where(known, depth, np.float32(0))


def is_compressed(message: Any) -> bool:
    """Whether it is a ``CompressedImage``."""
    return hasattr(message, "format")


def is_cloud(message: Any) -> bool:
    """Whether it is a ``PointCloud2``."""
    return hasattr(message, "point_step")


def _cloud_layout(message: Any) -> tuple[Any, ...]:
    """What is the same of all clouds that one driver publishes with one setting."""
    fields = tuple((str(field.name), int(field.offset), int(field.datatype)) for field in message.fields)
    return str(message.header.frame_id), int(message.point_step), fields


def decode_color_message(message: Any) -> NDArray[np.uint8]:
    """``Image`` -> (H, W, 3) uint8 RGB.

    Raises:
        ImageError: see :func:`unipose_ros.images.decode_color`.
    """
    return images.decode_color(*_buffer(message))


def _buffer(message: Any) -> tuple[str, int, int, int, bool, Any]:
    return (
        message.encoding, message.height, message.width, message.step, bool(message.is_bigendian), message.data
    )  # fmt: skip


@contextmanager
def blame(reason: str, what: str = "") -> Iterator[None]:
    """Whatever a decoder refuses becomes a bad input with this reason: the sender is at fault, not we.

    Args:
        what: is named in the message; the reason by default.
    """
    try:
        yield
    except BadInputError:
        raise
    except (images.ImageError, CameraError, FrameError, TypeError, ValueError, AttributeError, MemoryError) as error:
        raise BadInputError(reason, f"{what or reason.replace('_', ' ')}: {error}") from error


def _common_frame(color: Any | None, depth: Any | None) -> str:
    name, image = ("color", color) if color is not None else ("depth", depth)
    if image is None:
        raise BadInputError("frame", "neither color nor depth")
    frame_id = str(image.header.frame_id)
    if not frame_id:
        raise BadInputError("frame_id", f"the {name} image has no frame_id; the driver must name its optical frame")
    if color is not None and depth is not None:
        require_frame("depth", depth.header.frame_id, frame_id)
    return frame_id


def require_frame(what: str, found: str, expected: str) -> None:
    """Refuse what is in another frame than the image.

    Raises:
        BadInputError: names both.
    """
    if found != expected:
        raise BadInputError(
            "frame_id", f"{what} is in frame '{found}', the image in '{expected}'; use the driver's depth registered "
            "to color (RealSense: align_depth.enable:=true), the camera_info that belongs to it, or a recording with "
            "the /tf between them"
        )  # fmt: skip


def _require_size(what: str, shape: tuple[int, ...], camera: Camera) -> None:
    if shape[:2] != (camera.height, camera.width):
        raise BadInputError(
            "size", f"{what} is {shape[1]}x{shape[0]}, camera_info says {camera.width}x{camera.height}; use depth "
            "registered to color at the same resolution, and the camera_info that belongs to it"
        )  # fmt: skip


def _require_claimed(what: str, claimed: tuple[int, int], camera: Camera) -> None:
    """As :func:`_require_size`, before anything is decoded."""
    _require_size(what, (claimed[1], claimed[0]), camera)


def require_registered(color: Camera, depth: Camera) -> None:
    """Refuse two calibrations that are not of one registered camera.

    Raises:
        BadInputError: names the sizes or focal lengths.
    """
    if (color.width, color.height) != (depth.width, depth.height):
        raise BadInputError(
            "size", f"color/camera_info says {color.width}x{color.height}, depth/camera_info {depth.width}x"
            f"{depth.height}; use depth registered to color at the same resolution"
        )  # fmt: skip
    for name in ("fx", "fy", "cx", "cy"):
        ours, theirs = getattr(color, name), getattr(depth, name)
        allowed = _FOCAL_TOLERANCE * (ours if name[0] == "f" else color.width)
        if abs(theirs - ours) > allowed:
            raise BadInputError(
                "intrinsics", f"{name} of color is {ours:.1f}, of depth {theirs:.1f} pixels; registered images "
                "share one; use the driver's depth registered to color and its camera_info"
            )  # fmt: skip


def _same_calibration(first: Any, second: Any) -> bool:
    if first is second:
        return True
    fields = ("width", "height", "distortion_model", "binning_x", "binning_y", "roi")
    arrays = ("k", "d", "p")
    return all(getattr(first, name) == getattr(second, name) for name in fields) and all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in arrays
    )
