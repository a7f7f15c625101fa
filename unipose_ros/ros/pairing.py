"""Colour and depth that belong together: by equal stamps, and by near ones when there are no equal ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import message_filters

from unipose_ros.ros.reporter import Reporter
from unipose_ros.ros.streams import StreamRecord, stamp_to_ns

#: After so many messages on both topics without an equal stamp, near stamps are accepted.
PATIENCE = 10


@dataclass(frozen=True)
class Pair:
    """One frame as it came from the topics.

    Attributes:
        colour: ``Image`` or ``CompressedImage``.
        depth: ``Image``, ``CompressedImage`` or ``PointCloud2``.
        stamp_ns: acquisition time of the colour image.
        offset_ns: how much later the depth image was taken.
    """

    colour: Any
    depth: Any
    stamp_ns: int
    offset_ns: int


class Pairing:
    """Feeds message_filters and survives what they do not.

    An exception in a callback would leave their lock held for ever, and a stamp they cannot
    read would end the executor: so ``guard`` lets only sound stamps in, and the callback given
    here must not raise. Must be used from one thread.

    Args:
        records: of the colour and the depth topic.
        on_pair: stores the pair and returns at once.
        on_jump: called when stamps go back; must call :meth:`restart`. The first message of the new time follows.
        reporter: counts what is refused and says why, once.
        max_offset: seconds; 0 for half of the measured frame period.
    """

    def __init__(
        self,
        records: tuple[StreamRecord, StreamRecord],
        on_pair: Callable[[Pair], None],
        on_jump: Callable[[str], None],
        reporter: Reporter,
        max_offset: float = 0.0,
        queue_size: int = 10,
    ) -> None:
        self._records = records
        self._on_pair = on_pair
        self._on_jump = on_jump
        self._reporter = reporter
        self._max_offset = max_offset
        self._queue_size = queue_size
        self.restart()

    @property
    def exact(self) -> bool:
        """Whether only equal stamps are paired."""
        return self._slop is None

    def restart(self) -> None:
        """Forget all queued messages and begin with equal stamps again."""
        self._slop: float | None = None
        self._unpaired = [0, 0]
        self._connect()

    def add_colour(self, message: Any) -> None:
        """Take a message of the colour topic."""
        self._add(0, message)

    def add_depth(self, message: Any) -> None:
        """Take a message of the depth topic."""
        self._add(1, message)

    def _connect(self) -> None:
        """A fresh synchroniser: message_filters cannot empty one, and old queues block it after a jump."""
        self._inputs = [message_filters.SimpleFilter(), message_filters.SimpleFilter()]
        if self._slop is None:
            sync = message_filters.TimeSynchronizer(self._inputs, queue_size=self._queue_size)
        else:
            # Keywords only: Kilted put another parameter in between.
            sync = message_filters.ApproximateTimeSynchronizer(
                self._inputs, queue_size=self._queue_size, slop=self._slop, allow_headerless=False
            )
        sync.registerCallback(self._paired)

    def _add(self, index: int, message: Any) -> None:
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
        if record.see(stamp_to_ns(stamp)):
            # The partner will jump too; that is the same event.
            self._records[1 - index].forget_time()
            self._on_jump(f"stamps on {record.topic} went back")
        self._unpaired[index] += 1
        self._inputs[index].signalMessage(message)
        self._relax()

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

    def _paired(self, colour: Any, depth: Any) -> None:
        self._unpaired = [0, 0]
        stamp = stamp_to_ns(colour.header.stamp)
        self._on_pair(Pair(colour, depth, stamp, stamp_to_ns(depth.header.stamp) - stamp))
