"""Record topics into a rosbag2 recording, as they arrive and without unpacking them."""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from unipose_ros.frame import Skeletons
from unipose_ros.joint_sets import JointSetError
from unipose_ros.msg import SkeletonArray
from unipose_ros.recordings import BagWriter, RecordingError
from unipose_ros.recordings.writer import complete_recording
from unipose_ros.ros.messages import from_message, ros_message_class
from unipose_ros.ros.synchronizer import OVERRIDABLE_QOS

_DEPTH = 100
_LOOK_AGAIN_S = 0.1


@dataclass(frozen=True)
class RecorderConfig:
    """What to record and until when.

    Attributes:
        output: bag folder to make.
        topics: message type by topic; ``None`` as type waits for the first publisher to tell it, and
            takes over its quality of service.
        storage: ``mcap`` or ``sqlite3``.
        count: stop after this many messages of all topics together; 0 records until interrupted.
        duration_s: stop after this time; 0 for no limit.

    Raises:
        RecordingError: there is no topic, or a limit is negative.
    """

    output: Path
    topics: Mapping[str, str | None] = field(default_factory=dict)
    storage: str = "mcap"
    count: int = 0
    duration_s: float = 0.0

    def __post_init__(self) -> None:
        if not self.topics:
            raise RecordingError("topics: there is nothing to record; name at least one topic")
        for name in ("count", "duration_s"):
            if getattr(self, name) < 0:
                raise RecordingError(f"{name} = {getattr(self, name)}: it must not be negative; 0 means no limit")


@dataclass(frozen=True)
class RecorderReport:
    """What was recorded: messages by topic, and topics that never had a publisher."""

    output: str
    messages: dict[str, int]
    never_seen: list[str]
    seconds: float


