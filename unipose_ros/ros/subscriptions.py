"""The input topics while the node is active: subscriptions, calibration, pairing, and why no frames come."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, MutableMapping
from functools import partial
from typing import Any

import message_filters
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from unipose_ros import decoding
from unipose_ros.frame import RgbdFrame
from unipose_ros.modalities.base import RequiredInputs
from unipose_ros.ros.monitoring import Statistics, ThrottledLogger
from unipose_ros.ros.parameters import InputConfig
from unipose_ros.ros.synchronizer import (
    OVERRIDABLE_QOS,
    Pair,
    Synchronizer,
    TopicMonitor,
    qos_events,
    sensor_qos,
    subscribe,
)

#: What the parameters and the diagnostics call the two images.
NAMES = ("color", "depth")
#: For a calibration that is published once and kept for those who come late.
LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


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


def note_publishers(node: Node, topic: str, reporter: ThrottledLogger, what: str = "images") -> tuple[str, ...]:
    """Say once that a topic has several publishers, of two cameras or of a camera and a replay; returns their names."""
    infos = node.get_publishers_info_by_topic(topic)
    publishers = tuple(f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in infos)
    if len(publishers) > 1:
        reporter.note(
            f"publishers {topic}",
            f"{topic} has {len(publishers)} publishers: {', '.join(publishers)}; {what} of "
            "two cameras, or of a camera and a replay, must not meet on one topic: remap one of them",
        )
    return publishers


#: Seconds for which a calibration that was read is not read again.
_CALIBRATION_RESTS_S = 0.2


class RestingGroup(MutuallyExclusiveCallbackGroup):
    """Of a topic whose messages are much the same: after one was taken, the executor passes over it for a while.

    Each message that rclpy takes costs it about a millisecond, in which images wait, and calibrations come as often as
    they do.

    Args:
        seconds: for which it rests.
        clock: seconds that only go forward.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds, self._clock = seconds, clock
        self._until = -math.inf

    def rest(self) -> None:
        """Pass over it from now on."""
        self._until = self._clock() + self._seconds

    def can_execute(self, entity: Any) -> bool:
        """Whether the executor is to look at an entity now."""
        return self._clock() >= self._until and bool(super().can_execute(entity))


def calibration_qos(preset: str = "sensor") -> QoSProfile:
    """As :func:`unipose_ros.ros.synchronizer.sensor_qos`, of which the newest message alone counts."""
    profile = sensor_qos(preset)
    profile.depth = 1
    return profile


class CalibrationSubscription:
    """A ``CameraInfo`` topic, also where its publisher spoke once and keeps it for those who come late.

    Args:
        name: of the topic, before remapping.
        store: takes each message.
        qos: where nothing is overridden.
    """

    def __init__(
        self,
        node: Node,
        name: str,
        store: Callable[[CameraInfo], object],
        reporter: ThrottledLogger,
        qos: QoSProfile,
    ) -> None:
        self._node = node
        self._topic = node.resolve_topic_name(name)
        self._store, self._reporter = store, reporter
        self._has_come = self._latched = False
        self._events = qos_events(self._topic, reporter)
        self._group = RestingGroup(_CALIBRATION_RESTS_S)
        self._subscription = node.create_subscription(
            CameraInfo,
            self._topic,
            self._take,
            qos,
            callback_group=self._group,
            qos_overriding_options=OVERRIDABLE_QOS,
            event_callbacks=self._events,
        )

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)

    def watch(self) -> None:
        """Look at the graph: to be called now and then."""
        note_publishers(self._node, self._topic, self._reporter, "calibrations")
        self._follow_latched()

    def _follow_latched(self) -> None:
        """Ask for what was published before, where nothing comes and all publishers keep it for those who come late."""
        if self._has_come or self._latched:
            return
        offers = [info.qos_profile for info in self._node.get_publishers_info_by_topic(self._topic)]
        if not offers or any(offer.durability != DurabilityPolicy.TRANSIENT_LOCAL for offer in offers):
            return
        self._latched = True
        self.close()
        # Not to be overridden: that it is volatile by default was declared before.
        self._subscription = self._node.create_subscription(
            CameraInfo, self._topic, self._take, LATCHED_QOS, callback_group=self._group, event_callbacks=self._events
        )
        self._node.get_logger().info(f"{self._topic} is latched (transient local): subscribing to it as such")

    def _take(self, info: CameraInfo) -> None:
        self._has_come = True
        self._group.rest()
        self._store(info)


