"""Names for people: five lower-case letters, never the same twice."""

from __future__ import annotations

import random
import string

_LENGTH = 5
_AVAILABLE = len(string.ascii_lowercase) ** _LENGTH


class IdGenerator:
    """Draws ids that are valid in TF frame and ROS names (REP-155) and never repeat in its lifetime.

    Args:
        seed: makes the sequence repeatable; ``None`` draws another one each time.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)
        self._issued: set[str] = set()

    def __call__(self) -> str:
        """A new id.

        Raises:
            RuntimeError: all 11 881 376 are used.
        """
        if len(self._issued) >= _AVAILABLE:
            raise RuntimeError(f"all {_AVAILABLE} ids are used; restart the node")
        while True:
            candidate = "".join(self._random.choices(string.ascii_lowercase, k=_LENGTH))
            if candidate not in self._issued:
                self._issued.add(candidate)
                return candidate
