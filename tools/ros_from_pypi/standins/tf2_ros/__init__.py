"""Stand-in for ``tf2_ros``: the two broadcasters, the buffer and the listener."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile
from rclpy.time import Time
from scipy.spatial.transform import Rotation
from tf2_msgs.msg import TFMessage

from unipose_ros.transforms import TransformError, TransformTree

__all__ = ["Buffer", "StaticTransformBroadcaster", "TransformBroadcaster", "TransformException", "TransformListener"]


class TransformException(Exception):  # noqa: N818 - tf2's name
    """Two frames are not connected at a time."""


class Buffer:
    """Transforms of the last ten seconds, from one thread to others."""

    def __init__(self, cache_time: Duration | None = None) -> None:
        self._tree = TransformTree(10.0 if cache_time is None else cache_time.nanoseconds * 1e-9)
        self._lock = threading.Lock()

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Take a transform at a time."""
        with self._lock:
            self._tree.add([transform])

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Take a transform that holds at any time."""
        with self._lock:
            self._tree.add([transform], static=True)

    def clear(self) -> None:
        """Forget what moves."""
        with self._lock:
            self._tree.clear()

    def lookup_transform(
        self, target_frame: str, source_frame: str, time: Time, timeout: Duration | None = None
    ) -> TransformStamped:
        """The source frame's pose in the target frame.

        Raises:
            TransformException: it does not come to be known within the timeout.
        """
        end = _now() + (0 if timeout is None else timeout.nanoseconds)
        while True:
            try:
                with self._lock:
                    matrix = self._tree.lookup(target_frame, source_frame, time.nanoseconds)
                break
            except TransformError as error:
                if _now() >= end:
                    raise TransformException(str(error)) from error
            _wait()
        found = TransformStamped(child_frame_id=source_frame)
        found.header.frame_id, found.header.stamp = target_frame, time.to_msg()
        x, y, z, w = (float(value) for value in Rotation.from_matrix(matrix[:3, :3]).as_quat())
        rotation, place = found.transform.rotation, found.transform.translation
        rotation.x, rotation.y, rotation.z, rotation.w = x, y, z, w
        place.x, place.y, place.z = (float(value) for value in matrix[:3, 3])
        return found


def _now() -> int:
    return time.monotonic_ns()


def _wait() -> None:
    time.sleep(0.002)


class TransformListener:
    """Fills a buffer from ``/tf`` and ``/tf_static`` until :meth:`unregister`."""

    def __init__(
        self, buffer: Buffer, node: Node, *, qos: QoSProfile | None = None, static_qos: QoSProfile | None = None
    ) -> None:
        self.buffer, self.node = buffer, node
        latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL, history=HistoryPolicy.KEEP_LAST)
        self.tf_sub = node.create_subscription(TFMessage, "/tf", self.callback, qos or QoSProfile(depth=100))
        self.tf_static_sub = node.create_subscription(
            TFMessage, "/tf_static", self.static_callback, static_qos or latched
        )

    def callback(self, data: TFMessage) -> None:
        """Take what moves."""
        for transform in data.transforms:
            self.buffer.set_transform(transform, "default_authority")

    def static_callback(self, data: TFMessage) -> None:
        """Take what does not."""
        for transform in data.transforms:
            self.buffer.set_transform_static(transform, "default_authority")

    def unregister(self) -> None:
        """Stop listening."""
        self.node.destroy_subscription(self.tf_sub)
        self.node.destroy_subscription(self.tf_static_sub)


def _as_list(transform: TransformStamped | Iterable[TransformStamped]) -> list[TransformStamped]:
    return [transform] if isinstance(transform, TransformStamped) else list(transform)


class TransformBroadcaster:
    """Publishes transforms on ``/tf``, reliable with depth 100 unless told otherwise."""

    def __init__(self, node: Node, qos: QoSProfile | int | None = None) -> None:
        self.pub_tf = node.create_publisher(TFMessage, "/tf", QoSProfile(depth=100) if qos is None else qos)

    def sendTransform(self, transform: TransformStamped | Iterable[TransformStamped]) -> None:
        """Send one transform, or several as one message."""
        self.pub_tf.publish(TFMessage(transforms=_as_list(transform)))


class StaticTransformBroadcaster:
    """Publishes transforms on the latched ``/tf_static``; every message carries all of them so far."""

    def __init__(self, node: Node, qos: QoSProfile | int | None = None) -> None:
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, history=HistoryPolicy.KEEP_LAST)
        self.pub_tf = node.create_publisher(TFMessage, "/tf_static", latched if qos is None else qos)
        self.net_message = TFMessage()

    def sendTransform(self, transform: TransformStamped | Iterable[TransformStamped]) -> None:
        """Add transforms and publish all; as in Jazzy, the first one of a child frame stays."""
        known = {sent.child_frame_id for sent in self.net_message.transforms}
        for added in _as_list(transform):
            if added.child_frame_id not in known:
                known.add(added.child_frame_id)
                self.net_message.transforms.append(added)
        self.pub_tf.publish(self.net_message)
