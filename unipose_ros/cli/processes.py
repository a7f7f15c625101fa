"""Child processes that always end: bounded in time, stopped with Ctrl-C first, killed last."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from unipose_ros.termination import signal_on_parent_end

#: How long a process may take to end after Ctrl-C before it is killed, seconds.
GRACE = 10.0
_POLL = 0.1
_TAIL = 20


class ProcessError(RuntimeError):
    """A child process failed or did not end in time; the text carries the end of its log."""


@dataclass(frozen=True)
class Child:
    """A running process and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self.log.read_text(errors="replace")


class Processes:
    """Starts processes and, on leaving the ``with`` block, stops those that still run.

    Each gets a process group of its own, so that a Ctrl-C at the terminal reaches only the
    parent, which then stops its children in order.
    """

    def __init__(self, log_folder: Path, environment: Mapping[str, str]) -> None:
        self.logs = log_folder
        self._environment = {**os.environ, **environment}
        self._children: list[Child] = []

    def __enter__(self) -> Processes:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self._children):
            self.stop(child)

    def start_module(self, name: str, module: str, arguments: Sequence[str]) -> Child:
        """Run ``python -m module arguments`` with this Python; its output goes to ``name.log``."""
        log = self.logs / f"{name}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdout=stream,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self._environment,
                start_new_session=True,
                preexec_fn=_prepare,
            )
        child = Child(name, process, log)
        self._children.append(child)
        return child

    def wait(self, child: Child, seconds: float, poll: Callable[[], None] = lambda: None) -> None:
        """Wait for a child to end by itself, calling ``poll`` meanwhile.

        Raises:
            ProcessError: it failed, did not end in time, or another child died.
        """
        deadline = time.monotonic() + seconds
        while child.process.poll() is None:
            if time.monotonic() > deadline:
                raise ProcessError(f"{child.name} did not end within {seconds:.0f} s\n{_tail(child)}")
            self.check(except_for=child)
            poll()
            time.sleep(_POLL)
        if child.process.returncode != 0:
            raise ProcessError(f"{child.name} failed with status {child.process.returncode}\n{_tail(child)}")

    def check(self, except_for: Child | None = None) -> None:
        """Notice a child that died early.

        Raises:
            ProcessError: one did.
        """
        for child in self._children:
            if child is not except_for and child.process.poll() not in (None, 0):
                raise ProcessError(f"{child.name} died with status {child.process.returncode}\n{_tail(child)}")

    def stop(self, child: Child) -> int:
        """End a child: Ctrl-C, then kill after :data:`GRACE` seconds.

        Returns:
            Its exit status.
        """
        if child.process.poll() is None:
            child.process.send_signal(signal.SIGINT)
            try:
                child.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                child.process.kill()
        return child.process.wait()


def _prepare() -> None:
    """A shell without job control starts its background jobs deaf to Ctrl-C, and their children would be, too.

    When this process is killed, its children are told to end.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal_on_parent_end(signal.SIGTERM)


def _tail(child: Child) -> str:
    return "\n".join(f"  {child.name}: {line}" for line in child.output.splitlines()[-_TAIL:])
