"""Everything the node publishes about a frame."""

from __future__ import annotations

from functools import lru_cache
from itertools import compress
from typing import Any

import numpy as np
from cv_bridge import CvBridge
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage
from tf2_ros import TransformBroadcaster
from visualization_msgs.msg import MarkerArray

from unipose_ros.codecs.instances import body_index
from unipose_ros.frame import RgbdFrame, Skeletons, TrackState
from unipose_ros.joint_frames import PeopleFrames, people_frames, turned_back
from unipose_ros.joint_sets import ITOP15, convert_joints
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.msg import SkeletonArray, SkeletonInfo
from unipose_ros.ros.markers import MarkerBuilder
from unipose_ros.ros.messages import header, info_message, to_message
from unipose_ros.ros.parameters import NodeConfig
from unipose_ros.ros.prepared import BLANK, Element, ListOf, blank_header
from unipose_ros.ros.synchronizer import OVERRIDABLE_QOS
from unipose_ros.ros.upright import tf_qos
from unipose_ros.visualization.overlay import background, draw_keypoints, draw_skeletons

# Skeletons -> TF: ``body_<id>`` in the camera frame and ``<joint>_<id>`` in the body (REP-155).

_TRANSFORMS = ListOf(lambda transforms: TFMessage(transforms=transforms))


def transforms_message(
    skeletons: Skeletons, mode: str, prefix: str = "", frames: PeopleFrames | None = None
) -> bytes | TFMessage | None:
    """All transforms of a frame as :meth:`ListOf.serialize` makes them; ``None`` without any.

    A person without a defined body frame has none, and so has one that is not seen now: a
    frame says where a person is, not where they might be.

    Args:
        mode: ``off``, ``root`` or ``joints``.
        prefix: of all frames' names.
        frames: of all people, where they are known already.
    """
    if mode == "off" or not len(skeletons):
        return None
    frames = people_frames(skeletons) if frames is None else frames
    joints = frames.joints if mode == "joints" else frames.joints[:, :0]
    shown = np.empty((len(skeletons), 1 + joints.shape[1]), np.bool_)
    shown[:, 0] = frames.known & (skeletons.states != int(TrackState.OCCLUDED))
    shown[:, 1:] = shown[:, :1] & np.isfinite(joints[:, :, 0])
    poses = np.empty((*shown.shape, 7))
    poses[:, 0, :3], poses[:, 0, 3:] = frames.origins, frames.box_rotations
    if joints.size:
        # Row vectors: multiplying by R from the right is the inverse rotation.
        poses[:, 1:, :3] = (skeletons.positions - frames.origins[:, None]) @ frames.rotations
        poses[:, 1:, 3:] = turned_back(frames.box_rotations, joints)
    elements: list[Element] = []
    for name, row in zip(skeletons.ids, shown.tolist(), strict=True):
        elements += compress(_frames_of(skeletons.frame_id, prefix, name, skeletons.joint_set.joints), row)
    return _TRANSFORMS.serialize(elements, skeletons.stamp_ns, poses[shown], np.zeros(0)) if elements else None


@lru_cache(maxsize=256)
def _frames_of(frame_id: str, prefix: str, person_id: str, joints: tuple[str, ...]) -> tuple[Element, ...]:
    """The transforms of one person: body and joints."""
    body = f"{prefix}body_{person_id}"
    children = [f"{prefix}{joint}_{person_id}" for joint in joints]
    return tuple(_frame(*names) for names in [(frame_id, body), *((body, child) for child in children)])


def _frame(parent: str, child: str) -> Element:
    place, turn = Vector3(x=BLANK, y=BLANK, z=BLANK), Quaternion(x=BLANK, y=BLANK, z=BLANK, w=BLANK)
    return _TRANSFORMS.prepare(
        TransformStamped(
            header=blank_header(parent), child_frame_id=child, transform=Transform(translation=place, rotation=turn)
        )
    )


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
        frames = people_frames(skeletons)
        if self._described != skeletons.joint_set.name:
            self._described = skeletons.joint_set.name
            self._info.publish(info_message(header(skeletons), skeletons.joint_set))
        self._skeletons.publish(to_message(skeletons, frames))
        own = frames if people is skeletons or config.tf.mode == "off" else None
        transforms = transforms_message(people, config.tf.mode, config.tf.prefix, own)
        if transforms is not None:
            self._transforms.pub_tf.publish(transforms)
        if self._markers.get_subscription_count():
            self._publish_markers(skeletons, config, _OPTICAL_UP if people is skeletons else _LEVEL_UP)
        if self._image.get_subscription_count():
            self._image.publish(debug_image(frame, people, keypoints))
        if frame.depth is not None and self._index.get_subscription_count():
            self._index.publish(body_index_image(frame, people))

    def _publish_markers(self, skeletons: Skeletons, config: NodeConfig, up: tuple[float, float, float]) -> None:
        markers = self._builder.build(skeletons, config.markers, up)
        if markers is not None:
            self._markers.publish(markers)

    def clear(self, stamp_ns: int) -> None:
        """Publish that no person is shown any more."""
        last = self._last
        empty = Skeletons.empty(stamp_ns, last.frame_id, last.modality, last.joint_set)
        self._skeletons.publish(to_message(empty))
        markers = self._builder.clear(empty)
        if markers is not None:
            self._markers.publish(markers)

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
