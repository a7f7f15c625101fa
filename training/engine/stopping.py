"""When a run stops before its last step: its time is over, or it was asked to."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Literal

from typing_extensions import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """Watches the clock and, while entered, the signals that ask for an end.

    The second signal of a kind does what it always did, for those who cannot wait for the step.

    Args:
        minutes: the limit; 0 for none.
    """

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes if minutes else float("inf")
        self._asked = False
        self._before: dict[signal.Signals, Any] = {}

    @property
    def reason(self) -> Literal["time", "signal"] | None:
        """Why the run is to stop after this step, or None."""
        if self._asked:
            return "signal"
        return "time" if time.monotonic() >= self._end else None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python allows no other to do this
            self._before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        signal.signal(number, self._before[signal.Signals(number)])
