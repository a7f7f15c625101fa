"""The robot's transforms: tf2's buffer, listened to only where something needs it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from tf2_ros import Buffer, TransformException, TransformListener
from tf_transformations import quaternion_matrix

from unipose_ros.ros.synchronizer import overridden_qos
from unipose_ros.transforms import TransformError

Matrix = NDArray[np.float64]


def tf_qos(node: Node, topic: str, entity: str) -> QoSProfile:
    """QoS of ``/tf`` or ``/tf_static`` as tf2_ros has it, unless the user overrides it."""
    durability = DurabilityPolicy.TRANSIENT_LOCAL if topic == "/tf_static" else DurabilityPolicy.VOLATILE
    return overridden_qos(node, node.resolve_topic_name(topic), entity, QoSProfile(depth=100, durability=durability))


class Transforms:
    """Looks transforms up at a time, waiting for them no longer than told.

    The listener is made by :meth:`begin` once a look-up was asked for: a robot's ``/tf`` costs a Python node more than
    the people in an image, and most set-ups need none of it. :meth:`begin` and :meth:`close` belong to the executor's
    thread, :meth:`lookup` to the worker's.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._wanted = False
        self._buffer: Any = None
        self._listener: Any = None

    def want(self) -> None:
        """Let the next :meth:`begin` listen."""
        self._wanted = True

    def begin(self) -> None:
        """Listen from now on, if asked for."""
        if self._wanted and self._buffer is None:
            buffer = Buffer()
            self._listener = TransformListener(
                buffer, self._node,
                qos=tf_qos(self._node, "/tf", "subscription"),
                static_qos=tf_qos(self._node, "/tf_static", "subscription"),
            )  # fmt: skip
            self._buffer = buffer

    def lookup(self, target: str, source: str, stamp_ns: int, timeout: float = 0.0) -> Matrix:
        """(4, 4) that takes points of the source frame to the target frame, meters.

        Args:
            timeout: seconds to wait at most.

        Raises:
            TransformError: it is not known.
        """
        if self._buffer is None:
            self._wanted = True
            raise TransformError("the node begins to listen to /tf")
        time, wait = Time(nanoseconds=stamp_ns), Duration(seconds=timeout)
        try:
            found = self._buffer.lookup_transform(target, source, time, timeout=wait).transform
        except TransformException as error:
            raise TransformError(str(error)) from error
        t, q = found.translation, found.rotation
        matrix = quaternion_matrix((q.x, q.y, q.z, q.w))
        matrix[:3, 3] = t.x, t.y, t.z
        return np.asarray(matrix, np.float64)

    def clear(self) -> None:
        """Time has jumped: forget what moves."""
        if self._buffer is not None:
            self._buffer.clear()

    def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.unregister()
        self._buffer = self._listener = None
