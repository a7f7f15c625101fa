"""body_<id> and its joints put every joint back where it was seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import Transform, TransformStamped
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from ros_samples import FRAME, LEFT_HAND, STAMP, people
from scipy.spatial.transform import Rotation
from tf2_msgs.msg import TFMessage

from unipose_ros.frame import TrackState
from unipose_ros.joint_sets import ITOP15
from unipose_ros.ros.parameters import ParameterError
from unipose_ros.ros.publishers import transforms_message
from unipose_ros.ros.upright import tf_qos

pytestmark = pytest.mark.ros


def transforms_of(*arguments: Any) -> list[TransformStamped]:
    """Those of a message as it is published."""
    return list(deserialize_message(transforms_message(*arguments), TFMessage).transforms)


def matrix(transform: Transform) -> np.ndarray:
    q, t = transform.rotation, transform.translation
    result = np.eye(4)
    result[:3, :3] = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()
    result[:3, 3] = t.x, t.y, t.z
    return result


def test_chained_transforms_give_the_joints_in_the_camera_frame() -> None:
    skeletons = people("abcde", "fghij")
    turned = Rotation.from_euler("y", 0.7).as_matrix().astype(np.float32)
    skeletons = people("abcde", "fghij", positions=(skeletons.positions @ turned.T).astype(np.float32))
    transforms = {t.child_frame_id: t for t in transforms_of(skeletons, "joints")}
    assert len(transforms) == 2 * (1 + 14)
    for person, name in enumerate(skeletons.ids):
        body = transforms[f"body_{name}"]
        assert body.header.frame_id == FRAME
        for joint in set(range(15)) - {LEFT_HAND}:
            child = transforms[f"{ITOP15.joints[joint]}_{name}"]
            assert child.header.frame_id == f"body_{name}"
            placed = (matrix(body.transform) @ matrix(child.transform))[:3, 3]
            np.testing.assert_allclose(placed, skeletons.positions[person, joint], atol=1e-5)


def test_body_looks_out_of_the_chest_with_the_head_up() -> None:
    (body,) = transforms_of(people("abcde"), "root")
    axes = matrix(body.transform)[:3, :3]
    np.testing.assert_allclose(axes[:, 0], [0, 0, -1], atol=1e-6)  # forward, at the camera that is faced
    np.testing.assert_allclose(axes[:, 1], [1, 0, 0], atol=1e-6)  # to the person's left
    np.testing.assert_allclose(axes[:, 2], [0, -1, 0], atol=1e-6)  # to the head
    stamp = body.header.stamp
    assert stamp.sec * 10**9 + stamp.nanosec == STAMP


def test_no_frames_for_those_who_are_not_seen_or_have_no_trunk() -> None:
    assert transforms_message(people("abcde"), "off") is None
    hidden = people("abcde", "fghij", states=np.array([TrackState.OCCLUDED, TrackState.NEW], np.uint8))
    assert [t.child_frame_id for t in transforms_of(hidden, "root")] == ["body_fghij"]
    positions = people("abcde").positions.copy()
    positions[:, 2:] = np.nan  # head and neck only
    assert transforms_message(people("abcde", positions=positions), "joints") is None


def test_a_prefix_keeps_the_frames_of_two_cameras_apart() -> None:
    names = {transform.child_frame_id for transform in transforms_of(people("abcde"), "joints", "front_")}
    assert "front_body_abcde" in names
    assert "front_head_abcde" in names
    assert all(name.startswith("front_") for name in names)


def test_the_qos_of_tf_is_the_users() -> None:
    context = rclpy.Context()
    rclpy.init(context=context, args=[])
    overrides = {"publisher.reliability": "best_effort", "publisher.depth": 7, "subscription.durability": "sometimes"}
    node = rclpy.create_node(
        "robot", context=context,
        parameter_overrides=[Parameter(f"qos_overrides./tf.{name}", value=value) for name, value in overrides.items()],
    )  # fmt: skip
    try:
        for _ in range(2):  # a node that is activated again asks again
            profile = tf_qos(node, "/tf", "publisher")
            assert (profile.depth, profile.reliability) == (7, ReliabilityPolicy.BEST_EFFORT)
            assert profile.durability == DurabilityPolicy.VOLATILE
        with pytest.raises(ParameterError, match=r"subscription\.durability = 'sometimes': use one of .*volatile"):
            tf_qos(node, "/tf", "subscription")
        assert tf_qos(node, "/tf_static", "subscription").durability == DurabilityPolicy.TRANSIENT_LOCAL
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)
