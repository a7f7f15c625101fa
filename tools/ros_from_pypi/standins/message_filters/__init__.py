"""Stand-in for ``message_filters``: a subscriber as a filter, and the two synchronizers.

Signatures are those of Jazzy; Kilted inserts ``queue_offset`` before ``allow_headerless``, so
callers name their arguments.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.clock import ROSClock
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.time import Time

__all__ = ["ApproximateTimeSynchronizer", "SimpleFilter", "Subscriber", "TimeSynchronizer"]

#: Messages of one input by stamp in nanoseconds.
Queue = dict[int, Any]


class SimpleFilter:
    """Something with an output that callbacks can be connected to."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callable[..., None], tuple[Any, ...]]] = {}

    def registerCallback(self, cb: Callable[..., None], *args: Any) -> int:
        """Call ``cb(*messages, *args)`` for every output; returns the connection's number."""
        connection = len(self.callbacks)
        self.callbacks[connection] = (cb, args)
        return connection

    def signalMessage(self, *msg: Any) -> None:
        """Hand an output to all connected callbacks."""
        for callback, args in list(self.callbacks.values()):
            callback(*msg, *args)


class Subscriber(SimpleFilter):
    """A subscription whose messages are the filter's output."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the node, then what ``create_subscription`` takes, without the callback.

        Args:
            args: node, message type, topic.
            kwargs: handed on to ``create_subscription``; ``qos_profile`` is 10 if not given.
        """
        super().__init__()
        self.node: Node = args[0]
        self.topic: str = args[2]
        kwargs.setdefault("qos_profile", 10)
        self.sub = self.node.create_subscription(*args[1:], self.callback, **kwargs)

    def callback(self, msg: Any) -> None:
        """Pass a message on."""
        self.signalMessage(msg)

    def getTopic(self) -> str:
        """The topic as it was given."""
        return self.topic

    def __getattr__(self, key: str) -> Any:
        """Everything else is the subscription's."""
        if key == "sub":  # not there yet: the subscription could not be created
            raise AttributeError(key)
        return getattr(self.sub, key)


class TimeSynchronizer(SimpleFilter):
    """Calls back with one message of every input, all of the same stamp, oldest stamp first."""

    def __init__(self, fs: Sequence[SimpleFilter], queue_size: int) -> None:
        super().__init__()
        self.connectInput(fs)
        self.queue_size = queue_size
        self.lock = threading.Lock()

    def connectInput(self, fs: Sequence[SimpleFilter]) -> None:
        """Listen to these filters."""
        self.queues: list[Queue] = [{} for _ in fs]
        self.input_connections = [
            source.registerCallback(self.add, queue, index)
            for index, (source, queue) in enumerate(zip(fs, self.queues, strict=True))
        ]

    def add(self, msg: Any, my_queue: Queue, my_queue_index: int | None = None) -> None:
        """Take a message of one input. The callbacks run inside the lock, as they do upstream."""
        with self.lock:
            self._store(my_queue, Time.from_msg(msg.header.stamp).nanoseconds, msg)
            for stamp in sorted(set.intersection(*map(set, self.queues))):
                self._emit([stamp] * len(self.queues))

    def _store(self, queue: Queue, stamp: int, msg: Any) -> None:
        queue[stamp] = msg
        while len(queue) > self.queue_size:
            del queue[min(queue)]

    def _emit(self, stamps: Sequence[int]) -> None:
        messages = [queue[stamp] for queue, stamp in zip(self.queues, stamps, strict=True)]
        self.signalMessage(*messages)
        for queue, stamp in zip(self.queues, stamps, strict=True):
            del queue[stamp]


class ApproximateTimeSynchronizer(TimeSynchronizer):
    """Calls back with messages whose stamps lie less than ``slop`` seconds apart.

    The comparison is strict: with ``slop=0`` not even equal stamps match.
    """

    def __init__(
        self, fs: Sequence[SimpleFilter], queue_size: int, slop: float, allow_headerless: bool = False
    ) -> None:
        super().__init__(fs, queue_size)
        self.slop = Duration(seconds=slop)
        self.allow_headerless = allow_headerless

    def add(self, msg: Any, my_queue: Queue, my_queue_index: int | None = None) -> None:
        """Take a message of one input and match it with the nearest ones of the others."""
        stamp = self._stamp_of(msg)
        if stamp is None:
            return
        with self.lock:
            self._store(my_queue, stamp, msg)
            candidates = [[stamp] if queue is my_queue else self._near(queue, stamp) for queue in self.queues]
            for stamps in itertools.product(*candidates):
                if max(stamps) - min(stamps) < self.slop.nanoseconds and self._held(stamps):
                    self._emit(stamps)
                    break

    def _near(self, queue: Queue, stamp: int) -> list[int]:
        within = (other for other in queue if abs(other - stamp) <= self.slop.nanoseconds)
        return sorted(within, key=lambda other: abs(other - stamp))

    def _held(self, stamps: Sequence[int]) -> bool:
        """A message older than the whole queue was dropped as soon as it was stored."""
        return all(stamp in queue for queue, stamp in zip(self.queues, stamps, strict=True))

    def _stamp_of(self, msg: Any) -> int | None:
        stamp = getattr(getattr(msg, "header", None), "stamp", None)
        if stamp is not None:
            return int(stamp.nanoseconds if hasattr(stamp, "nanoseconds") else Time.from_msg(stamp).nanoseconds)
        if self.allow_headerless:
            return int(ROSClock().now().nanoseconds)
        get_logger("message_filters_approx").warning(
            "a message without a stamp is dropped; allow_headerless=True gives it the time of its arrival"
        )
        return None
