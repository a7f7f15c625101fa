"""The messages that recordings are made of: their types, known without a ROS installation, and arrays <-> messages.

Stamps are nanoseconds, frames are ROS frame ids.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from unipose_ros.camera import Camera
from unipose_ros.frame import FrameError, Skeletons
from unipose_ros.images import (
    encode_compressed_color,
    encode_compressed_depth,
    to_millimeters,
)
from unipose_ros.person_fields import people_fields, skeletons_of
from unipose_ros.resources import resource_path

# The header stamp inside a serialised message, read and moved without unpacking the rest.
#
# A ROS 2 message is serialised as CDR: four bytes that name the byte order, then the fields in
# order. Where the first field is a ``std_msgs/Header`` its stamp is the next eight bytes: int32
# seconds and uint32 nanoseconds (OMG CDR, DDS-XTypes 1.3 section 7.4).


HEADER = "std_msgs/msg/Header"
_SECOND = 1_000_000_000
_STAMP_AT = 4
_LITTLE_ENDIAN = 1


def begins_with_header(types: Typestore, message_type: str) -> bool:
    """Whether the first field of a message type is a ``std_msgs/Header``."""
    definition = types.fielddefs[message_type][1]
    return bool(definition) and definition[0][1] == (Nodetype.NAME, HEADER)


def contains_header(types: Typestore, message_type: str) -> bool:
    """Whether a message type holds a ``std_msgs/Header`` at any depth."""
    return any(_names_header(types, kind) for _, kind in types.fielddefs[message_type][1])


def _names_header(types: Typestore, kind: Any) -> bool:
    node, detail = kind
    if node == Nodetype.NAME:
        return detail == HEADER or contains_header(types, detail)
    # Arrays and sequences carry (kind of the element, length).
    return node in (Nodetype.ARRAY, Nodetype.SEQUENCE) and _names_header(types, detail[0])


def read_stamp(data: bytes) -> int:
    """Stamp in nanoseconds of a serialised message that begins with a header.

    Raises:
        ValueError: the message is too short to hold one.
    """
    if len(data) < _STAMP_AT + 8:
        raise ValueError(f"a serialised message of {len(data)} bytes is too short for a header")
    seconds, nanoseconds = struct.unpack_from(_layout(data), data, _STAMP_AT)
    return int(seconds) * _SECOND + int(nanoseconds)


def write_stamp(data: bytes, stamp_ns: int) -> bytes:
    """The same message with another stamp."""
    stamp = struct.pack(_layout(data), *divmod(stamp_ns, _SECOND))
    return b"".join((data[:_STAMP_AT], stamp, data[_STAMP_AT + len(stamp) :]))


def _layout(data: bytes) -> str:
    return "<iI" if data[1] == _LITTLE_ENDIAN else ">iI"


def shift_stamps(types: Typestore, message_type: str, data: bytes, offset_ns: int) -> bytes:
    """Move all header stamps of a serialised message by a constant.

    Messages that begin with a header are patched in place, which is cheap for images; those
    with headers further in (``tf2_msgs/TFMessage``) are unpacked; others come back as they are.
    """
    if begins_with_header(types, message_type):
        return write_stamp(data, read_stamp(data) + offset_ns)
    if not contains_header(types, message_type):
        return data
    message = types.deserialize_cdr(data, message_type)
    _shift_headers(message, offset_ns)
    return bytes(types.serialize_cdr(message, message_type))


def _shift_headers(value: Any, offset_ns: int) -> None:
    if isinstance(value, list):
        for item in value:
            _shift_headers(item, offset_ns)
    elif is_dataclass(value) and getattr(value, "__msgtype__", "") == HEADER:
        header: Any = value
        moved = header.stamp.sec * _SECOND + header.stamp.nanosec + offset_ns
        header.stamp.sec, header.stamp.nanosec = divmod(moved, _SECOND)
    elif is_dataclass(value):
        for item in fields(value):
            _shift_headers(getattr(value, item.name), offset_ns)


class RecordingError(ValueError):
    """A recording cannot be read or written; the text names the file, the topic and the remedy."""


IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
POINT_CLOUD = "sensor_msgs/msg/PointCloud2"
TF_MESSAGE = "tf2_msgs/msg/TFMessage"
_OWN = "unipose_ros/msg/"
SKELETON = "unipose_ros/msg/Skeleton"
SKELETON_ARRAY = "unipose_ros/msg/SkeletonArray"
SKELETON_INFO = "unipose_ros/msg/SkeletonInfo"


@cache
def message_types() -> Typestore:
    """The types of ROS 2 Jazzy, and our own as the package's ``msg/*.msg`` texts define them."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name in (SKELETON, SKELETON_ARRAY, SKELETON_INFO):
        text = resource_path("msg", f"{name.rpartition('/')[2]}.msg").read_text(encoding="utf-8")
        store.register(get_types_from_msg(text, name))
    return store


def differing_field(types: Typestore, kind: str) -> str:
    """A field of a standard message type that a recording defines otherwise; empty where it has all as we know them.

    A recording brings the definitions of its types. Our own types have grown, so that older recordings lack fields;
    types that we do not know are not compared.

    Args:
        types: as the recording defines them.
        kind: name of a message type.

    Returns:
        ``type.field``.
    """
    ours = message_types().fielddefs
    if kind not in ours:
        return ""
    theirs = dict(types.fielddefs[kind][1]) if kind in types.fielddefs else {}
    for name, wanted in ours[kind][1]:
        if kind.startswith(_OWN) and name not in theirs:
            continue
        if theirs.get(name) != wanted:
            return f"{kind}.{name}"
        node, detail = wanted[1][0] if wanted[0] in (Nodetype.ARRAY, Nodetype.SEQUENCE) else wanted
        inner = differing_field(types, detail) if node == Nodetype.NAME and isinstance(detail, str) else ""
        if inner:
            return inner
    return ""


def message_class(name: str) -> Any:
    """The dataclass that stands for a message type.

    Raises:
        RecordingError: the type is neither in ROS 2 Jazzy nor ours.
    """
    types = message_types().types
    if name not in types:
        raise RecordingError(f"message type '{name}' is unknown: it is not part of ROS 2 Jazzy or of unipose_ros")
    return types[name]


# Arrays -> messages, and stamps and skeletons back: ROS messages or those of a recording, only the fields count.


def untimely(stamps: Sequence[int]) -> set[int]:
    """Stamps that are off the time in which the others go on: a little late, from the future, of a second clock.

    As on the robot, each of them loses its own image alone; but here what comes after is known. A time that begins
    anew and stays, as that of a recording that was played twice, is kept. Where it would be most of them, the order of
    recording is not that of time, and none is off.

    Args:
        stamps: of one topic in the order of recording, nanoseconds, without repetitions.
    """
    off: set[int] = set()
    newest: int | None = None
    for at, stamp in enumerate(stamps):
        following = stamps[at + 1 : at + 1 + _LOOK_AHEAD]
        if newest is None or stamp > newest:
            # One that is overtaken by the next alone may as well be followed by a late one.
            wrong = newest is not None and sum(newest < each < stamp for each in following) > _LOOK_AHEAD // 2
        else:
            wrong = newest - stamp < _SECOND or 2 * sum(each > newest for each in following) >= len(following)
        if wrong:
            off.add(stamp)
        else:
            newest = stamp
    return off if 2 * len(off) <= len(stamps) else set()


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
#: Images after one by which its stamp is judged.
_LOOK_AHEAD = 3
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
