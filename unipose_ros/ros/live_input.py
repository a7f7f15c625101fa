"""What commands beside a running node take in: the camera's topics, and the node's skeletons."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.node import Node

from unipose_ros.frame import Skeletons
from unipose_ros.joint_sets import JointSetError
from unipose_ros.msg import SkeletonArray
from unipose_ros.ros.messages import from_message
from unipose_ros.ros.synchronizer import OVERRIDABLE_QOS

_DEPTH = 10
#: Role -> topic of a RealSense camera with depth aligned to color.
DEFAULT_TOPICS = {
    "color": "/camera/camera/color/image_raw/compressed",
    "color_info": "/camera/camera/color/camera_info",
    "depth": "/camera/camera/aligned_depth_to_color/image_raw/compressedDepth",
    "depth_info": "/camera/camera/aligned_depth_to_color/camera_info",
}


def add_live_topics(parser: argparse.ArgumentParser) -> None:
    """Options for the topics of :data:`DEFAULT_TOPICS`, and ``--skeletons``."""
    for role, topic in DEFAULT_TOPICS.items():
        parser.add_argument("--" + role.replace("_", "-"), default=topic, metavar="TOPIC", help="default: %(default)s")
    parser.add_argument(
        "--skeletons", default="/unipose/skeletons", metavar="TOPIC", help="of the running node (default: %(default)s)"
    )


def recorded_topics(options: argparse.Namespace, further: Sequence[str] = ()) -> dict[str, str | None]:
    """Topics to record, of any type: those of :func:`add_live_topics`, further ones and the transforms."""
    names = [getattr(options, role) for role in DEFAULT_TOPICS]
    return dict.fromkeys([*names, *further, "/tf", "/tf_static"])


def subscribe_skeletons(node: Node, topic: str, take: Callable[[Skeletons], object]) -> None:
    """Hand the people of every message to ``take``; messages that cannot be read are warned of."""

    def on_message(message: Any) -> None:
        try:
            people = from_message(message)
        except (JointSetError, ValueError) as error:
            node.get_logger().warning(f"skeletons cannot be read: {error}", throttle_duration_sec=10.0)
            return
        take(people)

    node.create_subscription(SkeletonArray, topic, on_message, _DEPTH, qos_overriding_options=OVERRIDABLE_QOS)
