"""Everything the node publishes about a frame."""

from __future__ import annotations

from array import array
from typing import Any

from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import Image
from tf2_ros import TransformBroadcaster
from visualization_msgs.msg import MarkerArray

from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.msg import SkeletonArray
from unipose_ros.pictures.overlay import background, draw_keypoints, draw_skeletons
from unipose_ros.ros.config import NodeConfig
from unipose_ros.ros.markers import MarkerBuilder
from unipose_ros.ros.messages import header, to_message
from unipose_ros.ros.transforms import build_transforms

#: Fast DDS confirms only every few seconds, so this is mostly a pause.
_LAST_WORDS = Duration(seconds=0.15)


class Outputs:
    """The publishers; silent while the node is not active, as lifecycle publishers are."""

    def __init__(self, node: LifecycleNode) -> None:
        def advertise(kind: type, topic: str, depth: int) -> Any:
            overriding = QoSOverridingOptions.with_default_policies()
            return node.create_lifecycle_publisher(
                kind, topic, QoSProfile(depth=depth), qos_overriding_options=overriding
            )

        self._skeletons = advertise(SkeletonArray, "skeletons", 10)
        self._markers = advertise(MarkerArray, "markers", 10)
        self._picture = advertise(Image, "debug/image", 1)
        self._transforms = TransformBroadcaster(node)
        self._builder = MarkerBuilder()
        self._last = Skeletons.empty(0, "", "")

    def publish(
        self, frame: RgbdFrame, skeletons: Skeletons, keypoints: Keypoints2D | None, config: NodeConfig
    ) -> None:
        """Publish a frame's people; what others wait for goes first."""
        self._last = skeletons
        self._skeletons.publish(to_message(skeletons))
        transforms = build_transforms(skeletons, config.tf.mode)
        if transforms:
            self._transforms.sendTransform(transforms)
        if self._markers.get_subscription_count():
            self._publish_markers(skeletons, config)
        if self._picture.get_subscription_count():
            self._picture.publish(debug_picture(frame, skeletons, keypoints))

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


def debug_picture(frame: RgbdFrame, skeletons: Skeletons, keypoints: Keypoints2D | None) -> Image:
    """What the 2D network saw (white) and the skeletons projected back into the image."""
    picture = background(frame)
    if keypoints is not None:
        draw_keypoints(picture, keypoints)
    draw_skeletons(picture, skeletons, frame.camera)
    height, width = picture.shape[:2]
    return Image(
        header=header(skeletons),
        height=height,
        width=width,
        encoding="rgb8",
        step=3 * width,
        # An array keeps rclpy from converting byte by byte, which takes 100 ms a picture.
        data=array("B", picture.tobytes()),
    )
