"""Work that is done beside the frames, in a thread with a bounded share of the time; no frame waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from unipose_ros.frame import RgbdFrame

_log = logging.getLogger(__name__)

#: What was found in a frame says nothing this long after it, in nanoseconds.
_STALE_NS = 500_000_000

Result = TypeVar("Result")


class BackgroundTask(Generic[Result]):
    """Does one piece of work at a time in a thread of its own, and rests after it.

    Only one other thread may use it.

    Args:
        name: of the thread.
        share: most of one core's time that the work may take, in (0, 1].
    """

    def __init__(self, name: str, share: float) -> None:
        self._name = name
        self._share = share
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._job: tuple[int, Callable[[], Result]] | None = None
        self._found: tuple[int, Result] | None = None
        self._rests_until = 0.0
        # What was begun under an older number is not handed out.
        self._generation = 0
        self._closed = False

    def offer(self, frame: RgbdFrame, work: Callable[[], Result]) -> bool:
        """Begin a piece of work about a frame, unless another is in work or the last one used up the share of time.

        Returns:
            Whether it was begun.
        """
        with self._changed:
            if self._job is not None or self._closed or time.monotonic() < self._rests_until:
                return False
            self._job = (frame.stamp_ns, work)
            if self._thread is None:
                # A daemon, so that it never keeps the process from ending.
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()
            return True

    def take(self, frame: RgbdFrame) -> Result | None:
        """What was found since it was last asked for; ``None`` without anything, or when it is too old for a frame."""
        with self._changed:
            found, self._found = self._found, None
        if found is None or not 0 <= frame.stamp_ns - found[0] < _STALE_NS:
            return None
        return found[1]

    def wait(self, timeout: float) -> bool:
        """Wait until nothing is in work; whether that is so after ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._job is None, timeout)

    def reset(self) -> None:
        """Forget what was found, and what is being found now."""
        with self._changed:
            self._generation += 1
            self._found = None

    def close(self) -> None:
        """End the thread after what is in work."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._job is not None or self._closed)
                if self._closed or self._job is None:
                    return
                (stamp_ns, work), generation = self._job, self._generation
            found = self._done(work, stamp_ns)
            with self._changed:
                if found is not None and generation == self._generation:
                    self._found = (stamp_ns, found)
                self._job = None
                self._changed.notify_all()

    def _done(self, work: Callable[[], Result], stamp_ns: int) -> Result | None:
        # The thread's own time, without what it waits for others: that is what it takes from the machine.
        began = time.thread_time()
        try:
            return work()
        except Exception:  # the next frame deserves its chance, and a dead thread would go unnoticed
            if not self._closed:
                _log.exception("%s: the frame of %d ns was given up", self._name, stamp_ns)
            return None
        finally:
            self._rests_until = time.monotonic() + (time.thread_time() - began) * (1 / self._share - 1)
