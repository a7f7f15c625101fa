"""One worker thread that always gets the newest item and never a queue."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class LatestSlot(Generic[Item]):
    """Holds at most one item: the newest. Safe between one or more writers and one reader."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: Item | None = None
        self._closed = False

    def put(self, item: Item) -> bool:
        """Store an item; returns whether an unread one was thrown away for it."""
        with self._changed:
            replaced = self._item is not None
            self._item = item
            self._changed.notify()
            return replaced

    def take(self) -> Item | None:
        """Wait for an item; ``None`` once the slot is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed)
            item, self._item = self._item, None
            return None if self._closed else item

    def clear(self) -> None:
        """Forget an unread item."""
        with self._changed:
            self._item = None

    def close(self) -> None:
        """Wake the reader and let it end."""
        with self._changed:
            self._closed = True
            self._changed.notify()


class Worker(Generic[Item]):
    """Runs ``process`` on the newest item in a thread of its own.

    Args:
        process: must not raise; it is the thread's last line of defence.
    """

    def __init__(self, process: Callable[[Item], None]) -> None:
        self._process = process
        self._slot: LatestSlot[Item] = LatestSlot()
        # A daemon, so that a network that hangs cannot keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="unipose_worker", daemon=True)
        self._thread.start()

    def put(self, item: Item) -> bool:
        """Hand over an item; returns whether an older, unread one was dropped."""
        return self._slot.put(item)

    def clear(self) -> None:
        """Forget an item that has not been taken up yet."""
        self._slot.clear()

    def stop(self, timeout: float = 10.0) -> bool:
        """End after the item in work; returns whether the thread ended in ``timeout`` seconds."""
        self._slot.close()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._slot.take()) is not None:
            self._process(item)
