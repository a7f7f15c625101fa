"""Everything the node publishes about a frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from cv_bridge import CvBridge
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from tf2_ros import TransformBroadcaster
from tf_transformations import quaternion_from_matrix
from visualization_msgs.msg import MarkerArray

from unipose_ros.body_frame import body_frame
from unipose_ros.frame import RgbdFrame, Skeletons, TrackState
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.msg import SkeletonArray
from unipose_ros.ros.markers import MarkerBuilder
from unipose_ros.ros.messages import header, to_message
from unipose_ros.ros.parameters import NodeConfig
from unipose_ros.ros.synchronizer import OVERRIDABLE_QOS
from unipose_ros.visualization.overlay import background, draw_keypoints, draw_skeletons

# Skeletons -> TF: ``body_<id>`` in the camera frame and ``<joint>_<id>`` in the body (REP-155).


#: A joint has a place but no turn of its own: it is turned as its body is.
_UPRIGHT = (0.0, 0.0, 0.0, 1.0)


def build_transforms(skeletons: Skeletons, mode: str, prefix: str = "") -> list[TransformStamped]:
    """All transforms of a frame, to be sent as one message.

    A person without a defined body frame has none, and so has one that is not seen now: a
    frame says where somebody is, not where they might be.

    Args:
        mode: ``off``, ``root`` or ``joints``.
        prefix: of all frames' names.
    """
    if mode == "off":
        return []
    seen = [i for i in skeletons if skeletons.states[i] != TrackState.OCCLUDED]
    return [transform for index in seen for transform in _person(skeletons, index, mode == "joints", prefix)]


def _person(skeletons: Skeletons, index: int, with_joints: bool, prefix: str) -> list[TransformStamped]:
    body = body_frame(skeletons.positions[index], skeletons.joint_set)
    if body is None:
        return []
    name = f"{prefix}body_{skeletons.ids[index]}"
    transforms = [_transform(skeletons, skeletons.frame_id, name, body.origin, _quaternion(body.rotation))]
    if with_joints:
        # Row vectors: multiplying by R from the right is the inverse rotation.
        inside = (skeletons.positions[index] - body.origin) @ body.rotation
        transforms += [
            _transform(skeletons, name, f"{prefix}{joint}_{skeletons.ids[index]}", position, _UPRIGHT)
            for joint, position in zip(skeletons.joint_set.joints, inside, strict=True)
            if np.isfinite(position).all()
        ]
    return transforms


def _quaternion(rotation: NDArray[np.float64]) -> tuple[float, ...]:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    return tuple(quaternion_from_matrix(matrix))


def _transform(
    skeletons: Skeletons, parent: str, child: str, origin: NDArray[np.floating], quaternion: tuple[float, ...]
) -> TransformStamped:
    x, y, z = (float(value) for value in origin)
    qx, qy, qz, qw = (float(value) for value in quaternion)
    stamped = TransformStamped(header=header(skeletons), child_frame_id=child)
    stamped.header.frame_id = parent
    stamped.transform = Transform(translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw))
    return stamped


#: Fast DDS confirms only every few seconds, so this is mostly a pause.
_LAST_WORDS = Duration(seconds=0.15)
_BRIDGE = CvBridge()


class Publishers:
    """The publishers; silent while the node is not active, as lifecycle publishers are."""

    def __init__(self, node: LifecycleNode) -> None:
        def advertise(kind: type, topic: str, depth: int) -> Any:
            return node.create_lifecycle_publisher(
                kind, topic, QoSProfile(depth=depth), qos_overriding_options=OVERRIDABLE_QOS
            )

        self._skeletons = advertise(SkeletonArray, "skeletons", 10)
        self._markers = advertise(MarkerArray, "markers", 10)
        self._image = advertise(Image, "debug/image", 1)
        self._transforms = TransformBroadcaster(node)
        self._builder = MarkerBuilder()
        self._last = Skeletons.empty(0, "", "")

    def wanted(self, config: NodeConfig) -> bool:
        """Whether anybody subscribes to anything; everybody's tf2 listener does to TF."""
        topics = (self._skeletons, self._markers, self._image)
        if any(publisher.get_subscription_count() for publisher in topics):
            return True
        return config.tf.mode != "off" and bool(self._transforms.pub_tf.get_subscription_count())

    def publish(
        self, frame: RgbdFrame, skeletons: Skeletons, keypoints: Keypoints2D | None, config: NodeConfig
    ) -> None:
        """Publish a frame's people; what others wait for goes first."""
        self._last = skeletons
        self._skeletons.publish(to_message(skeletons))
        transforms = build_transforms(skeletons, config.tf.mode, config.tf.prefix)
        if transforms:
            self._transforms.sendTransform(transforms)
        if self._markers.get_subscription_count():
            self._publish_markers(skeletons, config)
        if self._image.get_subscription_count():
            self._image.publish(debug_image(frame, skeletons, keypoints))

    def _publish_markers(self, skeletons: Skeletons, config: NodeConfig) -> None:
        markers = self._builder.build(skeletons, config.markers)
        if markers.markers:
            self._markers.publish(markers)

    def clear(self, stamp_ns: int) -> None:
        """Tell listeners that nobody is shown any more."""
        last = self._last
        nobody = Skeletons.empty(stamp_ns, last.frame_id, last.modality, last.joint_set)
        self._skeletons.publish(to_message(nobody))
        self._markers.publish(self._builder.clear(header(nobody)))

    def flush(self) -> None:
        """Give listeners the time to fetch the last messages, for what is on its way when a process ends is lost."""
        for publisher in (self._skeletons, self._markers):
            if publisher.get_subscription_count():
                publisher.wait_for_all_acked(_LAST_WORDS)


def debug_image(frame: RgbdFrame, skeletons: Skeletons, keypoints: Keypoints2D | None) -> Image:
    """What the 2D network saw (white) and the skeletons projected back into the image."""
    image = background(frame)
    if keypoints is not None:
        draw_keypoints(image, keypoints)
    draw_skeletons(image, skeletons, frame.camera)
    message: Image = _BRIDGE.cv2_to_imgmsg(image, "rgb8", header(skeletons))
    return message
