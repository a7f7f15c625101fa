"""Play a recording into real publishers, in real time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.typesys.store import Typestore

from unipose_ros.recordings import BagReader, RawMessage, RecordingError, Topic
from unipose_ros.recordings.messages import (
    SKELETON,
    SKELETON_ARRAY,
    message_types,
    read_skeletons,
    shift_stamps,
    skeleton_array,
)
from unipose_ros.ros.messages import ros_message_class

_CLOCK = "rosgraph_msgs/msg/Clock"
_POLL_S = 0.02
#: Longest wait at the end, should a subscriber have died without saying so.
_DELIVERY_S = 5.0


@dataclass(frozen=True)
class PlayerConfig:
    """What to play and how.

    Attributes:
        bag: the recording.
        topics: only these; all when empty.
        remap: other topic names, by recorded name.
        rate: speed, 1 is real time.
        loops: how many times to play it; 0 is until interrupted.
        restamp: move all header stamps by one constant, so that what was acquired at the time a
            message was recorded is acquired now. Each loop has its own constant.
        wait_for: begin when the publishers have this many matched subscriptions together.
        wait_on: begin when each of these (recorded) topics has one.
        timeout_s: how long to wait for subscriptions.

    Raises:
        RecordingError: a value is out of its range or values contradict each other.
    """

    bag: Path
    topics: tuple[str, ...] = ()
    remap: Mapping[str, str] = field(default_factory=dict)
    rate: float = 1.0
    loops: int = 1
    restamp: bool = False
    wait_for: int = 1
    wait_on: tuple[str, ...] = ()
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        for name, low in (("rate", 1e-3), ("loops", 0), ("wait_for", 0), ("timeout_s", 0)):
            if getattr(self, name) < low:
                raise RecordingError(f"{name} = {getattr(self, name)}: it must be at least {low}")
        if self.restamp and self.rate != 1:
            raise RecordingError(
                f"rate = {self.rate} with restamp: the stamps move by a constant, so only rate 1 makes them the "
                "time of playing; leave one of the two out"
            )


@dataclass(frozen=True)
class PlayerReport:
    """What was played.

    Attributes:
        messages: count by topic, as published.
        skipped: topics that were not played, with the reason.
        offsets_ns: what was added to the stamps, for each loop; subtract it to return to recorded time.
        late_ms: how far behind their time messages were published (p50, p95, max).
        seconds: from the first to the last message.
        damaged: why the recording ended early, if it did.
    """

    bag: str
    messages: dict[str, int]
    skipped: dict[str, str]
    offsets_ns: list[int]
    late_ms: dict[str, float]
    seconds: float
    damaged: str | None = None


class Player:
    """Publishers for the topics of an open recording.

    Args:
        node: where to publish from.
        reader: the open recording.
        stop: set it to end early.
        now: the clock that the stamps are moved to.
    """

    def __init__(
        self,
        node: Node,
        reader: BagReader,
        config: PlayerConfig,
        stop: threading.Event,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._node, self._reader, self._config = node, reader, config
        self._stop, self._now = stop, now
        self._skipped: dict[str, str] = {}
        self._publishers = self._make_publishers()
        self._counts: Counter[str] = Counter({p.topic_name: 0 for p in self._publishers.values()})
        self._late: list[float] = []
        self._offsets: list[int] = []

    def play(self) -> PlayerReport:
        """Wait for the subscribers, then publish until the end or an interruption.

        Raises:
            RecordingError: the subscribers did not come in time.
        """
        self._wait_for_subscribers()
        began = time.monotonic()
        while not self._stop.is_set() and (self._config.loops == 0 or len(self._offsets) < self._config.loops):
            self._play_once()
        seconds = time.monotonic() - began
        self._wait_for_delivery()
        return self._report(seconds)

    def _play_once(self) -> None:
        start, first_ns = 0.0, None
        for raw in self._reader.raw(self._publishers):
            if first_ns is None:
                first_ns = raw.time_ns
                # The stamps' clock is read first: nothing is published before the time that its stamp tells.
                self._offsets.append(self._now() - first_ns if self._config.restamp else 0)
                start = time.monotonic()
            due = start + (raw.time_ns - first_ns) * 1e-9 / self._config.rate
            if self._stop.wait(max(due - time.monotonic(), 0.0)):
                return
            self._late.append(max(time.monotonic() - due, 0.0) * 1e3)
            self._publish(raw)
        if first_ns is None:
            raise RecordingError(f"{self._config.bag}: there is no message in it to play")

    def _publish(self, raw: RawMessage) -> None:
        publisher = self._publishers[raw.topic]
        moved = shift_stamps(self._reader.types, raw.type, raw.data, self._offsets[-1])
        publisher.publish(as_defined_now(self._reader.types, moved) if raw.type == SKELETON_ARRAY else moved)
        self._counts[publisher.topic_name] += 1

    def _make_publishers(self) -> dict[str, Publisher[Any]]:
        recorded = self._reader.topics
        for name in (*self._config.topics, *self._config.wait_on, *self._config.remap):
            if name not in recorded:
                raise RecordingError(
                    f"{self._config.bag}: there is no topic '{name}'; the recording has {', '.join(recorded)}"
                )
        chosen = [recorded[name] for name in self._config.topics] or list(recorded.values())
        publishers = {topic.name: self._make_publisher(topic) for topic in chosen}
        return {name: publisher for name, publisher in publishers.items() if publisher is not None}

    def _make_publisher(self, topic: Topic) -> Publisher[Any] | None:
        message_class = ros_message_class(topic.type)
        if message_class is None:
            self._skip(topic, f"{topic.type} is not installed")
        elif self._config.restamp and topic.type == _CLOCK:
            self._skip(topic, "the recorded clock contradicts restamp")
        else:
            name = self._config.remap.get(topic.name, topic.name)
            return self._node.create_publisher(message_class, name, _qos(topic))
        return None

    def _skip(self, topic: Topic, reason: str) -> None:
        self._skipped[topic.name] = reason
        self._node.get_logger().warning(f"'{topic.name}' is not played: {reason}")

    def _wait_for_subscribers(self) -> None:
        deadline = time.monotonic() + self._config.timeout_s
        while not self._stop.is_set() and (missing := self._missing_subscribers()):
            if time.monotonic() > deadline:
                raise RecordingError(
                    f"after {self._config.timeout_s:g} s {missing}; start the listeners, check topic names and "
                    "ROS_DOMAIN_ID, or wait for fewer (wait_for, wait_on)"
                )
            self._stop.wait(_POLL_S)

    def _missing_subscribers(self) -> str:
        """What is still missing, in words; empty when all subscribers are there."""
        matched = {name: publisher.get_subscription_count() for name, publisher in self._publishers.items()}
        lonely = [name for name in self._config.wait_on if not matched.get(name)]
        if lonely:
            return f"no subscriber of {', '.join(lonely)}"
        total = sum(matched.values())
        return f"{total} of {self._config.wait_for} subscriptions are there" if total < self._config.wait_for else ""

    def _wait_for_delivery(self) -> None:
        """Let reliable subscribers fetch what is still in our queues before we go."""
        deadline = time.monotonic() + _DELIVERY_S
        for publisher in () if self._stop.is_set() else self._publishers.values():
            publisher.wait_for_all_acked(Duration(seconds=max(deadline - time.monotonic(), 0.0)))

    def _report(self, seconds: float) -> PlayerReport:
        late = np.array(self._late or [0.0])
        p50, p95 = np.percentile(late, [50, 95])
        return PlayerReport(
            bag=str(self._config.bag),
            messages=dict(self._counts),
            skipped=self._skipped,
            offsets_ns=self._offsets,
            late_ms={"p50": round(float(p50), 2), "p95": round(float(p95), 2), "max": round(float(late.max()), 2)},
            seconds=round(seconds, 3),
            damaged=self._reader.problem,
        )


def play_recording(node: Node, config: PlayerConfig, stop: threading.Event) -> PlayerReport:
    """Play a recording from a node, to its end or until ``stop`` is set.

    Raises:
        RecordingError: the recording cannot be read, a topic is not in it, or has no subscriber.
    """
    with BagReader(config.bag) as reader:
        return Player(node, reader, config, stop).play()


def as_defined_now(types: Typestore, data: bytes) -> bytes:
    """A ``SkeletonArray`` of a recording whose skeletons had other fields, with those of today."""
    now = message_types()
    if types.fielddefs.get(SKELETON) == now.fielddefs[SKELETON]:
        return data
    return bytes(
        now.serialize_cdr(skeleton_array(read_skeletons(types.deserialize_cdr(data, SKELETON_ARRAY))), SKELETON_ARRAY)
    )


def _qos(topic: Topic) -> QoSProfile:
    """Reliable serves best-effort subscribers too; the other way round there would be no match."""
    durability = DurabilityPolicy.TRANSIENT_LOCAL if topic.latched else DurabilityPolicy.VOLATILE
    return QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=durability)
