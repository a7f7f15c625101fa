"""How processes end: on SIGTERM as on Ctrl-C, in time, and never later than the process that started them."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from types import FrameType
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
