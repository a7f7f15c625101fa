"""Skeletons beside a running node: what can be read is handed on, what cannot is warned of and dropped."""

from __future__ import annotations

import pytest
from rclpy.node import Node

from unipose_ros.frame import Skeletons
from unipose_ros.ros.bag_recorder import subscribe_skeletons
from unipose_ros.ros.messages import to_message

pytestmark = pytest.mark.ros


def test_a_message_of_an_unknown_joint_set_is_dropped(node: Node) -> None:
    taken: list[Skeletons] = []
    subscribe_skeletons(node, "skeletons", taken.append)
    (subscription,) = (each for each in node.subscriptions if each.topic_name == "/skeletons")
    message = to_message(Skeletons.empty(1_000_000_000, "camera", "points"))
    subscription.callback(message)
    message.joint_set = "unknown"
    subscription.callback(message)
    assert [people.stamp_ns for people in taken] == [1_000_000_000]