class Recorder:
    """Subscriptions that write what they get.

    Args:
        node: where to subscribe from.
        writer: the open recording.
    """

    def __init__(self, node: Node, writer: BagWriter, config: RecorderConfig) -> None:
        self._node, self._writer, self._config = node, writer, config
        self._last_ns = 0
        # Names as the graph has them: with namespace and remappings.
        self._waiting = {node.resolve_topic_name(name): kind for name, kind in config.topics.items()}
        self._look_for_topics()
        if self._waiting:
            node.create_timer(_LOOK_AGAIN_S, self._look_for_topics)

    def run(self, stop: threading.Event) -> RecorderReport:
        """Record until the limit is reached or the event is set."""
        began = time.monotonic()
        # Made once: rclpy.spin_once would add and remove the node for every message.
        executor = SingleThreadedExecutor()
        executor.add_node(self._node)
        while not stop.is_set() and not self._is_done(time.monotonic() - began):
            executor.spin_once(timeout_sec=_LOOK_AGAIN_S)
        return RecorderReport(
            output=str(self._config.output),
            messages=dict(self._writer.counts),
            never_seen=sorted(self._waiting),
            seconds=round(time.monotonic() - began, 3),
        )

    def _is_done(self, elapsed: float) -> bool:
        config = self._config
        enough = bool(config.count) and sum(self._writer.counts.values()) >= config.count
        return enough or (bool(config.duration_s) and elapsed >= config.duration_s)

    def _look_for_topics(self) -> None:
        graph = dict(self._node.get_topic_names_and_types()) if None in self._waiting.values() else {}
        for topic, declared in list(self._waiting.items()):
            kinds = [declared] if declared else graph.get(topic, [])
            if kinds and (declared or self._node.get_publishers_info_by_topic(topic)):
                del self._waiting[topic]
                self._subscribe(topic, kinds)

    def _subscribe(self, topic: str, kinds: list[str]) -> None:
        if len(kinds) > 1:
            raise RecordingError(f"'{topic}' is published with several types ({', '.join(kinds)}); record one by name")
        message_class = ros_message_class(kinds[0])
        if message_class is None:
            raise RecordingError(f"'{topic}' carries {kinds[0]}, which is not installed; install or build its package")
        qos = self._qos(topic)
        self._writer.add_topic(topic, kinds[0], latched=qos.durability == DurabilityPolicy.TRANSIENT_LOCAL)
        self._node.create_subscription(message_class, topic, self._take(topic, kinds[0]), qos, raw=True)
        self._node.get_logger().info(f"recording '{topic}' ({kinds[0]})")

    def _take(self, topic: str, kind: str) -> Callable[[bytes, Any], None]:
        def write(data: bytes, info: Any) -> None:
            # Recording times never go back, so that a recording without its index can be read in order.
            self._last_ns = max(self._last_ns, info["received_timestamp"] or time.time_ns())
            self._writer.write_raw(topic, kind, data, self._last_ns)

        return write

    def _qos(self, topic: str) -> QoSProfile:
        """What all present publishers can serve; reliable where there is none yet."""
        offers = [info.qos_profile for info in self._node.get_publishers_info_by_topic(topic)]
        best_effort = any(offer.reliability == ReliabilityPolicy.BEST_EFFORT for offer in offers)
        latched = bool(offers) and all(offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
        return QoSProfile(
            depth=_DEPTH,
            reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )


def record_topics(node: Node, config: RecorderConfig, stop: threading.Event) -> RecorderReport:
    """Record with a node until the limit is reached or ``stop`` is set.

    Raises:
        RecordingError: the folder exists, or a topic's type is not known.
    """
    with BagWriter(config.output, config.storage) as writer:
        return Recorder(node, writer, config).run(stop)


# A writer for :class:`~unipose_ros.ros.bag_recorder.Recorder` that keeps clips instead of everything.


#: Messages of a latched topic that begin a clip: transforms of many publishers, or the newest calibrations.
_MOST_LATCHED = 50


class ClipWriter:
    """Takes all messages, and writes those between :meth:`begin` and :meth:`end`; clips appear when they are complete.

    Latched messages are kept, and are the first ones of every clip.

    Attributes:
        counts: messages of the present clip by topic; of none where none is being written.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._topics: dict[str, tuple[str, bool]] = {}
        self._latched: dict[str, list[bytes]] = {}
        self._writer: BagWriter | None = None
        self._opened = ExitStack()

    @property
    def writing(self) -> bool:
        """Whether a clip is being written."""
        return self._writer is not None

    def begin(self, path: Path, time_ns: int) -> None:
        """Begin a clip; one that is being written is ended.

        Raises:
            RecordingError: the folder exists or cannot be made.
        """
        self.end()
        with ExitStack() as stack:
            partial = stack.enter_context(complete_recording(path))
            self._writer = stack.enter_context(BagWriter(partial, "mcap", path))
            self._opened = stack.pop_all()
        self.counts = self._writer.counts
        for topic, (kind, latched) in self._topics.items():
            self._writer.add_topic(topic, kind, latched)
            for data in self._latched.get(topic, []):
                self._writer.write_raw(topic, kind, data, time_ns)

    def end(self) -> None:
        """End the clip, if there is one.

        Raises:
            RecordingError: it cannot be completed.
        """
        if self._writer is not None:
            self._writer = None
            self._opened.close()
            self.counts = {}

    def add_topic(self, topic: str, message_type: str, latched: bool = False) -> None:
        """See :meth:`BagWriter.add_topic`."""
        self._topics[topic] = message_type, latched
        if self._writer is not None:
            self._writer.add_topic(topic, message_type, latched)

    def write_raw(self, topic: str, message_type: str, data: bytes, time_ns: int) -> None:
        """See :meth:`BagWriter.write_raw`; without a clip the message is dropped."""
        if self._topics.get(topic, ("", False))[1]:
            self._keep(topic, bytes(data))
        if self._writer is not None:
            self._writer.write_raw(topic, message_type, data, time_ns)

    def _keep(self, topic: str, data: bytes) -> None:
        """Each message once, the newest so many: some drivers publish a latched calibration with every image."""
        kept = self._latched.setdefault(topic, [])
        if data in kept:
            kept.remove(data)
        kept.append(data)
        del kept[:-_MOST_LATCHED]


# What commands beside a running node take in: the camera's topics, and the node's skeletons.

_SKELETONS_DEPTH = 10
#: Role -> topic of a RealSense camera with depth aligned to color.
DEFAULT_TOPICS = {
    "color": "/camera/camera/color/image_raw/compressed",
    "color_info": "/camera/camera/color/camera_info",
    "depth": "/camera/camera/aligned_depth_to_color/image_raw/compressedDepth",
    "depth_info": "/camera/camera/aligned_depth_to_color/camera_info",
}


def add_live_topics(parser: argparse.ArgumentParser) -> None:
    """Options for the topics of :data:`DEFAULT_TOPICS`, and ``--skeletons``."""
    for role, topic in DEFAULT_TOPICS.items():
        parser.add_argument("--" + role.replace("_", "-"), default=topic, metavar="TOPIC", help="default: %(default)s")
    parser.add_argument(
        "--skeletons", default="/unipose/skeletons", metavar="TOPIC", help="of the running node (default: %(default)s)"
    )


def recorded_topics(options: argparse.Namespace, further: Sequence[str] = ()) -> dict[str, str | None]:
    """Topics to record, of any type: those of :func:`add_live_topics`, further ones and the transforms."""
    names = [getattr(options, role) for role in DEFAULT_TOPICS]
    return dict.fromkeys([*names, *further, "/tf", "/tf_static"])


def subscribe_skeletons(node: Node, topic: str, take: Callable[[Skeletons], object]) -> None:
    """Hand the people of every message to ``take``; messages that cannot be read are warned of."""

    def on_message(message: Any) -> None:
        try:
            people = from_message(message)
        except (JointSetError, ValueError) as error:
            node.get_logger().warning(f"skeletons cannot be read: {error}", throttle_duration_sec=10.0)
            return
        take(people)

    node.create_subscription(SkeletonArray, topic, on_message, _SKELETONS_DEPTH, qos_overriding_options=OVERRIDABLE_QOS)
