"""Calibrations come as often as images, and are read now and then."""

from __future__ import annotations

import time

import pytest
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo

from unipose_ros.ros.monitoring import Statistics, ThrottledLogger
from unipose_ros.ros.subscriptions import CalibrationSubscription, RestingGroup, calibration_qos

pytestmark = pytest.mark.ros


def test_a_group_rests_after_a_message_for_its_time(node: Node) -> None:
    now = [10.0]
    group = RestingGroup(0.2, lambda: now[0])
    entity = node.create_timer(1.0, lambda: None, callback_group=group)
    assert group.can_execute(entity)
    group.rest()
    for at, expected in ((10.0, False), (10.19, False), (10.2, True), (11.0, True)):
        now[0] = at
        assert group.can_execute(entity) == expected


def test_of_many_calibrations_the_first_and_the_newest_are_read(node: Node) -> None:
    got: list[int] = []
    reporter = ThrottledLogger(node.get_logger(), Statistics())
    subscription = CalibrationSubscription(
        node, "color/camera_info", lambda info: got.append(info.width), reporter, calibration_qos()
    )
    publisher = node.create_publisher(CameraInfo, "color/camera_info", 10)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    until, sent = time.monotonic() + 10, 0
    while not got and time.monotonic() < until:
        sent += 1
        publisher.publish(CameraInfo(width=sent))
        executor.spin_once(timeout_sec=0.01)
    subscription._group.rest()
    for width in range(100, 110):
        publisher.publish(CameraInfo(width=width))
    while len(got) < 2 and time.monotonic() < until:
        executor.spin_once(timeout_sec=0.01)
    assert got[1:] == [109]
    executor.remove_node(node)
    subscription.close()
