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
from unipose_ros.recordings.messages import read_skeletons, skeleton_array
from unipose_ros.recordings.types import SKELETON_ARRAY, message_types
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
    with pytest.raises(FrameError, match=r"abcde.*confidences.* 3 "):
        from_message(message)
    message.joint_set = "itop16"
    with pytest.raises(JointSetError, match="itop16"):
        from_message(message)


@pytest.mark.parametrize("with_covariances", [False, True])
def test_ros_reads_what_recordings_hold_and_the_other_way_round(with_covariances: bool) -> None:
    covariances = np.arange(180, dtype=np.float32).reshape(2, 15, 6) if with_covariances else None
    skeletons = people("abcde", "zzzzz", covariances=covariances)
    recorded = bytes(message_types().serialize_cdr(skeleton_array(skeletons), SKELETON_ARRAY))
    published = serialize_message(to_message(skeletons))
    assert len(recorded) == len(published)
    for back in (
        from_message(deserialize_message(recorded, SkeletonArray)),
        read_skeletons(message_types().deserialize_cdr(published, SKELETON_ARRAY)),
        read_skeletons(to_message(skeletons)),
    ):
        for field in fields(skeletons):
            np.testing.assert_array_equal(getattr(back, field.name), getattr(skeletons, field.name))


def test_a_person_without_covariances_beside_one_with_them() -> None:
    message = to_message(people("abcde", "zzzzz", covariances=np.ones((2, 15, 6), np.float32)))
    message.skeletons[1].covariances = message.skeletons[1].covariances[:0]
    found = from_message(message).covariances
    assert found is not None
    assert (found[0] == 1).all()
    assert np.isnan(found[1]).all()
