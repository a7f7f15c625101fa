"""How processes end: on SIGTERM as on Ctrl-C, in time, and never later than the process that started them."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_ENDS = (signal.SIGINT, signal.SIGTERM)
#: Seconds from a signal to the end of a process that does not manage by itself, and from there to that by the kernel.
#: ROS 2's launch kills after five.
_PATIENCE_S, _LAST_S = 3.0, 1.0
#: PR_SET_PDEATHSIG of <linux/prctl.h>: the signal that a process gets when its parent ends.
_PR_SET_PDEATHSIG = 1


class Terminated(KeyboardInterrupt):
    """SIGTERM has come; what is open is closed as after Ctrl-C."""


def exit_status(interruption: KeyboardInterrupt) -> int:
    """What shells report for a command that a signal ended: 143 after SIGTERM, 130 after Ctrl-C."""
    return 128 + (signal.SIGTERM if isinstance(interruption, Terminated) else signal.SIGINT)


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """In this block SIGTERM raises :class:`Terminated`; a second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():  # Python allows no other to do this
        yield
        return

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise Terminated

    before = signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def ended_in_time(status: int | None = None) -> Iterator[None]:
    """A process that is still in this block three seconds after SIGINT or SIGTERM is ended as it is.

    Handlers of Python wait for calls into libraries to return, as does a training for its step, and a render for its
    frame. Files must be whole whenever the process ends.

    Args:
        status: to exit with then; by default the one that shells report for the signal.
    """
    if threading.current_thread() is not threading.main_thread():  # Python allows no other to watch signals
        yield
        return
    ends, writable = os.pipe()
    os.set_blocking(writable, False)
    before = signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    _watching.append(writable)
    watch = _Watch(status)
    threading.Thread(target=watch.run, args=(ends,), daemon=True, name="ended_in_time").start()
    try:
        yield
    finally:
        watch.stop()
        signal.set_wakeup_fd(before)
        _watching.remove(writable)
        os.close(writable)


class _Watch:
    """Reads the numbers of signals from a pipe; the first of an end counts."""

    def __init__(self, status: int | None) -> None:
        self._status = status
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._armed = False

    def stop(self) -> None:
        """The process has managed by itself."""
        with self._lock:
            self._done.set()
            if self._armed:
                signal.setitimer(signal.ITIMER_REAL, 0)

    def run(self, ends: int) -> None:
        with os.fdopen(ends, "rb", buffering=0) as stream:
            number = 0
            while number not in _ENDS:
                came = stream.read(1)
                if not came:
                    return
                number = came[0]
        with self._lock:
            if self._done.is_set():
                return
            # The kernel's clock does not wait for a thread that keeps the interpreter; SIGALRM ends the process.
            self._armed = True
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE_S + _LAST_S)
        if not self._done.wait(_PATIENCE_S):
            os.write(
                sys.__stderr__.fileno() if sys.__stderr__ else 2, b"unipose: ended amid a step that takes longer\n"
            )
            os._exit(128 + number if self._status is None else self._status)


#: Pipes of :func:`ended_in_time`; a forked process would tell its parent of its own signals.
_watching: list[int] = []


def _forget_signals() -> None:
    if _watching:
        with suppress(ValueError):  # forked by another thread than the main one
            signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_forget_signals)


def leave(code: int) -> NoReturn:
    """End the process at once, without taking interpreter and libraries down."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def signal_on_parent_end(number: signal.Signals) -> None:
    """Have the kernel signal this process when the thread that started it ends; on Linux, else nothing happens."""
    prctl = getattr(_LIBC, "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


#: Loaded here: between fork and exec, where it is needed, nothing should be.
_LIBC = ctypes.CDLL(None)


def end_with_parent() -> None:
    """End this process, one of :mod:`multiprocessing`, when the process that started it ends, however that ends."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if os.getppid() == parent.pid:  # not so where a fork server stands between them
        signal_on_parent_end(signal.SIGKILL)
    # Without Linux, behind a fork server, or if the parent ended before the kernel was asked.
    threading.Thread(target=_wait_for_end, args=(parent.sentinel,), daemon=True, name="end_with_parent").start()


def _wait_for_end(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


class WorkerPool(ProcessPoolExecutor):
    """Fresh processes that share out work; leaving the ``with`` block by an exception ends them at once.

    Signals are for the process that owns the pool: a Ctrl-C at the terminal reaches all processes of a group. What
    workers write must be whole whenever they are killed.

    Args:
        workers: processes.
        start: called in each of them first.
        arguments: of ``start``.
    """

    def __init__(
        self, workers: int, start: Callable[..., object] | None = None, arguments: tuple[Any, ...] = ()
    ) -> None:
        # A fork would copy threads of torch, OpenCV and open3d in unknown states.
        context = multiprocessing.get_context("spawn")
        super().__init__(workers, context, _start_worker, (start, arguments))

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As in the base class. Workers are born with the signals blocked that :func:`_start_worker` lets pass by."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def __exit__(self, kind: object, error: object, trace: object) -> bool | None:
        if kind is not None:
            for process in list((self._processes or {}).values()):
                process.kill()
        self.shutdown(wait=True, cancel_futures=True)
        return None


def _start_worker(start: Callable[..., object] | None, arguments: tuple[Any, ...]) -> None:
    end_with_parent()
    for number in _ENDS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
    if start is not None:
        start(*arguments)


def start_reader(number: int) -> None:
    """The ``worker_init_fn`` of a DataLoader: its owner finishes the step after a signal, and needs its batch.

    Args:
        number: of the worker.
    """
    del number
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _pass_once)


def _pass_once(number: int, frame: FrameType | None) -> None:
    """A whole group may be told to end; the loader itself repeats it for a worker that hangs."""
    del frame
    signal.signal(number, signal.SIG_DFL)


# Child processes that always end: bounded in time, stopped with Ctrl-C first, killed last.

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
