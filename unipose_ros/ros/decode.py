"""ROS messages -> one :class:`RgbdFrame`, refusing what does not fit together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from cv_bridge import CvBridge, CvBridgeError
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, PointCloud2
from sensor_msgs_py import point_cloud2

from unipose_ros import images
from unipose_ros.camera import Camera, CameraError, points_to_depth
from unipose_ros.frame import RgbdFrame
from unipose_ros.ros.monitoring import BadInputError
from unipose_ros.ros.synchronizer import Pair

#: Two calibrations of one and the same registered camera agree better than this.
_FOCAL_TOLERANCE = 0.02


class FrameDecoder:
    """Decodes pairs with the cached calibration of both cameras.

    Args:
        rectified: the images are rectified ones: P is their calibration.
    """

    def __init__(self, rectified: bool = False) -> None:
        self._rectified = rectified
        self._bridge = CvBridge()
        self._parsed: dict[str, tuple[CameraInfo, Camera]] = {}
        self.color_info: CameraInfo | None = None
        self.depth_info: CameraInfo | None = None

    def decode(self, pair: Pair) -> RgbdFrame:
        """Decode a pair, or an image that came alone.

        Raises:
            BadInputError: something about it is not usable; says what, and what to do.
        """
        frame_id = _common_frame(pair)
        camera = self._camera(pair, frame_id)
        color, depth = None, None
        if pair.color is not None:
            with _blame("color_image"):
                color = self._color(pair.color)
            _require_size("color", color.shape, camera)
        if pair.depth is not None:
            with _blame("depth_image"):
                depth = _depth(pair.depth, camera)
            _require_size("depth", depth.shape, camera)
        return RgbdFrame(stamp_ns=pair.stamp_ns, frame_id=frame_id, camera=camera, depth=depth, color=color)

    def _camera(self, pair: Pair, frame_id: str) -> Camera:
        """The calibration of the images.

        Color and depth share one: that of color, or of depth where color has none. An image that
        came alone has its own, or the other's where it has none.
        """
        infos = {"color": self.color_info, "depth": self.depth_info}
        known = {name: info for name, info in infos.items() if info is not None}
        if not known:
            raise BadInputError(
                "no_camera_info", "no camera_info has come, neither for color nor for depth; "
                "remap color/camera_info or depth/camera_info to the driver's topic"
            )  # fmt: skip
        if pair.color is None or pair.depth is None:
            own = "color" if pair.depth is None else "depth"
            known = {own: known[own]} if own in known else known
        cameras = {name: self._parse(name, info) for name, info in known.items()}
        for name, info in known.items():
            _require_frame(f"{name}/camera_info", info.header.frame_id, frame_id)
        if len(cameras) == 2:
            _require_registered(cameras["color"], cameras["depth"])
        return next(iter(cameras.values()))

    def _parse(self, name: str, info: CameraInfo) -> Camera:
        """Read a calibration once, not for every frame."""
        cached = self._parsed.get(name)
        if cached is not None and _same_calibration(cached[0], info):
            return cached[1]
        try:
            camera = Camera.from_camera_info(info, self._rectified)
        except CameraError as error:
            raise BadInputError("intrinsics", f"{name}/camera_info: {error}") from error
        self._parsed[name] = (info, camera)
        return camera

    def _color(self, message: Any) -> NDArray[np.uint8]:
        if isinstance(message, CompressedImage):
            return images.decode_compressed_color(message.data)
        if message.encoding in images.COLOR_ENCODINGS:
            # cv_bridge shears rows whose padding is not a whole number of pixels.
            return images.decode_color(*_buffer(message))
        # cv_bridge knows the rest: Bayer, YUV, 16-bit color.
        return np.asarray(self._bridge.imgmsg_to_cv2(message, desired_encoding="rgb8"), np.uint8)


def _depth(message: Any, camera: Camera) -> NDArray[np.float32]:
    if isinstance(message, PointCloud2):
        return points_to_depth(camera, read_xyz(message))
    if isinstance(message, CompressedImage):
        return images.decode_compressed_depth(message.format, message.data)
    return images.decode_depth(*_buffer(message))


def read_xyz(cloud: PointCloud2) -> NDArray[np.float32]:
    """The points of a cloud, organized or not, as (N, 3) float32 meters.

    Raises:
        BadInputError: the cloud has no x, y, z, or less data than it says.
    """
    missing = {"x", "y", "z"} - {field.name for field in cloud.fields}
    if missing:
        raise BadInputError("depth_image", f"points: the cloud lacks the fields {', '.join(sorted(missing))}")
    needed = cloud.point_step * cloud.width * cloud.height
    if len(cloud.data) < needed:
        raise BadInputError("depth_image", f"points: data holds {len(cloud.data)} bytes, {needed} are announced")
    # read_points, not read_points_numpy: on Humble that demands one type for all fields, color included.
    points = point_cloud2.read_points(cloud, field_names=("x", "y", "z"))
    return np.stack([points[axis].astype(np.float32).reshape(-1) for axis in "xyz"], axis=1)


def _buffer(message: Any) -> tuple[str, int, int, int, bool, Any]:
    return (
        message.encoding, message.height, message.width, message.step, bool(message.is_bigendian), message.data
    )  # fmt: skip


@contextmanager
def _blame(reason: str) -> Iterator[None]:
    """Whatever a decoder raises becomes a bad input with this reason; cv_bridge raises many kinds."""
    try:
        yield
    except BadInputError:
        raise
    except (images.ImageError, CvBridgeError, TypeError, ValueError, KeyError, AttributeError, AssertionError) as error:
        raise BadInputError(reason, f"{reason.replace('_', ' ')}: {error}") from error


def _common_frame(pair: Pair) -> str:
    name, image = ("color", pair.color) if pair.color is not None else ("depth", pair.depth)
    assert image is not None  # a pair has at least one
    frame_id = str(image.header.frame_id)
    if not frame_id:
        raise BadInputError("frame_id", f"the {name} image has no frame_id; the driver must name its optical frame")
    if pair.color is not None and pair.depth is not None:
        _require_frame("depth", pair.depth.header.frame_id, frame_id)
    return frame_id


def _require_frame(what: str, found: str, expected: str) -> None:
    if found != expected:
        raise BadInputError(
            "frame_id", f"{what} is in frame '{found}', the image in '{expected}'; use the driver's depth registered "
            "to color (RealSense: align_depth.enable:=true), and the camera_info that belongs to it"
        )  # fmt: skip


def _require_size(what: str, shape: tuple[int, ...], camera: Camera) -> None:
    if shape[:2] != (camera.height, camera.width):
        raise BadInputError(
            "size", f"{what} is {shape[1]}x{shape[0]}, camera_info says {camera.width}x{camera.height}; use depth "
            "registered to color at the same resolution, and the camera_info that belongs to it"
        )  # fmt: skip


def _require_registered(color: Camera, depth: Camera) -> None:
    if (color.width, color.height) != (depth.width, depth.height):
        raise BadInputError(
            "size", f"color/camera_info says {color.width}x{color.height}, depth/camera_info {depth.width}x"
            f"{depth.height}; use depth registered to color at the same resolution"
        )  # fmt: skip
    if abs(depth.fx / color.fx - 1) > _FOCAL_TOLERANCE or abs(depth.fy / color.fy - 1) > _FOCAL_TOLERANCE:
        raise BadInputError(
            "intrinsics", f"focal length of color is {color.fx:.1f}, of depth {depth.fx:.1f} pixels; registered "
            "images share one; use the driver's depth registered to color and its camera_info"
        )  # fmt: skip


def _same_calibration(first: CameraInfo, second: CameraInfo) -> bool:
    if first is second:
        return True
    fields = ("width", "height", "distortion_model", "binning_x", "binning_y", "roi")
    arrays = ("k", "d", "p")
    return all(getattr(first, name) == getattr(second, name) for name in fields) and all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in arrays
    )
