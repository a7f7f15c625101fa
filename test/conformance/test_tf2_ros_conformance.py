"""What unipose_ros expects of tf2_ros: true of the real package and of the stand-in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

rclpy = pytest.importorskip("rclpy")
tf2_ros = pytest.importorskip("tf2_ros")
from geometry_msgs.msg import TransformStamped  # noqa: E402
from rclpy.duration import Duration  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from rclpy.time import Time  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

pytestmark = pytest.mark.ros
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def node() -> Iterator[Any]:
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("tf_conformance", context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def listen(node: Any, topic: str, qos: Any) -> list[TFMessage]:
    heard: list[TFMessage] = []
    node.create_subscription(TFMessage, topic, heard.append, qos)
    return heard


def wait(node: Any, done: Callable[[], bool]) -> None:
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    for _ in range(100):
        if done():
            break
        executor.spin_once(timeout_sec=0.1)
    executor.remove_node(node)


def transform(child: str, x: float = 0.0) -> TransformStamped:
    message = TransformStamped()
    message.header.frame_id = "camera"
    message.child_frame_id = child
    message.transform.translation.x = x
    message.transform.rotation.w = 1.0
    return message


def children(message: TFMessage) -> list[str]:
    return [t.child_frame_id for t in message.transforms]


def test_several_transforms_are_one_message(node: Any) -> None:
    broadcaster = tf2_ros.TransformBroadcaster(node)
    heard = listen(node, "/tf", 100)
    wait(node, lambda: broadcaster.pub_tf.get_subscription_count() == 1)
    broadcaster.sendTransform([transform("a", 1.5), transform("b")])
    wait(node, lambda: bool(heard))
    assert [children(message) for message in heard] == [["a", "b"]]
    assert heard[0].transforms[0].transform.translation.x == 1.5


def test_one_transform_or_any_iterable_will_do(node: Any) -> None:
    broadcaster = tf2_ros.TransformBroadcaster(node)
    heard = listen(node, "/tf", 100)
    wait(node, lambda: broadcaster.pub_tf.get_subscription_count() == 1)
    broadcaster.sendTransform(transform("single"))
    broadcaster.sendTransform(t for t in [transform("a"), transform("b")])
    wait(node, lambda: len(heard) == 2)
    assert [children(message) for message in heard] == [["single"], ["a", "b"]]


def test_an_empty_list_is_an_empty_message(node: Any) -> None:
    broadcaster = tf2_ros.TransformBroadcaster(node)
    heard = listen(node, "/tf", 100)
    wait(node, lambda: broadcaster.pub_tf.get_subscription_count() == 1)
    broadcaster.sendTransform([])
    wait(node, lambda: bool(heard))
    assert [children(message) for message in heard] == [[]]


def test_tf_is_global_and_reliable_with_a_deep_queue(node: Any) -> None:
    broadcaster = tf2_ros.TransformBroadcaster(node)
    assert broadcaster.pub_tf.topic_name == "/tf"
    assert broadcaster.pub_tf.qos_profile.depth == 100
    assert broadcaster.pub_tf.qos_profile.reliability == ReliabilityPolicy.RELIABLE


@pytest.mark.parametrize("qos", [7, QoSProfile(depth=7, reliability=ReliabilityPolicy.BEST_EFFORT)])
def test_qos_can_be_given_as_a_depth_or_a_profile(node: Any, qos: Any) -> None:
    broadcaster = tf2_ros.TransformBroadcaster(node, qos=qos)
    assert broadcaster.pub_tf.qos_profile.depth == 7


def test_static_transforms_accumulate_and_reach_late_listeners(node: Any) -> None:
    broadcaster = tf2_ros.StaticTransformBroadcaster(node)
    broadcaster.sendTransform(transform("a"))
    broadcaster.sendTransform([transform("b"), transform("c")])
    heard = listen(node, "/tf_static", LATCHED)
    wait(node, lambda: bool(heard))
    assert [children(message) for message in heard] == [["a", "b", "c"]]


def test_a_static_child_is_sent_once(node: Any) -> None:
    broadcaster = tf2_ros.StaticTransformBroadcaster(node)
    broadcaster.sendTransform([transform("a"), transform("a")])
    broadcaster.sendTransform(transform("a"))
    heard = listen(node, "/tf_static", LATCHED)
    wait(node, lambda: bool(heard))
    assert [children(message) for message in heard] == [["a"]]


# The buffer


def moved(child: str, parent: str, x: float, seconds: float, yaw: float = 0.0) -> TransformStamped:
    message = transform(child, x)
    message.header.frame_id = parent
    message.header.stamp = Time(nanoseconds=round(seconds * 1e9)).to_msg()
    message.transform.rotation.z, message.transform.rotation.w = math.sin(yaw / 2), math.cos(yaw / 2)
    return message


def test_a_chain_is_looked_up_at_a_time_between_two() -> None:
    buffer = tf2_ros.Buffer()
    buffer.set_transform_static(moved("camera", "base", 0.5, 0.0), "test")
    buffer.set_transform(moved("base", "map", 1.0, 10.0), "test")
    buffer.set_transform(moved("base", "map", 3.0, 11.0, yaw=1.0), "test")
    found = buffer.lookup_transform("map", "camera", Time(nanoseconds=10_500_000_000)).transform
    assert found.rotation.z == pytest.approx(math.sin(0.25), abs=1e-6)
    assert found.translation.x == pytest.approx(2.0 + 0.5 * math.cos(0.5), abs=1e-6)
    back = buffer.lookup_transform("camera", "map", Time(nanoseconds=10_000_000_000)).transform
    assert back.translation.x == pytest.approx(-1.5, abs=1e-6)


def test_what_is_not_known_is_refused_after_the_timeout() -> None:
    buffer = tf2_ros.Buffer()
    buffer.set_transform(moved("base", "map", 1.0, 10.0), "test")
    buffer.set_transform(moved("base", "map", 1.0, 11.0), "test")
    for target, source, seconds in (("map", "base", 11.5), ("map", "base", 9.0), ("map", "camera", 10.5)):
        with pytest.raises(tf2_ros.TransformException):
            buffer.lookup_transform(
                target, source, Time(nanoseconds=round(seconds * 1e9)), timeout=Duration(seconds=0.01)
            )


def test_clearing_keeps_what_does_not_move() -> None:
    buffer = tf2_ros.Buffer()
    buffer.set_transform_static(moved("camera", "base", 0.5, 0.0), "test")
    buffer.set_transform(moved("base", "map", 1.0, 10.0), "test")
    buffer.clear()
    buffer.lookup_transform("base", "camera", Time(nanoseconds=5))
    with pytest.raises(tf2_ros.TransformException):
        buffer.lookup_transform("map", "base", Time(nanoseconds=10_000_000_000))


def test_the_listener_fills_the_buffer(node: Any) -> None:
    buffer = tf2_ros.Buffer()
    listener = tf2_ros.TransformListener(buffer, node)
    still, moving = tf2_ros.StaticTransformBroadcaster(node), tf2_ros.TransformBroadcaster(node)
    wait(node, lambda: moving.pub_tf.get_subscription_count() == 1)
    still.sendTransform(moved("camera", "base", 0.5, 0.0))
    moving.sendTransform(moved("base", "map", 1.0, 10.0))

    def known() -> bool:
        try:
            buffer.lookup_transform("map", "camera", Time(nanoseconds=10_000_000_000))
        except tf2_ros.TransformException:
            return False
        return True

    wait(node, known)
    assert known()
    listener.unregister()
    assert moving.pub_tf.get_subscription_count() == 0 or node.count_subscribers("/tf") == 0
