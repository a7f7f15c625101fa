"""The input topics while the node is active: subscriptions, calibration, pairing, and why no frames come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import message_filters
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from unipose_ros.ros.config import InputConfig
from unipose_ros.ros.decode import FrameDecoder
from unipose_ros.ros.pairing import Pair, Pairing
from unipose_ros.ros.reporter import Reporter
from unipose_ros.ros.statistics import Statistics
from unipose_ros.ros.streams import StreamRecord, sensor_qos, subscribe


def input_topics(node: Node, config: InputConfig) -> tuple[tuple[str, type], tuple[str, type]]:
    """Resolved name and type of the colour and of the depth topic.

    As image_transport does it, a transport's name is appended to the remapped name of the image.
    """
    colour = node.resolve_topic_name("color/image")
    colour_input: tuple[str, type] = (colour, Image)
    if config.color_transport == "compressed":
        colour_input = (f"{colour}/compressed", CompressedImage)
    if config.source == "points":
        return colour_input, (node.resolve_topic_name("points"), PointCloud2)
    depth = node.resolve_topic_name("depth/image")
    if config.depth_transport == "compressedDepth":
        return colour_input, (f"{depth}/compressedDepth", CompressedImage)
    return colour_input, (depth, Image)


class Inputs:
    """Subscribes on construction, unsubscribes on :meth:`close`. Used from the executor's thread.

    Args:
        decoder: is given the calibrations as they come.
        on_pair: takes a pair and returns at once.
        on_jump: is told that time went back, with the reason.
    """

    def __init__(
        self,
        node: Node,
        config: InputConfig,
        decoder: FrameDecoder,
        on_pair: Callable[[Pair], None],
        on_jump: Callable[[str], None],
        statistics: Statistics,
        reporter: Reporter,
    ) -> None:
        self._node = node
        self._decoder = decoder
        self._statistics = statistics
        self._reporter = reporter
        self._deliver = on_pair
        self._last_pair = time.monotonic()
        (colour, colour_type), (depth, depth_type) = input_topics(node, config)
        self._records = (StreamRecord(colour), StreamRecord(depth))
        self.pairing = Pairing(
            self._records, self._on_pair, on_jump, reporter, config.max_pair_offset, config.queue_size
        )
        self._images: list[message_filters.Subscriber] = []
        self._infos: list[Any] = []
        receivers = self._counted("color", self.pairing.add_colour), self._counted("depth", self.pairing.add_depth)
        try:
            self._images.append(subscribe(node, colour_type, colour, receivers[0], reporter))
            self._images.append(subscribe(node, depth_type, depth, receivers[1], reporter))
            self._infos = [self._subscribe_info("color"), self._subscribe_info("depth")]
        except Exception:
            # An override of the QoS that cannot be: leave no half of the subscriptions behind.
            self.close()
            raise

    def close(self) -> None:
        """Drop all subscriptions."""
        for subscription in [*(image.sub for image in self._images), *self._infos]:
            self._node.destroy_subscription(subscription)

    def watch(self, timeout: float) -> float:
        """Warn once when no frame has come for ``timeout`` seconds; returns the seconds since the last."""
        waited = time.monotonic() - self._last_pair
        if waited > timeout:
            self._reporter.note("no_frames", self._diagnosis(waited))
        return waited

    def _subscribe_info(self, name: str) -> Any:
        def store(info: CameraInfo) -> None:
            setattr(self._decoder, f"{'colour' if name == 'color' else name}_info", info)

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
        lines = [f"no pair of colour and depth for {waited:.1f} s"]
        lines += [record.describe(image.sub) for record, image in zip(self._records, self._images, strict=True)]
        stamps = [record.last_stamp_ns for record in self._records]
        if all(stamp is not None for stamp in stamps):
            lines.append(f"the last stamps are {abs(stamps[0] - stamps[1]) / 1e6:.1f} ms apart")  # type: ignore[operator]
        silent = [record.topic for record in self._records if record.count == 0]
        if silent:
            lines.append(f"nothing came on {' and '.join(silent)}: check the remapping with 'ros2 topic list', and "
                         "the publisher's QoS with 'ros2 topic info -v'")  # fmt: skip
        else:
            lines.append("if the driver stamps its images far apart, set input.max_pair_offset")
        return "; ".join(lines)
