"""The message types that recordings are made of, known without a ROS installation."""

from __future__ import annotations

from functools import cache
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from unipose_ros.recordings.errors import RecordingError
from unipose_ros.resources import resource_path

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
POINT_CLOUD = "sensor_msgs/msg/PointCloud2"
SKELETON = "unipose_ros/msg/Skeleton"
SKELETON_ARRAY = "unipose_ros/msg/SkeletonArray"


@cache
def message_types() -> Typestore:
    """The types of ROS 2 Jazzy, and our own as the package's ``msg/*.msg`` texts define them."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name in (SKELETON, SKELETON_ARRAY):
        text = resource_path("msg", f"{name.rpartition('/')[2]}.msg").read_text(encoding="utf-8")
        store.register(get_types_from_msg(text, name))
    return store


def message_class(name: str) -> Any:
    """The dataclass that stands for a message type.

    Raises:
        RecordingError: the type is neither in ROS 2 Jazzy nor ours.
    """
    types = message_types().types
    if name not in types:
        raise RecordingError(f"message type '{name}' is unknown: it is not part of ROS 2 Jazzy or of unipose_ros")
    return types[name]