class Subscriptions:
    """Subscribes on construction, unsubscribes on :meth:`close`. Used from the executor's thread.

    Attributes:
        needs: as given.

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
        self._statistics = statistics
        self._reporter = reporter
        self._deliver = on_pair
        self._last_pair = time.monotonic()
        self.needs = needs
        topics = input_topics(node, config)
        records = TopicMonitor(topics[0][0]), TopicMonitor(topics[1][0])
        self.pairing = Synchronizer(
            records, self._on_pair, on_jump, reporter, config.sync_slop, config.sync_queue_size,
            single_image_timeout=_alone_after(needs, config),
        )  # fmt: skip
        self._streams: list[tuple[TopicMonitor, message_filters.Subscriber]] = []
        self._infos: list[CalibrationSubscription] = []
        receivers = self.pairing.add_color, self.pairing.add_depth
        try:
            for i, wanted in enumerate((needs.color, needs.depth)):
                if wanted:
                    receive = self._counted(NAMES[i], receivers[i])
                    stream = subscribe(node, topics[i][1], topics[i][0], receive, reporter, config.qos)
                    self._streams.append((records[i], stream))
            for name in NAMES:
                store = partial(decoder.set_info, name)
                self._infos.append(
                    CalibrationSubscription(node, f"{name}/camera_info", store, reporter, calibration_qos(config.qos))
                )
        except Exception:
            # An override of the QoS that cannot be: leave no half of the subscriptions behind.
            self.close()
            raise

    def close(self) -> None:
        """Drop all subscriptions."""
        for _, image in self._streams:
            self._node.destroy_subscription(image.sub)
        for info in self._infos:
            info.close()

    def watch(self, timeout: float) -> float:
        """Look at the graph, and warn once when no frame has come for ``timeout`` seconds; returns the seconds."""
        for record, _ in self._streams:
            record.publishers = note_publishers(self._node, record.topic, self._reporter)
        for info in self._infos:
            info.watch()
        waited = time.monotonic() - self._last_pair
        if waited > timeout:
            self._reporter.note("no_frames", self._diagnosis(waited))
        return waited

    def _counted(self, name: str, add: Callable[[Any, int | None], None]) -> Callable[[Any, int | None], None]:
        def receive(message: Any, sequence: int | None) -> None:
            self._statistics.tick(f"{name}_received")
            add(message, sequence)

        return receive

    def _on_pair(self, pair: Pair) -> None:
        self._last_pair = time.monotonic()
        self._reporter.forget("no_frames")
        self._deliver(pair)

    def _diagnosis(self, waited: float) -> str:
        records = [record for record, _ in self._streams]
        lines = [f"no {awaited(self.needs)} for {waited:.1f} s"]
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
        return "image of color or depth" if needs.any_of else "pair of color and depth"
    return "image of color" if needs.color else "image of depth"


def _alone_after(needs: RequiredInputs, config: InputConfig) -> float | None:
    if not (needs.color and needs.depth):
        return 0.0
    return config.single_image_timeout if needs.any_of else None


# Pairs of ROS messages -> frames, with the decoder that reads recordings too.


class FrameDecoder:
    """The node's decoder; see :class:`unipose_ros.decoding.FrameDecoder`.

    Args:
        rectified: the images are rectified ones: P is their calibration.
        calibrations: messages by ``color`` and ``depth``, known from earlier; new ones are put there. A driver that
            publishes its calibration once does not do so again when the node is activated once more.
        transforms: of the robot, for depth and clouds of another frame than color's.
    """

    def __init__(
        self,
        rectified: bool = False,
        calibrations: MutableMapping[str, Any] | None = None,
        transforms: decoding.Lookup | None = None,
    ) -> None:
        self._decoder = decoding.FrameDecoder(("color", "depth") if rectified else (), transforms)
        self._calibrations = {} if calibrations is None else calibrations
        for name, info in self._calibrations.items():
            self._decoder.set_info(name, info)

    def set_info(self, name: str, info: Any) -> None:
        """Take a ``CameraInfo`` of ``color`` or ``depth``. Safe from one other thread."""
        self._calibrations[name] = info
        self._decoder.set_info(name, info)

    @property
    def remarks(self) -> dict[str, str]:
        """What looks wrong with the last frame, by reason."""
        return self._decoder.remarks

    @property
    def figures(self) -> dict[str, float]:
        """Numbers of the last frame, by name, for the diagnostics."""
        return self._decoder.figures

    def decode(self, pair: Pair) -> RgbdFrame:
        """Decode a pair, or an image that came alone.

        Raises:
            BadInputError: something about it is not usable; says what, and what to do.
        """
        return self._decoder.decode(pair.color, pair.depth, pair.stamp_ns)
