"""The gaps between frames, in which what is done beside them is done.

Python runs one thread at a time. A search in a thread of its own therefore holds up the frame that is in work, however
many cores there are, by milliseconds each time that frame calls a function which lets others run. So such threads
take breath between their steps, and go on when the frame is done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class FrameGaps:
    """Tells threads beside the frames when a frame is done. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._in_work, self._done = 0, 0

    @contextmanager
    def frame(self) -> Iterator[None]:
        """A block in which a frame is in work."""
        with self._changed:
            self._in_work += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_work -= 1
                self._done += 1
                self._changed.notify_all()

    def wait(self, timeout: float) -> bool:
        """Wait until no frame is in work, or one was done meanwhile; whether that is so after ``timeout`` seconds.

        Where one frame follows the other, a thread thus goes on by a step with each of them.
        """
        with self._changed:
            done = self._done
            return self._changed.wait_for(lambda: not self._in_work or self._done != done, timeout)


#: Of this process, whose threads share one interpreter.
GAPS = FrameGaps()

_beside = threading.local()


@contextmanager
def beside_frames(patience: float) -> Iterator[None]:
    """A block that this thread does beside the frames: :func:`breathe` waits in it.

    Args:
        patience: seconds that all of the block waits at most; it must end also where frames leave no gaps.
    """
    _beside.patience = patience
    try:
        yield
    finally:
        _beside.patience = 0.0


def breathe() -> None:
    """Between two steps of a search: let the frame that is in work be done first, where this thread is beside it."""
    patience = getattr(_beside, "patience", 0.0)
    if patience > 0:
        began = time.monotonic()
        GAPS.wait(patience)
        _beside.patience = patience - (time.monotonic() - began)
