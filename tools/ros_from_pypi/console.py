"""What the set-up says: one line per step with its time, one line per thing that is missing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Console:
    """Prints progress and keeps the notes for the end, where they are read."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._start = time.monotonic()

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step, then say how long it took."""
        start = time.monotonic()
        print(f"[{start - self._start:6.1f} s] {title} ...", flush=True)
        yield
        print(f"[{time.monotonic() - self._start:6.1f} s] {title}: {time.monotonic() - start:.1f} s", flush=True)

    def detail(self, text: str) -> None:
        """Something worth seeing while a step runs, such as a large download."""
        print(f"             {text}", flush=True)

    def note(self, text: str) -> None:
        """Something is missing: say so now and again at the end."""
        self.notes.append(text)
        print(f"             missing: {text}", file=sys.stderr, flush=True)

    def summary(self) -> None:
        """The closing lines."""
        for note in self.notes:
            print(f"missing: {note}", file=sys.stderr)
        state = "ready" if not self.notes else "ready, apart from what is missing"
        print(f"set-up {state}, {time.monotonic() - self._start:.1f} s", flush=True)
