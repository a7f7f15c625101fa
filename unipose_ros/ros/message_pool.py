"""Messages that are filled anew for every frame: making one takes ten times as long as filling it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Message = TypeVar("Message")


class MessagePool(Generic[Message]):
    """Hands out the same messages frame after frame; publishing copies them, so they are free again then.

    The caller fills every field that is not the same each time.

    Args:
        make: makes one with the fields that are.
    """

    def __init__(self, make: Callable[[], Message]) -> None:
        self._make = make
        self._messages: list[Message] = []
        self._taken = 0

    def begin(self) -> None:
        """All that was taken is free again."""
        self._taken = 0

    def take(self) -> Message:
        """One that was not taken since :meth:`begin`."""
        if self._taken == len(self._messages):
            self._messages.append(self._make())
        message = self._messages[self._taken]
        self._taken += 1
        return message
