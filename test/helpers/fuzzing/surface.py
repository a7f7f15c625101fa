"""A surface is something that reads what others made: it makes wrong inputs, and reads them."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar


class Surface(ABC):
    """One thing that reads.

    Attributes:
        name: of it.
        about: what it reads, in words.
        refusals: its own errors; whatever else is raised is a finding.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    refusals: ClassVar[tuple[type[Exception], ...]]

    def __init__(self, folder: Path) -> None:
        """Make valid inputs.

        Args:
            folder: an empty one, for files.
        """
        self.folder = folder

    @abstractmethod
    def generate(self, rng: random.Random) -> bytes:
        """An input, mostly a wrong one. Equal states of ``rng`` give equal inputs."""

    @abstractmethod
    def read(self, case: bytes) -> None:
        """Read an input.

        Raises:
            AssertionError: it was accepted, but what came out breaks a promise.
        """

    def close(self) -> None:  # noqa: B027  # most hold nothing
        """Let go of what was opened."""


def memory_is_behind(error: BaseException) -> bool:
    """Whether an error came of a request for more memory than there may be."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError) or "Failed to allocate" in str(seen) or "bad_alloc" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
