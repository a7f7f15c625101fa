"""How our command line nodes start and end."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import rclpy
from rclpy.signals import SignalHandlerOptions

_ENDS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def ros_session(ros_arguments: Sequence[str] | None = None) -> Iterator[threading.Event]:
    """``rclpy`` for the length of a block; gives an event that Ctrl-C or SIGTERM sets.

    rclpy's own handlers shut the context down at once, from under a publisher or a recording
    that is still to be closed. With an event the block ends where it is safe to end.
    """
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in _ENDS}
    rclpy.init(args=[sys.argv[0], *(ros_arguments or ())], signal_handler_options=SignalHandlerOptions.NO)
    try:
        yield stop
    finally:
        rclpy.try_shutdown()
        for number, handler in before.items():
            signal.signal(number, handler)
