"""Arrays -> messages, for writing recordings. Stamps are nanoseconds, frames are ROS frame ids."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.frame import FrameError, Skeletons
from unipose_ros.images import (
    encode_compressed_color,
    encode_compressed_depth,
    to_millimeters,
)
from unipose_ros.joint_frames import people_fields, skeletons_of
from unipose_ros.recordings.types import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    POINT_CLOUD,
    SKELETON,
    SKELETON_ARRAY,
    RecordingError,
    message_class,
)

# Messages -> arrays. The messages may be ROS ones or those of a recording: only the fields count.


def stamp_of(message: Any) -> int:
    """Acquisition time of a message with a header, in nanoseconds."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


_ENCODINGS: dict[str, tuple[type, int]] = {
    "rgb8": (np.uint8, 3),
    "bgr8": (np.uint8, 3),
    "rgba8": (np.uint8, 4),
    "bgra8": (np.uint8, 4),
    "mono8": (np.uint8, 1),
    "mono16": (np.uint16, 1),
    "16UC1": (np.uint16, 1),
    "32FC1": (np.float32, 1),
}
_FLOAT32 = 7  # sensor_msgs/PointField.FLOAT32


def header(stamp_ns: int, frame_id: str) -> Any:
    """``std_msgs/Header``."""
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    stamp = message_class("builtin_interfaces/msg/Time")(seconds, nanoseconds)
    return message_class("std_msgs/msg/Header")(stamp, frame_id)


def image(stamp_ns: int, frame_id: str, pixels: NDArray[Any], encoding: str) -> Any:
    """``sensor_msgs/Image`` without row padding.

    Args:
        pixels: (H, W) or (H, W, C) of the type and channels that the encoding names.

    Raises:
        RecordingError: the encoding is unknown or the pixels do not fit it.
    """
    if encoding not in _ENCODINGS:
        raise RecordingError(f"encoding = '{encoding}': use one of {', '.join(_ENCODINGS)}")
    dtype, channels = _ENCODINGS[encoding]
    shape = (*pixels.shape[:2], channels) if channels > 1 else pixels.shape[:2]
    if pixels.dtype != dtype or pixels.shape != shape:
        raise RecordingError(
            f"pixels: {pixels.dtype}{list(pixels.shape)} do not fit '{encoding}', "
            f"which takes {np.dtype(dtype)}{list(shape)}"
        )
    height, width = pixels.shape[:2]
    return message_class(IMAGE)(
        header(stamp_ns, frame_id), height, width, encoding, 0, width * channels * pixels.itemsize, _as_bytes(pixels)
    )


def depth_image(stamp_ns: int, frame_id: str, depth: NDArray[np.float32]) -> Any:
    """(H, W) float32 meters -> ``sensor_msgs/Image`` of encoding 16UC1 (millimeters, 0 = no reading)."""
    return image(stamp_ns, frame_id, to_millimeters(depth), "16UC1")


def compressed_image(stamp_ns: int, frame_id: str, color: NDArray[np.uint8], quality: int = 90) -> Any:
    """(H, W, 3) uint8 RGB -> JPEG in a ``sensor_msgs/CompressedImage``."""
    data = np.frombuffer(encode_compressed_color(color, quality), np.uint8)
    return message_class(COMPRESSED_IMAGE)(header(stamp_ns, frame_id), "rgb8; jpeg compressed bgr8", data)


def compressed_depth(stamp_ns: int, frame_id: str, depth: NDArray[np.float32], effort: int = 9) -> Any:
    """(H, W) float32 meters -> ``compressedDepth``: 16-bit PNG of millimeters, without loss below 65.5 m.

    Args:
        effort: see :func:`unipose_ros.images.encode_compressed_depth`.
    """
    data = np.frombuffer(encode_compressed_depth(to_millimeters(depth), effort), np.uint8)
    return message_class(COMPRESSED_IMAGE)(header(stamp_ns, frame_id), "16UC1; compressedDepth png", data)


def camera_info(stamp_ns: int, frame_id: str, camera: Camera) -> Any:
    """``sensor_msgs/CameraInfo`` of a single camera: R is the identity and P is K."""
    projection = np.hstack([camera.K, np.zeros((3, 1))])
    region = message_class("sensor_msgs/msg/RegionOfInterest")(0, 0, 0, 0, False)
    return message_class(CAMERA_INFO)(
        header=header(stamp_ns, frame_id),
        height=camera.height,
        width=camera.width,
        distortion_model=camera.model,
        d=np.asarray(camera.distortion or (0.0,) * 5, np.float64),
        k=camera.K.ravel(),
        r=np.eye(3).ravel(),
        p=projection.ravel(),
        binning_x=0,
        binning_y=0,
        roi=region,
    )


def point_cloud(stamp_ns: int, frame_id: str, points: NDArray[np.float32]) -> Any:
    """Points -> ``sensor_msgs/PointCloud2`` with the fields x, y, z.

    Args:
        points: (H, W, 3) for an organized cloud or (N, 3), float32 meters; NaN means no point.
    """
    if points.dtype != np.float32 or points.ndim not in (2, 3) or points.shape[-1] != 3:
        raise RecordingError(f"points: {points.dtype}{list(points.shape)}, expected float32 (H, W, 3) or (N, 3)")
    height, width = points.shape[:2] if points.ndim == 3 else (1, len(points))
    field = message_class("sensor_msgs/msg/PointField")
    return message_class(POINT_CLOUD)(
        header=header(stamp_ns, frame_id),
        height=height,
        width=width,
        fields=[field(name, 4 * i, _FLOAT32, 1) for i, name in enumerate("xyz")],
        is_bigendian=False,
        point_step=12,
        row_step=12 * width,
        data=_as_bytes(points),
        is_dense=bool(np.isfinite(points).all()),
    )


def _as_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(array).view(np.uint8).reshape(-1)


# ``Skeletons`` <-> ``unipose_ros/SkeletonArray``, for recordings.


def skeleton_array(skeletons: Skeletons) -> Any:
    """``Skeletons`` -> message."""
    duration, person = message_class("builtin_interfaces/msg/Duration"), message_class(SKELETON)
    vector, pose, point, quaternion = (
        message_class(f"geometry_msgs/msg/{name}") for name in ("Vector3", "Pose", "Point", "Quaternion")
    )
    skeletons_fields = [
        vars(fields)
        | {
            "age": duration(*fields.age),
            "velocity": vector(*fields.velocity),
            "box_pose": pose(point(*fields.box_pose[0]), quaternion(*fields.box_pose[1])),
            "box_size": vector(*fields.box_size),
        }
        for fields in people_fields(skeletons)
    ]
    return message_class(SKELETON_ARRAY)(
        header=header(skeletons.stamp_ns, skeletons.frame_id),
        joint_set=skeletons.joint_set.name,
        modality=skeletons.modality,
        skeletons=[person(**fields) for fields in skeletons_fields],
    )


def read_skeletons(message: Any) -> Skeletons:
    """Message (of a recording, or a ROS one) -> ``Skeletons``.

    Raises:
        RecordingError: an array's length does not fit the joint set.
        JointSetError: the joint set is unknown.
    """
    try:
        return skeletons_of(message)
    except FrameError as error:
        raise RecordingError(str(error)) from error
