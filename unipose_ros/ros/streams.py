"""One input topic: its subscription, what has been seen on it, and the guard in front of the pairing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import message_filters
import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

from unipose_ros.ros.reporter import Reporter

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble has it under its old name
    from rclpy.qos_event import SubscriptionEventCallbacks

_SECOND = 1_000_000_000
#: Stamp differences remembered for the frame period.
_PERIODS = 30


def sensor_qos(depth: int = 5) -> QoSProfile:
    """What a subscriber of camera topics asks for: the newest few, without repair of lost ones."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.VOLATILE,
    )


def stamp_to_ns(stamp: Any) -> int:
    """``builtin_interfaces/Time`` -> nanoseconds."""
    return int(stamp.sec) * _SECOND + int(stamp.nanosec)


@dataclass
class StreamRecord:
    """What has been seen on one topic.

    Attributes:
        topic: resolved name.
        count: messages received.
        last_stamp_ns: stamp of the newest message; ``None`` before the first.
        steps_ns: last differences between successive stamps.
    """

    topic: str
    count: int = 0
    last_stamp_ns: int | None = None
    steps_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_PERIODS))

    @property
    def period(self) -> float | None:
        """Median frame period in seconds; ``None`` until it can be told."""
        return float(np.median(self.steps_ns)) / _SECOND if len(self.steps_ns) >= 3 else None

    def see(self, stamp_ns: int) -> bool:
        """Take note of a message; returns whether time went back since the one before."""
        previous, self.last_stamp_ns = self.last_stamp_ns, stamp_ns
        self.count += 1
        if previous is None or stamp_ns >= previous:
            if previous is not None and stamp_ns > previous:
                self.steps_ns.append(stamp_ns - previous)
            return False
        self.steps_ns.clear()
        return True

    def forget_time(self) -> None:
        """Take the next stamp as it comes."""
        self.last_stamp_ns = None
        self.steps_ns.clear()

    def describe(self, subscription: Any) -> str:
        """One line for the warning that no frames come."""
        qos = subscription.qos_profile
        stamp = "none" if self.last_stamp_ns is None else f"{self.last_stamp_ns / _SECOND:.3f}"
        return f"{self.topic}: {self.count} messages, {qos.reliability.name} depth {qos.depth}, last stamp {stamp}"


def subscribe(
    node: Node, message_type: type, topic: str, callback: Callable[[Any], None], reporter: Reporter
) -> message_filters.Subscriber:
    """Subscribe with sensor QoS that the user can override, and explain an incompatible publisher."""

    def incompatible(event: Any) -> None:
        reporter.note(
            f"incompatible_qos {topic}",
            f"a publisher of {topic} offers an incompatible QoS and nothing will come from it; set "
            f"qos_overrides.{topic}.subscription.reliability (and .durability) to what it offers: "
            f"'ros2 topic info -v {topic}'",
        )

    subscriber = message_filters.Subscriber(
        node, message_type, topic,
        qos_profile=sensor_qos(),
        qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        event_callbacks=SubscriptionEventCallbacks(incompatible_qos=incompatible),
    )  # fmt: skip
    subscriber.registerCallback(callback)
    return subscriber
