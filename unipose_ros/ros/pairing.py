"""Colour and depth that belong together: by equal stamps, and by near ones when there are no equal ones."""

from __future__ import annotations

import time
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
        colour: ``Image`` or ``CompressedImage``; ``None`` where depth came alone.
        depth: ``Image``, ``CompressedImage`` or ``PointCloud2``; ``None`` where colour came alone.
        stamp_ns: acquisition time of the colour image, or of depth where it came alone.
        offset_ns: how much later the depth image was taken.
    """

    colour: Any | None
    depth: Any | None
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
        alone_after: seconds; an image is delivered alone when the other topic has been silent, or no pair has
            come, for so long. 0: the other topic is not listened to. ``None``: images never go alone.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        records: tuple[StreamRecord, StreamRecord],
        on_pair: Callable[[Pair], None],
        on_jump: Callable[[str], None],
        reporter: Reporter,
        max_offset: float = 0.0,
        queue_size: int = 10,
        alone_after: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records = records
        self._on_pair = on_pair
        self._on_jump = on_jump
        self._reporter = reporter
        self._max_offset = max_offset
        self._queue_size = queue_size
        self._alone_after = alone_after
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
        self._take_time(index)
        self._unpaired[index] += 1
        self._inputs[index].signalMessage(message)
        self._relax()
        if self._goes_alone(index):
            colour, depth = (message, None) if index == 0 else (None, message)
            self._deliver(Pair(colour, depth, stamp_to_ns(stamp), 0))

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

    def _paired(self, colour: Any, depth: Any) -> None:
        self._unpaired = [0, 0]
        self._without_pair = [None, None]
        stamp = stamp_to_ns(colour.header.stamp)
        self._deliver(Pair(colour, depth, stamp, stamp_to_ns(depth.header.stamp) - stamp))

    def _deliver(self, pair: Pair) -> None:
        """Hand a frame over, unless one as new went already: then one of this pair's images went alone."""
        if pair.stamp_ns > self._delivered_ns:
            self._delivered_ns = pair.stamp_ns
            self._on_pair(pair)
