"""Record topics into a rosbag2 recording, as they arrive and without unpacking them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from unipose_ros.recordings import BagWriter, RecordingError
from unipose_ros.ros.messages import ros_message_class

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
