"""The input topics while the node is active: subscriptions, calibration, pairing, and why no frames come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import message_filters
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from unipose_ros.modalities.base import RequiredInputs
from unipose_ros.ros.decode import FrameDecoder
from unipose_ros.ros.monitoring import Statistics, ThrottledLogger
from unipose_ros.ros.parameters import InputConfig
from unipose_ros.ros.synchronizer import Pair, Synchronizer, TopicMonitor, sensor_qos, subscribe

#: What the parameters and the diagnostics call the two images.
NAMES = ("color", "depth")


def input_topics(node: Node, config: InputConfig) -> tuple[tuple[str, type], tuple[str, type]]:
    """Resolved name and type of the color and of the depth topic.

    As image_transport does it, a transport's name is appended to the remapped name of the image.
    """
    color = node.resolve_topic_name("color/image")
    color_input: tuple[str, type] = (color, Image)
    if config.color_transport == "compressed":
        color_input = (f"{color}/compressed", CompressedImage)
    if config.source == "points":
        return color_input, (node.resolve_topic_name("points"), PointCloud2)
    depth = node.resolve_topic_name("depth/image")
    if config.depth_transport == "compressedDepth":
        return color_input, (f"{depth}/compressedDepth", CompressedImage)
    return color_input, (depth, Image)


class Subscriptions:
    """Subscribes on construction, unsubscribes on :meth:`close`. Used from the executor's thread.

    Args:
        needs: which images are subscribed to, and whether one may go alone.
        decoder: is given the calibrations as they come.
        on_pair: takes a pair and returns at once.
        on_jump: is told that time went back, with the reason.
    """

    def __init__(
        self,
        node: Node,
        config: InputConfig,
        needs: RequiredInputs,
        decoder: FrameDecoder,
        on_pair: Callable[[Pair], None],
        on_jump: Callable[[str], None],
        statistics: Statistics,
        reporter: ThrottledLogger,
    ) -> None:
        self._node = node
        self._decoder = decoder
        self._statistics = statistics
        self._reporter = reporter
        self._deliver = on_pair
        self._last_pair = time.monotonic()
        self._needs = needs
        topics = input_topics(node, config)
        records = TopicMonitor(topics[0][0]), TopicMonitor(topics[1][0])
        self.pairing = Synchronizer(
            records, self._on_pair, on_jump, reporter, config.sync_slop, config.sync_queue_size,
            single_image_timeout=_alone_after(needs, config),
        )  # fmt: skip
        self._streams: list[tuple[TopicMonitor, message_filters.Subscriber]] = []
        self._infos: list[Any] = []
        receivers = self.pairing.add_color, self.pairing.add_depth
        try:
            for i, wanted in enumerate((needs.color, needs.depth)):
                if wanted:
                    receive = self._counted(NAMES[i], receivers[i])
                    self._streams.append((records[i], subscribe(node, topics[i][1], topics[i][0], receive, reporter)))
            self._infos = [self._subscribe_info(name) for name in NAMES]
        except Exception:
            # An override of the QoS that cannot be: leave no half of the subscriptions behind.
            self.close()
            raise

    def close(self) -> None:
        """Drop all subscriptions."""
        for subscription in [*(image.sub for _, image in self._streams), *self._infos]:
            self._node.destroy_subscription(subscription)

    def watch(self, timeout: float) -> float:
        """Warn once when no frame has come for ``timeout`` seconds; returns the seconds since the last."""
        waited = time.monotonic() - self._last_pair
        if waited > timeout:
            self._reporter.note("no_frames", self._diagnosis(waited))
        return waited

    def _subscribe_info(self, name: str) -> Any:
        def store(info: CameraInfo) -> None:
            self._decoder.set_info(name, info)

        return self._node.create_subscription(CameraInfo, f"{name}/camera_info", store, sensor_qos())

    def _counted(self, name: str, add: Callable[[Any], None]) -> Callable[[Any], None]:
        def receive(message: Any) -> None:
            self._statistics.tick(f"{name}_received")
            add(message)

        return receive

    def _on_pair(self, pair: Pair) -> None:
        self._last_pair = time.monotonic()
        self._reporter.forget("no_frames")
        self._deliver(pair)

    def _diagnosis(self, waited: float) -> str:
        records = [record for record, _ in self._streams]
        lines = [f"no {awaited(self._needs)} for {waited:.1f} s"]
        lines += [record.describe(image.sub) for record, image in self._streams]
        stamps = [record.last_stamp_ns for record in records if record.last_stamp_ns is not None]
        if len(stamps) == 2:
            lines.append(f"the last stamps are {abs(stamps[0] - stamps[1]) / 1e6:.1f} ms apart")
        silent = [record.topic for record in records if record.count == 0]
        if silent:
            lines.append(f"nothing came on {' and '.join(silent)}: check the remapping with 'ros2 topic list', and "
                         "the publisher's QoS with 'ros2 topic info -v'")  # fmt: skip
        elif len(records) == 2:
            lines.append("if the driver stamps its images far apart, set input.sync_slop")
        return "; ".join(lines)


def awaited(needs: RequiredInputs) -> str:
    """What a frame is made of, for warnings."""
    if needs.color and needs.depth:
        return "image of color or depth" if needs.either else "pair of color and depth"
    return "image of color" if needs.color else "image of depth"


def _alone_after(needs: RequiredInputs, config: InputConfig) -> float | None:
    if not (needs.color and needs.depth):
        return 0.0
    return config.single_image_timeout if needs.either else None
