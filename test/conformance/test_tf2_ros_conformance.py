"""What unipose_ros expects of tf2_ros: true of the real package and of the stand-in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

rclpy = pytest.importorskip("rclpy")
tf2_ros = pytest.importorskip("tf2_ros")
from geometry_msgs.msg import TransformStamped  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
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
