"""The message types that recordings are made of, known without a ROS installation."""

from __future__ import annotations

import struct
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

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


# What goes wrong with recordings.


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
