"""Where up is for a camera, from the transforms that a robot publishes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from tf2_msgs.msg import TFMessage
from tf_transformations import quaternion_matrix

from unipose_ros.ros.transforms import tf_qos

#: Longer chains are loops.
_MOST_FRAMES = 100


class UpTree:
    """The newest rotations of a tree of frames.

    Only the newest are kept: a mounting is a quarter of a turn, which does not change between an image and its
    transform.
    """

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, NDArray[np.float64]]] = {}

    def add(self, transforms: Iterable[Any]) -> None:
        """Take ``TransformStamped`` messages."""
        for transform in transforms:
            q = transform.transform.rotation
            quaternion = np.array([q.x, q.y, q.z, q.w])
            if np.isfinite(quaternion).all() and np.linalg.norm(quaternion) > 0:
                parent, child = (name.lstrip("/") for name in (transform.header.frame_id, transform.child_frame_id))
                self._parents[child] = parent, quaternion_matrix(quaternion)[:3, :3]

    def up_in(self, frame_id: str, level: str = "") -> NDArray[np.float64] | None:
        """(3,) direction away from the ground, in a frame; ``None`` where no transform leads from it to a level one.

        Args:
            level: a frame whose z points up (REP-103); empty for the one above all others (``map``, ``odom``,
                ``base_link``).
        """
        rotation, name = np.eye(3), frame_id.lstrip("/")
        for _ in range(_MOST_FRAMES):
            if name == level.lstrip("/") or name not in self._parents:
                break
            name, step = self._parents[name]
            rotation = step @ rotation
        reached = name == level.lstrip("/") if level else name != frame_id.lstrip("/") and name not in self._parents
        return np.asarray(rotation.T @ [0.0, 0.0, 1.0]) if reached else None


class GravityWatch:
    """Listens to ``/tf`` and ``/tf_static`` from construction to :meth:`close`."""

    def __init__(self, node: Node) -> None:
        self.tree = UpTree()
        self._node = node
        self._subscriptions = [
            node.create_subscription(
                TFMessage, topic, lambda message: self.tree.add(message.transforms), tf_qos(node, topic, "subscription")
            )
            for topic in ("/tf", "/tf_static")
        ]

    def close(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
