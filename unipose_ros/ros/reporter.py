"""Says what is wrong with the input: every occurrence is counted, the first of its kind is logged."""

from __future__ import annotations

import re
import threading
from typing import Any

from unipose_ros.ros.statistics import Statistics


class BadInputError(ValueError):
    """An input cannot become a frame.

    Attributes:
        reason: short key under which it is counted in the diagnostics.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Reporter:
    """Turns problems into counters and into one log line per kind. Safe to use from any thread.

    Args:
        logger: an rclpy logger.
    """

    def __init__(self, logger: Any, statistics: Statistics) -> None:
        self._logger = logger
        self._statistics = statistics
        self._lock = threading.Lock()
        self._said: set[str] = set()

    def drop(self, reason: str, text: str) -> None:
        """An input was thrown away."""
        self._statistics.drop(reason)
        self._statistics.tick("bad_input")
        # Numbers differ from frame to frame; the same sentence with others is the same problem.
        if self._first(re.sub(r"[0-9.]+", "#", text)):
            self._logger.error(f"{text} (said once; see '{reason}' in /diagnostics for how often)")

    def note(self, reason: str, text: str) -> None:
        """Something the user should know, though nothing was lost by it."""
        if self._first(reason):
            self._logger.warning(text)

    def recovered(self, reason: str, text: str) -> None:
        """What was noted is over; the next time it is said again."""
        self.forget(reason)
        self._logger.info(text)

    def forget(self, reason: str) -> None:
        """Say it again the next time."""
        with self._lock:
            self._said.discard(reason)

    def _first(self, reason: str) -> bool:
        with self._lock:
            new = reason not in self._said
            self._said.add(reason)
            return new
