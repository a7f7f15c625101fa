"""Everything the node publishes about a frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from cv_bridge import CvBridge
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from tf2_ros import TransformBroadcaster
from visualization_msgs.msg import MarkerArray

from unipose_ros.codecs.instances import body_index
from unipose_ros.frame import RgbdFrame, Skeletons, TrackState
from unipose_ros.joint_frames import PersonFrames, person_frames, turned_back
from unipose_ros.joint_sets import ITOP15, convert_joints
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.msg import SkeletonArray, SkeletonInfo
from unipose_ros.ros.markers import MarkerBuilder
from unipose_ros.ros.messages import MessagePool, header, info_message, time_message, to_message
from unipose_ros.ros.parameters import NodeConfig
from unipose_ros.ros.synchronizer import OVERRIDABLE_QOS
from unipose_ros.ros.upright import tf_qos
from unipose_ros.visualization.overlay import background, draw_keypoints, draw_skeletons

# Skeletons -> TF: ``body_<id>`` in the camera frame and ``<joint>_<id>`` in the body (REP-155).


def build_transforms(
    skeletons: Skeletons,
    mode: str,
    prefix: str = "",
    frames: Sequence[PersonFrames] | None = None,
    pool: MessagePool[TransformStamped] | None = None,
) -> list[TransformStamped]:
    """All transforms of a frame, to be sent as one message.

    A person without a defined body frame has none, and so has one that is not seen now: a
    frame says where a person is, not where they might be.

    Args:
        mode: ``off``, ``root`` or ``joints``.
        prefix: of all frames' names.
        frames: of all people, where they are known already.
        pool: messages to fill; the transforms are good until the next frame's are built from it.
    """
    if mode == "off":
        return []
    pool = MessagePool(TransformStamped) if pool is None else pool
    pool.begin()
    if frames is None:
        frames = [person_frames(skeletons, index) for index in skeletons]
    seen = [i for i in skeletons if skeletons.states[i] != TrackState.OCCLUDED]
    return [t for i in seen for t in _person(skeletons, i, frames[i], mode == "joints", prefix, pool)]


def _person(
    skeletons: Skeletons,
    index: int,
    frames: PersonFrames,
    with_joints: bool,
    prefix: str,
    pool: MessagePool[TransformStamped],
) -> list[TransformStamped]:
    body = frames.body
    if body is None:
        return []
    name, upright = f"{prefix}body_{skeletons.ids[index]}", frames.box_rotation
    stamp = time_message(skeletons.stamp_ns)
    transforms = [_fill(pool.take(), stamp, skeletons.frame_id, name, body.origin.tolist(), upright.tolist())]
    present = np.flatnonzero(np.isfinite(frames.joints).all(axis=1)) if with_joints else np.zeros(0, np.intp)
    if len(present):
        # Row vectors: multiplying by R from the right is the inverse rotation.
        inside = (skeletons.positions[index, present] - body.origin) @ body.rotation
        turned = turned_back(upright, frames.joints[present])
        for joint, place, turn in zip(present.tolist(), inside.tolist(), turned.tolist(), strict=True):
            frame = f"{prefix}{skeletons.joint_set.joints[joint]}_{skeletons.ids[index]}"
            transforms.append(_fill(pool.take(), stamp, name, frame, place, turn))
    return transforms


def _fill(
    message: TransformStamped, stamp: Time, parent: str, child: str, origin: list[float], turn: list[float]
) -> TransformStamped:
    message.header.stamp, message.header.frame_id, message.child_frame_id = stamp, parent, child
    place, rotation = message.transform.translation, message.transform.rotation
    place.x, place.y, place.z = origin
    rotation.x, rotation.y, rotation.z, rotation.w = turn
    return message


#: Fast DDS confirms only every few seconds, so this is mostly a pause.
_LAST_WORDS = Duration(seconds=0.15)
_BRIDGE = CvBridge()
#: REP-103: y is down in an optical frame, z is up in all others.
_OPTICAL_UP, _LEVEL_UP = (0.0, -1.0, 0.0), (0.0, 0.0, 1.0)


class Publishers:
    """The publishers; silent while the node is not active, as lifecycle publishers are."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node

        def advertise(kind: type, topic: str, depth: int, latched: bool = False) -> Any:
            durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
            profile = QoSProfile(depth=depth, durability=durability)
            return node.create_lifecycle_publisher(kind, f"~/{topic}", profile, qos_overriding_options=OVERRIDABLE_QOS)

        self._skeletons = advertise(SkeletonArray, "skeletons", 10)
        self._info = advertise(SkeletonInfo, "skeleton_info", 1, latched=True)
        self._markers = advertise(MarkerArray, "markers", 10)
        self._image = advertise(Image, "debug/image", 1)
        self._index = advertise(Image, "body_index", 1)
        self._transforms = TransformBroadcaster(node, tf_qos(node, "/tf", "publisher"))
        self._builder = MarkerBuilder()
        self._pool: MessagePool[TransformStamped] = MessagePool(TransformStamped)
        self._last = Skeletons.empty(0, "", "")
        self._described: str | None = None

    def wanted(self, config: NodeConfig) -> bool:
        """Whether any output has a subscriber; every tf2 listener subscribes to TF."""
        topics = (self._skeletons, self._markers, self._image, self._index)
        if any(publisher.get_subscription_count() for publisher in topics):
            return True
        # The node's own subscription, for target_frame or gravity, does not count.
        tf = self._transforms.pub_tf
        own = sum(subscription.topic_name == tf.topic_name for subscription in self._node.subscriptions)
        return bool(config.tf.mode != "off" and tf.get_subscription_count() > own)

    def publish(
        self,
        frame: RgbdFrame,
        people: Skeletons,
        keypoints: Keypoints2D | None,
        config: NodeConfig,
        skeletons: Skeletons,
    ) -> None:
        """Publish a frame's people; what others wait for goes first.

        Args:
            people: in the camera's frame, for TF and the debug image.
            skeletons: the same in the frame of the messages, and of the markers.
        """
        self._last = skeletons
        frames = [person_frames(skeletons, index) for index in skeletons]
        if self._described != skeletons.joint_set.name:
            self._described = skeletons.joint_set.name
            self._info.publish(info_message(header(skeletons), skeletons.joint_set))
        self._skeletons.publish(to_message(skeletons, frames))
        own = frames if people is skeletons or config.tf.mode == "off" else None
        transforms = build_transforms(people, config.tf.mode, config.tf.prefix, own, self._pool)
        if transforms:
            self._transforms.sendTransform(transforms)
        if self._markers.get_subscription_count():
            self._publish_markers(skeletons, config, _OPTICAL_UP if people is skeletons else _LEVEL_UP)
        if self._image.get_subscription_count():
            self._image.publish(debug_image(frame, people, keypoints))
        if frame.depth is not None and self._index.get_subscription_count():
            self._index.publish(body_index_image(frame, people))

    def _publish_markers(self, skeletons: Skeletons, config: NodeConfig, up: tuple[float, float, float]) -> None:
        markers = self._builder.build(skeletons, config.markers, up)
        if markers.markers:
            self._markers.publish(markers)

    def clear(self, stamp_ns: int) -> None:
        """Publish that no person is shown any more."""
        last = self._last
        empty = Skeletons.empty(stamp_ns, last.frame_id, last.modality, last.joint_set)
        self._skeletons.publish(to_message(empty))
        self._markers.publish(self._builder.clear(header(empty)))

    def flush(self) -> None:
        """Give listeners the time to fetch the last messages, for what is on its way when a process ends is lost."""
        for publisher in (self._skeletons, self._markers):
            if publisher.get_subscription_count():
                publisher.wait_for_all_acked(_LAST_WORDS)


def body_index_image(frame: RgbdFrame, people: Skeletons) -> Image:
    """Which person of the skeletons' message each pixel of depth shows: mono8, 0 for none, 1 for the first one.

    Args:
        people: in the camera's frame; who is OCCLUDED is not looked for.

    Raises:
        ValueError: the frame has no depth.
    """
    if frame.depth is None:
        raise ValueError("the frame has no depth")
    joints, _ = convert_joints(people.positions, people.joint_set, ITOP15)
    seen = [person for person in people if people.states[person] != TrackState.OCCLUDED]
    index = body_index(frame.camera, frame.depth, joints, seen)
    message: Image = _BRIDGE.cv2_to_imgmsg(index, "mono8", header(people))
    return message


def debug_image(frame: RgbdFrame, skeletons: Skeletons, keypoints: Keypoints2D | None) -> Image:
    """What the 2D network saw (white) and the skeletons projected back into the image."""
    image = background(frame)
    if keypoints is not None:
        draw_keypoints(image, keypoints)
    draw_skeletons(image, skeletons, frame.camera)
    message: Image = _BRIDGE.cv2_to_imgmsg(image, "rgb8", header(skeletons))
    return message
