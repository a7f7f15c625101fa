"""Color and depth that belong together: by equal stamps, and by near ones when there are no equal ones."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import message_filters
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions, QoSPolicyKind
from rclpy.subscription import Subscription

from unipose_ros.ros.monitoring import ThrottledLogger
from unipose_ros.ros.parameters import ParameterError
from unipose_ros.ros.time_line import Sources, TimeLine, Verdict

# One input topic: its subscription, what has been seen on it, and the guard in front of the pairing.


try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble has it under its old name
    from rclpy.qos_event import SubscriptionEventCallbacks

_SECOND = 1_000_000_000


def sensor_qos(preset: str = "sensor") -> QoSProfile:
    """What a subscriber of camera topics asks for: the newest few, without repair of lost ones unless ``reliable``."""
    reliable = preset == "reliable"
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=10 if reliable else 5,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.VOLATILE,
    )


def stamp_to_ns(stamp: Any) -> int:
    """``builtin_interfaces/Time`` -> nanoseconds."""
    return int(stamp.sec) * _SECOND + int(stamp.nanosec)


@dataclass
class TopicMonitor:
    """What has been seen on one topic.

    Attributes:
        topic: resolved name.
        count: messages received.
        publishers: names of the nodes that publish it, as far as they are known.
    """

    topic: str
    count: int = 0
    publishers: tuple[str, ...] = ()
    _line: TimeLine = field(default_factory=TimeLine)
    _sources: Sources = field(default_factory=Sources)

    @property
    def period(self) -> float | None:
        """Median frame period in seconds; ``None`` until it can be told."""
        return self._line.period

    @property
    def last_stamp_ns(self) -> int | None:
        """Newest stamp that was believed; ``None`` before the first."""
        return self._line.newest_ns

    def see(self, stamp_ns: int, now: float, sequence: int | None = None) -> Verdict:
        """Take note of a message and judge its stamp.

        Args:
            now: seconds of a steady clock.
            sequence: number of the publication, where the middleware counts them.
        """
        self.count += 1
        if self._sources.is_foreign(sequence, now, several=len(self.publishers) > 1):
            return Verdict.FOREIGN
        return self._line.see(stamp_ns, now)

    def forget_time(self) -> None:
        """Take the next stamp as it comes."""
        self._line.forget()

    def explain(self, verdict: Verdict, stamp_ns: int) -> tuple[str, str]:
        """Why an image is left out: the reason for the counters, and a line for the log."""
        newest = self.last_stamp_ns or stamp_ns
        if verdict == Verdict.REPEATED:
            return "repeated_stamp", (
                f"{self.topic}: header.stamp is the same as that of the image before; the driver must stamp every "
                "image with its own acquisition time, in nanoseconds"
            )
        if verdict == Verdict.LATE:
            return "late_stamp", (
                f"{self.topic}: header.stamp is {(newest - stamp_ns) / 1e6:.1f} ms before the newest; the image is "
                "left out"
            )
        if verdict == Verdict.FOREIGN:
            return "second_publisher", (
                f"{self.topic}: {len(self.publishers)} publishers ({', '.join(self.publishers)}); one is listened to, "
                "the images of the others are left out: give each camera its own topic"
            )
        ahead = (stamp_ns - newest) / _SECOND
        side = "ahead of" if ahead > 0 else "behind"
        return "stray_stamp", (
            f"{self.topic}: header.stamp is {abs(ahead):.1f} s {side} the images before; left out unless the stamps "
            "stay there. One clock must stamp all images of a topic: is there a second publisher, or a replay beside "
            f"the camera ({', '.join(self.publishers) or 'publishers unknown'})?"
        )

    def describe(self, subscription: Any) -> str:
        """One line for the warning that no frames come."""
        qos = subscription.qos_profile
        stamp = "none" if self.last_stamp_ns is None else f"{self.last_stamp_ns / _SECOND:.3f}"
        return f"{self.topic}: {self.count} messages, {qos.reliability.name} depth {qos.depth}, last stamp {stamp}"


#: What a user may set for any topic.
OVERRIDABLE_QOS = QoSOverridingOptions(
    (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY)
)


def overridden_qos(node: Node, topic: str, entity: str, default: QoSProfile) -> QoSProfile:
    """What ``qos_overrides.<topic>.<entity>.*`` say, for endpoints that tf2_ros makes: in Python it does not ask.

    Args:
        topic: as it is after remapping.
        entity: ``publisher`` or ``subscription``.

    Raises:
        ParameterError: a policy has no such value.
    """

    def ask(policy: str, value: Any) -> Any:
        name = f"qos_overrides.{topic}.{entity}.{policy}"
        if not node.has_parameter(name):
            node.declare_parameter(name, value, ParameterDescriptor(read_only=True))
        return node.get_parameter(name).value

    def choose(policy: str, value: Any) -> Any:
        word = ask(policy, value.short_key)
        if word not in type(value).short_keys():
            words = ", ".join(type(value).short_keys())
            raise ParameterError(f"qos_overrides.{topic}.{entity}.{policy} = {word!r}: use one of {words}")
        return type(value).get_from_short_key(word)

    return QoSProfile(
        depth=ask("depth", default.depth),
        history=choose("history", default.history),
        reliability=choose("reliability", default.reliability),
        durability=choose("durability", default.durability),
    )


def qos_events(topic: str, reporter: ThrottledLogger) -> SubscriptionEventCallbacks:
    """Explains a publisher whose quality of service does not fit, once a topic."""

    def incompatible(event: Any) -> None:
        reporter.note(
            f"incompatible_qos {topic}",
            f"a publisher of {topic} offers an incompatible QoS and nothing will come from it; set "
            f"qos_overrides.{topic}.subscription.reliability and .durability to what it offers: "
            f"'ros2 topic info -v {topic}'",
        )

    return SubscriptionEventCallbacks(incompatible_qos=incompatible)


class _NumberedSubscriber(message_filters.Subscriber):
    """Hands on every message together with the number that its publisher gave it."""

    def callback(self, msg: Any, info: Any) -> None:
        number = info.get("publication_sequence_number")
        # The middleware's word for "I do not count" is the greatest number.
        self.signalMessage(msg, number if number is not None and number < _UNCOUNTED else None)


class _PlainSubscriber(message_filters.Subscriber):
    """The same where rclpy tells nothing about messages (Humble)."""

    def callback(self, msg: Any) -> None:
        self.signalMessage(msg, None)


_UNCOUNTED = 2**64 - 1
_SUBSCRIBER = _NumberedSubscriber if hasattr(Subscription, "CallbackType") else _PlainSubscriber


def subscribe(
    node: Node,
    message_type: type,
    topic: str,
    callback: Callable[[Any, int | None], None],
    reporter: ThrottledLogger,
    preset: str = "sensor",
) -> message_filters.Subscriber:
    """Subscribe with sensor QoS that the user can override, and explain an incompatible publisher.

    Args:
        callback: takes a message, and its sequence number where the middleware counts.
        preset: see :func:`sensor_qos`.
    """
    subscriber = _SUBSCRIBER(
        node, message_type, topic,
        qos_profile=sensor_qos(preset),
        qos_overriding_options=OVERRIDABLE_QOS,
        event_callbacks=qos_events(topic, reporter),
    )  # fmt: skip
    subscriber.registerCallback(callback)
    return subscriber


#: After so many messages on both topics without an equal stamp, near stamps are accepted.
PATIENCE = 10


@dataclass(frozen=True)
class Pair:
    """One frame as it came from the topics.

    Attributes:
        color: ``Image`` or ``CompressedImage``; ``None`` where depth came alone.
        depth: ``Image``, ``CompressedImage`` or ``PointCloud2``; ``None`` where color came alone.
        stamp_ns: acquisition time of the color image, or of depth where it came alone.
        offset_ns: how much later the depth image was taken.
        arrived: seconds of the steady clock at which it was complete.
    """

    color: Any | None
    depth: Any | None
    stamp_ns: int
    offset_ns: int
    arrived: float = field(default_factory=time.monotonic)


class Synchronizer:
    """Feeds message_filters and survives what they do not.

    An exception in a callback would leave their lock held for ever, and a stamp they cannot
    read would end the executor: so ``guard`` lets only sound stamps in, and the callback given
    here must not raise. Must be used from one thread.

    Args:
        records: of the color and the depth topic.
        on_pair: stores the pair and returns at once.
        on_jump: called when stamps went back and stay there; must call :meth:`restart`. The first message of the new
            time follows.
        reporter: counts what is refused and says why, once.
        max_offset: seconds; 0 for half of the measured frame period.
        single_image_timeout: seconds; an image is delivered alone when the other topic has been silent, or no pair has
            come, for so long. 0: the other topic is not listened to. ``None``: images never go alone.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        records: tuple[TopicMonitor, TopicMonitor],
        on_pair: Callable[[Pair], None],
        on_jump: Callable[[str], None],
        reporter: ThrottledLogger,
        max_offset: float = 0.0,
        queue_size: int = 10,
        single_image_timeout: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records = records
        self._on_pair = on_pair
        self._on_jump = on_jump
        self._reporter = reporter
        self._max_offset = max_offset
        self._queue_size = queue_size
        self._alone_after = single_image_timeout
        self._clock = clock
        self.restart()

    @property
    def exact(self) -> bool:
        """Whether only equal stamps are paired."""
        return self._slop is None

    def restart(self) -> None:
        """Forget all queued messages and begin with equal stamps again."""
        self._slop: float | None = None
        self._unpaired = [0, 0]
        # Since when each topic's images have come without one of the other topic, and without a pair.
        self._without_partner: list[float | None] = [None, None]
        self._without_pair: list[float | None] = [None, None]
        self._delivered_ns = -1
        # What waits for a partner: given to the next synchronizer, which starts empty.
        self._waiting: tuple[deque[Any], ...] = (deque(maxlen=self._queue_size), deque(maxlen=self._queue_size))
        self._connect()

    def add_color(self, message: Any, sequence: int | None = None) -> None:
        """Take a message of the color topic, with the number of its publication where it has one."""
        self._add(0, message, sequence)

    def add_depth(self, message: Any, sequence: int | None = None) -> None:
        """Take a message of the depth topic, with the number of its publication where it has one."""
        self._add(1, message, sequence)

    def _connect(self) -> None:
        """A fresh synchronizer: message_filters cannot empty one, and old queues block it after a jump."""
        self._inputs = [message_filters.SimpleFilter(), message_filters.SimpleFilter()]
        if self._slop is None:
            sync = message_filters.TimeSynchronizer(self._inputs, queue_size=self._queue_size)
        else:
            # Keywords only: Kilted put another parameter in between.
            sync = message_filters.ApproximateTimeSynchronizer(
                self._inputs, queue_size=self._queue_size, slop=self._slop, allow_headerless=False
            )
        sync.registerCallback(self._paired)

    def _add(self, index: int, message: Any, sequence: int | None) -> None:
        record = self._records[index]
        stamp = message.header.stamp
        if stamp.sec < 0 or (stamp.sec == 0 and stamp.nanosec == 0):
            record.count += 1
            self._reporter.drop(
                "zero_stamp",
                f"{record.topic}: header.stamp is {stamp.sec}.{stamp.nanosec:09d}; "
                "the driver must stamp its images with the acquisition time",
            )
            return
        verdict = record.see(stamp_to_ns(stamp), self._clock(), sequence)
        if verdict == Verdict.JUMP:
            # The partner will jump too; that is the same event.
            self._records[1 - index].forget_time()
            self._on_jump(f"stamps on {record.topic} went back")
        elif verdict != Verdict.NEXT:
            self._reporter.drop(*record.explain(verdict, stamp_to_ns(stamp)))
            return
        self._take_time(index)
        self._unpaired[index] += 1
        if self._slop is None:
            self._waiting[index].append(message)
        self._inputs[index].signalMessage(message)
        self._relax()
        if self._goes_alone(index):
            color, depth = (message, None) if index == 0 else (None, message)
            self._deliver(Pair(color, depth, stamp_to_ns(stamp), 0))

    def _take_time(self, index: int) -> None:
        now = self._clock()
        self._without_partner[1 - index] = None
        for waits in (self._without_partner, self._without_pair):
            if waits[index] is None:
                waits[index] = now

    def _goes_alone(self, index: int) -> bool:
        """Whether to wait no longer for a partner; of two images that never pair, depth says more."""
        if self._alone_after is None:
            return False
        waits = [self._without_partner[index], self._without_pair[index] if index == 1 else None]
        now = self._clock()
        return any(since is not None and now - since >= self._alone_after for since in waits)

    def _relax(self) -> None:
        """Accept near stamps when equal ones do not come although both topics are alive."""
        if self._slop is not None or min(self._unpaired) < PATIENCE:
            return
        periods = [record.period for record in self._records if record.period is not None]
        if not (periods or self._max_offset):
            return
        # The slower topic sets the pace: half of its period cannot confuse two frames.
        self._slop = self._max_offset or max(periods) / 2
        self._reporter.note(
            "approximate_pairing",
            f"no equal stamps on {self._records[0].topic} and {self._records[1].topic}: "
            f"pairing stamps less than {self._slop * 1e3:.1f} ms apart",
        )
        self._connect()
        # As unipose_ros.recordings.rgbd does for recordings: what has waited is paired, too.
        waiting = [(stamp_to_ns(each.header.stamp), index, each) for index in (0, 1) for each in self._waiting[index]]
        for _, index, message in sorted(waiting, key=lambda each: each[:2]):
            self._inputs[index].signalMessage(message)

    def _paired(self, color: Any, depth: Any) -> None:
        self._unpaired = [0, 0]
        self._without_pair = [None, None]
        stamp = stamp_to_ns(color.header.stamp)
        self._deliver(Pair(color, depth, stamp, stamp_to_ns(depth.header.stamp) - stamp))

    def _deliver(self, pair: Pair) -> None:
        """Hand a frame over, unless one as new went already: then one of this pair's images went alone."""
        if pair.stamp_ns > self._delivered_ns:
            self._delivered_ns = pair.stamp_ns
            self._on_pair(pair)
