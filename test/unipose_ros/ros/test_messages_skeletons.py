"""Skeletons -> message -> skeletons loses nothing."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from ros_samples import FRAME, LEFT_HAND, STAMP, people
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from unipose_ros.frame import FrameError
from unipose_ros.joint_sets import ITOP15, JointSetError
from unipose_ros.msg import Skeleton, SkeletonArray
from unipose_ros.recordings.messages import SKELETON_ARRAY, message_types, read_skeletons, skeleton_array
from unipose_ros.ros.messages import from_message, info_message, to_message
from unipose_ros.ros.publishers import transforms_message

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


def test_velocities_and_boxes_go_over_the_wire() -> None:
    velocities = np.array([[0.5, 0, -1], [np.nan] * 3], np.float32)
    skeletons = people("abcde", "zzzzz", velocities=velocities)
    message = deserialize_message(serialize_message(to_message(skeletons)), SkeletonArray)
    np.testing.assert_array_equal(from_message(message).velocities, velocities)
    first = message.skeletons[0]
    assert (first.velocity.x, first.velocity.z) == (0.5, -1)
    # REP-103 axes of a person who faces the camera: z, to the head, is against y.
    assert first.box_size.z == pytest.approx(1.65 + 0.2, abs=1e-5)
    assert first.box_pose.position.z == pytest.approx(3.0, abs=1e-5)
    assert len(first.orientations) == 60


def test_orientations_are_those_of_tf() -> None:
    skeletons = people("abcde")
    quaternions = np.array(to_message(skeletons).skeletons[0].orientations).reshape(15, 4)
    body, *joints = deserialize_message(transforms_message(skeletons, "joints"), TFMessage).transforms
    for each in joints:
        joint = ITOP15.index(each.child_frame_id.rpartition("_")[0])
        chained = rotation(body) * rotation(each)
        assert (chained.inv() * Rotation.from_quat(quaternions[joint])).magnitude() < 1e-5
    assert np.isnan(quaternions[LEFT_HAND]).all()


def rotation(transform: object) -> Rotation:
    q = transform.transform.rotation  # type: ignore[attr-defined]
    return Rotation.from_quat([q.x, q.y, q.z, q.w])


def test_the_constants_are_the_joints_of_itop15_and_info_has_their_names() -> None:
    assert [getattr(Skeleton, joint.upper()) for joint in ITOP15.joints] == list(range(15))
    info = info_message(Header(), ITOP15)
    assert list(info.joints) == list(ITOP15.joints)
    assert [info.joints[k] for k in info.mirror][3] == "right_shoulder"
    assert info.parents[Skeleton.HEAD] == Skeleton.NECK


@pytest.mark.parametrize("people_count", [0, 1, 5])
def test_size_of_a_message(people_count: int) -> None:
    """What docs/reference/node.md says."""
    ids = [chr(97 + k) * 5 for k in range(people_count)]
    covariances = np.ones((people_count, 15, 6), np.float32) if people_count else None
    wire = serialize_message(to_message(people(*ids, covariances=covariances)))
    assert abs(len(wire) - (76 + 1008 * people_count)) < 20


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
