"""Which stamps of one topic to believe: one line of time, whatever else arrives.

Drivers stamp an image late now and then, or with a time from the future; a second camera or a replay may be remapped
onto the same topic; a recording starts again. Only the last of these is a new time, and it is told from the others by
going on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from statistics import median

_SECOND = 1_000_000_000
#: Stamp differences kept for the frame period.
_PERIODS = 30
#: A stamp this far back is late; farther back it is of another time.
LATE_NS = _SECOND
#: A stamp is ahead of its time by more than so many frame periods, and at least so many nanoseconds, beyond what the
#: time since the last message allows (so many times of it: recordings are played faster than real time).
_AHEAD_PERIODS, _AHEAD_NS, _AHEAD_RATE = 5, 250_000_000, 4.0
#: While the frame period is not known, steps of a second are no surprise.
_AHEAD_UNKNOWN_NS = _SECOND
#: Another time is believed when so many messages of it come in a row; or so many when it was left a short time ago:
#: then two sources alternate.
_CONFIRMED, _CONFIRMED_AGAIN = 3, 15
#: Seconds for which a time that was left is kept, and after which a silent one is given up at once.
_KEPT_S, _SILENT_S = 20.0, 2.0
#: Messages of one publisher that may be lost in a row.
_MOST_LOST = 50


class Verdict(Enum):
    """What a stamp is."""

    NEXT = "the next of its time"
    REPEATED = "the same as before"
    LATE = "a little before the newest"
    STRAY = "of another time, which may not last"
    JUMP = "the first of a new time"
    FOREIGN = "from another publisher than the one that is listened to"


@dataclass
class _End:
    """Where a line of time stood.

    Attributes:
        stamp_ns: its newest stamp.
        at: when that came, in seconds of a steady clock.
    """

    stamp_ns: int
    at: float


@dataclass
class TimeLine:
    """Judges the stamps of one topic in the order of their arrival.

    Attributes:
        steps_ns: last differences between successive stamps.
        stray_ns: how far the newest stray stamp was ahead (positive) or behind.
    """

    steps_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_PERIODS))
    stray_ns: int = 0
    _end: _End | None = None
    _other: _End | None = None
    _others: int = 0
    _left: _End | None = None

    @property
    def newest_ns(self) -> int | None:
        """Newest stamp that was believed; ``None`` before the first."""
        return None if self._end is None else self._end.stamp_ns

    @property
    def period(self) -> float | None:
        """Median frame period in seconds; ``None`` until it can be told."""
        return median(self.steps_ns) / _SECOND if len(self.steps_ns) >= 3 else None

    def forget(self) -> None:
        """Take the next stamp as it comes."""
        self._end = self._other = self._left = None
        self._others = 0
        self.steps_ns.clear()

    def see(self, stamp_ns: int, now: float) -> Verdict:
        """Judge a stamp.

        Args:
            now: seconds of a steady clock.
        """
        end = self._end
        if end is None:
            self._end = _End(stamp_ns, now)
            return Verdict.NEXT
        step = stamp_ns - end.stamp_ns
        if -LATE_NS < step <= 0:
            self._other = None
            return Verdict.LATE if step else Verdict.REPEATED
        if step > 0 and self._continues(end, stamp_ns, now):
            self._other = None
            self.steps_ns.append(step)
            self._end = _End(stamp_ns, now)
            return Verdict.NEXT
        return self._stray(end, stamp_ns, now)

    def _continues(self, end: _End, stamp_ns: int, now: float) -> bool:
        """Whether a stamp can be the next one after the end of a line."""
        allowed = _AHEAD_UNKNOWN_NS
        if self.period is not None:
            allowed = max(_AHEAD_NS, round(_AHEAD_PERIODS * self.period * _SECOND))
        allowed += round(_AHEAD_RATE * max(now - end.at, 0.0) * _SECOND)
        return -LATE_NS < stamp_ns - end.stamp_ns <= allowed

    def _stray(self, end: _End, stamp_ns: int, now: float) -> Verdict:
        self.stray_ns = stamp_ns - end.stamp_ns
        goes_on = self._other is not None and self._continues(self._other, stamp_ns, now)
        self._others = self._others + 1 if goes_on else 1
        self._other = _End(max(stamp_ns, self._other.stamp_ns) if goes_on and self._other else stamp_ns, now)
        left = self._left
        again = left is not None and now - left.at < _KEPT_S and self._continues(left, stamp_ns, now)
        needed = _CONFIRMED_AGAIN if again else _CONFIRMED
        if self._others < needed and now - end.at < _SILENT_S:
            return Verdict.STRAY
        self._left, self._end, self._other = end, self._other, None
        if self.stray_ns > 0:
            # Stamps that went ahead and stay there are no reason to drop tracks.
            return Verdict.NEXT
        self.steps_ns.clear()
        return Verdict.JUMP


@dataclass
class _Source:
    """One publisher, by the sequence number of its newest message and when that came."""

    sequence: int
    at: float


@dataclass
class Sources:
    """Tells the publishers of one topic apart by their sequence numbers, and keeps to one of them.

    Not every middleware gives sequence numbers; without them all messages are taken.
    """

    _sources: list[_Source] = field(default_factory=list)
    _chosen: _Source | None = None

    def is_foreign(self, sequence: int | None, now: float, several: bool) -> bool:
        """Whether a message is of another publisher than the chosen one.

        Args:
            sequence: of the publication.
            now: seconds of a steady clock.
            several: whether the topic has more than one publisher at all.
        """
        if sequence is None:
            return False
        self._sources = [source for source in self._sources if now - source.at < _SILENT_S]
        if not any(source is self._chosen for source in self._sources):
            self._chosen = None
        source = self._source_of(sequence)
        if source is None:
            source = _Source(sequence, now)
            self._sources.append(source)
        source.sequence, source.at = sequence, now
        if self._chosen is None or not several:
            self._chosen = source
        return source is not self._chosen

    def _source_of(self, sequence: int) -> _Source | None:
        """Whose next message it is; of the chosen one, or another, some may have been lost."""
        by_gap = sorted(self._sources, key=lambda source: (source is not self._chosen, -source.sequence))
        following = [source for source in by_gap if source.sequence + 1 == sequence]
        near = [source for source in by_gap if 0 < sequence - source.sequence <= _MOST_LOST]
        return next(iter(following or near), None)
