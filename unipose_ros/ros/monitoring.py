"""Counters and durations that the node's threads write and the diagnostics read."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from unipose_ros.decoding import BadInputError

#: Durations kept per stage: ten seconds at 30 Hz.
_WINDOW = 300
#: Rates are taken over this many seconds.
_RATE_SPAN = 5.0
#: Different faults of one reason that are logged: a sender of ever new ones must not fill the log.
_MOST_KINDS = 10


class Statistics:
    """What happened since activation. Every method may be called from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Start anew."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        self._drops: Counter[str] = Counter()
        self._remarks: Counter[str] = Counter()
        self._ticks: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_WINDOW))
        self._durations: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_WINDOW))
        self._values: dict[str, float] = {}
        self._texts: dict[str, str] = {}

    def drop(self, reason: str) -> int:
        """Count an input that did not become a result; returns how often this reason has been met."""
        with self._lock:
            self._drops[reason] += 1
            return self._drops[reason]

    def remark(self, reason: str) -> None:
        """Count an input that became a result although something looks wrong with it."""
        with self._lock:
            self._remarks[reason] += 1

    def tick(self, event: str) -> None:
        """Note that something regular happened now."""
        with self._lock:
            self._ticks[event].append(self._clock())

    def durations(self, milliseconds: Mapping[str, float]) -> None:
        """Add one duration for each of some stages."""
        with self._lock:
            for stage, duration in milliseconds.items():
                self._durations[stage].append(duration)

    def set(self, name: str, value: float) -> None:
        """Note a momentary value, such as the number of people."""
        with self._lock:
            self._values[name] = value

    def say(self, name: str, text: str) -> None:
        """Note a momentary state in words; empty ends it."""
        with self._lock:
            self._texts.pop(name, None)
            if text:
                self._texts[name] = text

    @property
    def texts(self) -> dict[str, str]:
        """The last words noted under each name."""
        with self._lock:
            return dict(self._texts)

    @property
    def values(self) -> dict[str, float]:
        """The last value noted under each name."""
        with self._lock:
            return dict(self._values)

    @property
    def drops(self) -> dict[str, int]:
        """How many inputs were dropped, by reason."""
        with self._lock:
            return dict(self._drops)

    @property
    def remarks(self) -> dict[str, int]:
        """How many inputs something looked wrong with, by reason."""
        with self._lock:
            return dict(self._remarks)

    def rate(self, event: str) -> float:
        """Hz over the last seconds; 0 when it has stopped."""
        now = self._clock()
        with self._lock:
            recent = [tick for tick in self._ticks[event] if tick > now - _RATE_SPAN]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 and recent[-1] > recent[0] else 0.0

    def age(self, event: str) -> float:
        """Seconds since an event; infinite when there was none."""
        with self._lock:
            return self._clock() - self._ticks[event][-1] if self._ticks[event] else float("inf")

    def percentiles(self) -> dict[str, tuple[float, float]]:
        """Median and 95th percentile of every stage, in milliseconds."""
        with self._lock:
            copies = {stage: list(durations) for stage, durations in self._durations.items()}
        return {stage: tuple(np.percentile(values, (50, 95)).tolist()) for stage, values in copies.items()}


# Says what is wrong with the input: every occurrence is counted, the first of its kind is logged.


__all__ = ["BadInputError", "ThrottledLogger"]


_DIAGNOSTICS = "/diagnostics"


class ThrottledLogger:
    """Turns problems into counters and into one log line per kind. Safe to use from any thread.

    Args:
        logger: an rclpy logger.
        counted: whether the statistics are published in /diagnostics.
    """

    def __init__(self, logger: Any, statistics: Statistics, counted: bool = True) -> None:
        self._logger = logger
        self._where = f", in {_DIAGNOSTICS}" if counted else ""
        self._how_often = f"; see '{{}}' in {_DIAGNOSTICS} for how often" if counted else ""
        self._statistics = statistics
        self._lock = threading.Lock()
        self._noted: set[str] = set()
        self._kinds: dict[str, set[str]] = defaultdict(set)

    def drop(self, reason: str, text: str) -> None:
        """An input was thrown away."""
        self._statistics.drop(reason)
        self._statistics.tick("bad_input")
        # Numbers differ from frame to frame; the same sentence with others is the same problem.
        kind = re.sub(r"[0-9.]+", "#", text)
        with self._lock:
            kinds = self._kinds[reason]
            if kind in kinds or len(kinds) > _MOST_KINDS:
                return
            kinds.add(kind)
            last = len(kinds) > _MOST_KINDS
        if last:
            self._logger.error(f"'{reason}' comes in ever new forms; from now on it is only counted{self._where}")
        else:
            self._logger.error(f"{text} (logged once{self._how_often.format(reason)})")

    def remark(self, reason: str, text: str) -> None:
        """An input that was used looks wrong."""
        self._statistics.remark(reason)
        self._statistics.tick(f"remark {reason}")
        self.note(reason, text)

    def note(self, reason: str, text: str) -> None:
        """Something the user should know, though nothing was lost by it."""
        if self._first(reason):
            self._logger.warning(text)

    def recovered(self, reason: str, text: str) -> None:
        """What was noted is over; the next time it is logged again."""
        self.forget(reason)
        self._logger.info(text)

    def forget(self, reason: str) -> None:
        """Say it again the next time."""
        with self._lock:
            self._noted.discard(reason)

    def _first(self, reason: str) -> bool:
        with self._lock:
            new = reason not in self._noted
            self._noted.add(reason)
            return new
