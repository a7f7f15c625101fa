"""Which color image of a recording goes with which depth image."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np


def pair_stamps(color: Sequence[int], depth: Sequence[int], max_gap_ns: int | None = None) -> dict[int, int]:
    """Pair two streams by their stamps, each image at most once, as the robot does.

    Args:
        color, depth: stamps in nanoseconds, in any order, without repetitions.
        max_gap_ns: near stamps differ by less than this; half of the slower stream's period when ``None``.

    Returns:
        Stamp of the color image by stamp of the depth image.
    """
    pairing: StampPairing[int] = StampPairing(max_gap_ns or 0)
    arrivals = sorted((stamp, stream) for stream, stamps in enumerate((color, depth)) for stamp in stamps)
    pairs = [pair for stamp, stream in arrivals for pair in pairing.add(stream, stamp, stamp)]
    return {depth_stamp: color_stamp for color_stamp, depth_stamp in [*pairs, *pairing.finish()]}


# Which color image belongs to which depth image, by their stamps: one rule on the robot and in recordings.
#
# Equal stamps belong together. When neither stream has an equal stamp for ten messages, drivers do not
# synchronize their cameras, and the nearest stamps within half of the slower stream's period belong together
# (the rule of message_filters' ``ApproximateTimeSynchronizer``: a message takes the nearest one that waits, at once).

#: After so many messages on both streams without an equal stamp, near stamps are accepted.
PATIENCE = 10
#: Stamp differences that the period is the median of, and how many it takes to know it while more are to come.
_PERIODS, _LEAST_PERIODS = 30, 3

Item = TypeVar("Item")


class StampPairing(Generic[Item]):
    """Takes the items of two streams as they come, and says which belong together.

    Args:
        max_offset_ns: near stamps differ by less than this; 0 for half of the slower stream's period.
        queue_size: items of each stream that wait for a partner; the one with the oldest stamp gives way.
    """

    def __init__(self, max_offset_ns: int = 0, queue_size: int = 10) -> None:
        self._max_offset_ns = max_offset_ns
        self._queue_size = queue_size
        self.restart()

    @property
    def slop_ns(self) -> float | None:
        """How far apart stamps may be; ``None`` while only equal ones are paired."""
        return self._slop_ns

    def restart(self) -> None:
        """Forget everything that waits and begin with equal stamps again."""
        self._waiting: tuple[dict[int, Item], dict[int, Item]] = ({}, {})
        self._steps: tuple[deque[int], ...] = (deque(maxlen=_PERIODS), deque(maxlen=_PERIODS))
        self._last: list[int | None] = [None, None]
        self._unpaired = [0, 0]
        self._paired_exactly = False
        self._slop_ns: float | None = None

    def add(self, stream: int, stamp_ns: int, item: Item) -> list[tuple[Item, Item]]:
        """Take one item.

        Args:
            stream: 0 or 1.
            stamp_ns: its stamp.

        Returns:
            The pairs that this completes, oldest first, each with the item of stream 0 before that of stream 1:
            at most one, but for the moment in which near stamps are accepted: then also those that have waited.
        """
        self._see(stream, stamp_ns)
        self._waiting[stream][stamp_ns] = item
        while len(self._waiting[stream]) > self._queue_size:
            del self._waiting[stream][min(self._waiting[stream])]
        self._unpaired[stream] += 1
        pair = self._match(stream, stamp_ns)
        if pair is not None:
            return [pair]
        return self._relax(_LEAST_PERIODS) if min(self._unpaired) >= PATIENCE else []

    def finish(self) -> list[tuple[Item, Item]]:
        """No more will come: if there never was an equal stamp, what waits is paired by near ones."""
        return [] if self._paired_exactly else self._relax(1)

    def _see(self, stream: int, stamp_ns: int) -> None:
        previous, self._last[stream] = self._last[stream], stamp_ns
        if previous is not None and stamp_ns > previous:
            self._steps[stream].append(stamp_ns - previous)

    def _match(self, stream: int, stamp_ns: int) -> tuple[Item, Item] | None:
        others = self._waiting[1 - stream]
        partner = stamp_ns if stamp_ns in others else self._nearest(stamp_ns, others)
        if partner is None:
            return None
        self._paired_exactly |= partner == stamp_ns
        self._unpaired = [0, 0]
        own, other = self._waiting[stream].pop(stamp_ns), others.pop(partner)
        return (own, other) if stream == 0 else (other, own)

    def _nearest(self, stamp_ns: int, others: dict[int, Item]) -> int | None:
        if self._slop_ns is None or not others:
            return None
        nearest = min(others, key=lambda stamp: (abs(stamp - stamp_ns), stamp))
        return nearest if abs(nearest - stamp_ns) < self._slop_ns else None

    def _relax(self, least: int) -> list[tuple[Item, Item]]:
        """Accept near stamps from now on, and give those that have waited, as they would have been paired."""
        periods = [float(np.median(steps)) for steps in self._steps if len(steps) >= least]
        if self._slop_ns is not None or not (periods or self._max_offset_ns):
            return []
        # The slower stream sets the pace: half of its period cannot confuse two frames.
        self._slop_ns = self._max_offset_ns or max(periods) / 2
        waited, self._waiting = self._waiting, ({}, {})
        arrivals = sorted((stamp, stream) for stream in (0, 1) for stamp in waited[stream])
        pairs = []
        for stamp, stream in arrivals:
            self._waiting[stream][stamp] = waited[stream][stamp]
            pair = self._match(stream, stamp)
            pairs += [] if pair is None else [pair]
        return pairs
