"""Skeletons -> message -> skeletons loses nothing."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from ros_samples import FRAME, STAMP, people

from unipose_ros.frame import FrameError
from unipose_ros.joint_sets import JointSetError
from unipose_ros.msg import SkeletonArray
from unipose_ros.ros.messages import from_message, to_message

pytestmark = pytest.mark.ros


@pytest.mark.parametrize("ids", [(), ("abcde",), ("abcde", "zzzzz")])
@pytest.mark.parametrize("with_covariances", [False, True])
def test_round_trip_over_the_wire(ids: tuple[str, ...], with_covariances: bool) -> None:
    covariances = np.arange(len(ids) * 90, dtype=np.float32).reshape(len(ids), 15, 6)
    skeletons = people(*ids, covariances=covariances if with_covariances and ids else None)
    wire = serialize_message(to_message(skeletons))
    back = from_message(deserialize_message(wire, SkeletonArray))
    for field in fields(skeletons):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(skeletons, field.name))


def test_header_and_constants() -> None:
    message = to_message(people("abcde"))
    assert message.header.frame_id == FRAME
    assert message.header.stamp.sec * 10**9 + message.header.stamp.nanosec == STAMP
    assert message.skeletons[0].state == message.skeletons[0].TRACKED
    assert set(message.skeletons[0].status) == {0, 1, 2}


def test_messages_that_cannot_be_read_say_why() -> None:
    message = to_message(people("abcde"))
    message.skeletons[0].confidences = message.skeletons[0].confidences[:3]
    with pytest.raises(FrameError, match="confidences: 3 values for 15 joints"):
        from_message(message)
    message.joint_set = "itop16"
    with pytest.raises(JointSetError, match="itop16"):
        from_message(message)
