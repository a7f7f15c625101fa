"""A lifecycle node that survives wrong requests, starts itself when asked to, and ends without noise."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import rclpy
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import ParameterDescriptor
from rclpy._rclpy_pybind11 import RCLError
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.client import Client
from rclpy.exceptions import InvalidParameterTypeException, ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.service import Service
from rclpy.signals import SignalHandlerOptions
from rclpy.waitable import Waitable

from unipose_ros.resources import set_malloc_thresholds
from unipose_ros.ros.parameters import ParameterError
from unipose_ros.termination import ended_in_time, leave

# How our command line nodes start and end.


_ENDS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def ros_session(ros_arguments: Sequence[str] | None = None) -> Iterator[threading.Event]:
    """``rclpy`` for the length of a block; gives an event that Ctrl-C or SIGTERM sets.

    rclpy's own handlers shut the context down at once, from under a publisher or a recording
    that is still to be closed. With an event the block ends where it is safe to end; three seconds
    later the process ends in any case, with status 0.
    """
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in _ENDS}
    try:
        with ended_in_time(status=0):  # also where the middleware hangs
            rclpy.init(args=[sys.argv[0], *(ros_arguments or ())], signal_handler_options=SignalHandlerOptions.NO)
            try:
                yield stop
            finally:
                rclpy.try_shutdown()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


#: How long a signal may wait for the executor to notice it.
_POLL_SECONDS = 0.1
#: How long services and QoS events may wait for the executor to look at them.
_SELDOM_SECONDS = 0.1
#: How long a network that is being loaded is waited for when the process is to end.
_LOADING_SECONDS = 0.3


class SeldomGroup(MutuallyExclusiveCallbackGroup):
    """A node's default group, of which services, clients and QoS events are looked at only now and then.

    For every message rclpy makes a list of all that the node waits for, and asks each entity twice. A node has some
    forty of them, of which four matter to its frames: the images and their calibrations.

    Everything is looked at all the time unless :meth:`begin` is called before each look; see :func:`spin`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._open, self._asked, self._closed_at = True, False, 0.0

    def begin(self, now: float) -> None:
        """Before each look: services and events come with it if they did not come with one for a while.

        Args:
            now: seconds of a steady clock.
        """
        if self._open and self._asked:
            self._open, self._closed_at = False, now
        elif not self._open and now - self._closed_at >= _SELDOM_SECONDS:
            self._open, self._asked = True, False

    def can_execute(self, entity: Any) -> bool:
        """Whether the executor is to look at an entity now."""
        if isinstance(entity, (Service, Client, Waitable)):
            self._asked = True
            if not self._open:
                return False
        return bool(super().can_execute(entity))


class ManagedNode(LifecycleNode):
    """Adds to :class:`LifecycleNode` what it lacks in Humble and Jazzy."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        self._seldom = SeldomGroup()
        super().__init__(name, **kwargs)
        self._guard_change_state()
        #: Why the last transition did not succeed; empty when it did.
        self.fault = ""
        #: What a transition is doing now.
        self.busy_with = ""
        self.wants_autostart = self._declare_autostart()

    def _declare_autostart(self) -> bool:
        about = ParameterDescriptor(description="configure and activate without being asked", read_only=True)
        try:
            return bool(self.declare_parameter("autostart", True, about).value)
        except InvalidParameterTypeException as error:
            raise ParameterError(f"parameter 'autostart': use true or false; {error}") from error

    def _guard_change_state(self) -> None:
        """Answer a transition that the state does not allow with ``success=False``.

        rclpy raises out of the service instead, which ends the executor (ros2/rclpy#1209).
        """
        service = next(s for s in self.services if s.srv_name.endswith("/change_state"))
        change_state = service.callback

        def guarded(request: ChangeState.Request, response: ChangeState.Response) -> ChangeState.Response:
            try:
                return change_state(request, response)
            except Exception as error:
                label = request.transition.label or request.transition.id
                self.get_logger().error(f"transition '{label}' refused in state '{self.state_label}': {error}")
                response.success = False
                return response

        service.callback = guarded

    @property
    def default_callback_group(self) -> SeldomGroup:
        """Of all entities that are made without a group."""
        return self._seldom

    @property
    def state_label(self) -> str:
        """Name of the current primary state."""
        return str(self._state_machine.current_state[1])

    def autostart(self) -> bool:
        """Configure and activate as the parameter ``autostart`` asks for; returns whether that went well."""
        if not self.wants_autostart:
            self._explain_start()
            return True
        succeeded = TransitionCallbackReturn.SUCCESS
        return bool(self.trigger_configure() == succeeded and self.trigger_activate() == succeeded)

    def _explain_start(self) -> None:
        """Tell the user that an inactive node waits for them."""
        name = self.get_fully_qualified_name()
        self.get_logger().info(
            f"{self.state_label}: start with 'ros2 lifecycle set {name} configure' and "
            f"'ros2 lifecycle set {name} activate'"
        )

    def guard(self, action: str, callback: Callable[[], None]) -> TransitionCallbackReturn:
        """Run a transition's work; an exception becomes a logged FAILURE instead of a silent error state."""
        self.fault = ""
        self.busy_with = action
        try:
            callback()
        except Exception as error:
            self.fault = f"cannot {action}: {error}"
            self.get_logger().error(self.fault)
            return TransitionCallbackReturn.FAILURE
        finally:
            self.busy_with = ""
        return TransitionCallbackReturn.SUCCESS

    def finish(self) -> None:
        """Leave the active state, so that listeners hear the last word, before the context goes."""
        if self.state_label == "active":
            self.trigger_deactivate()


#: Bytes from which malloc gives blocks back at once: those of 4K images. What is smaller is kept for the next frame.
_LARGE_BLOCK = 16_000_000


def run(make_node: Callable[[], ManagedNode], args: Sequence[str] | None = None) -> int:
    """Spin a managed node until SIGINT, SIGTERM or a shutdown; returns the exit code.

    Args:
        args: the command line without the program's name; that of the process by default.
    """
    set_malloc_thresholds(_LARGE_BLOCK)
    try:
        with ros_session(sys.argv[1:] if args is None else args) as stop:
            return _run(make_node, stop)
    except (OSError, RCLError, RuntimeError) as error:
        return refuse_start("unipose", error)


def _run(make_node: Callable[[], ManagedNode], stop: threading.Event) -> int:
    try:
        with signals_end_at_once():
            node = make_node()
    except (ParameterError, ParameterException) as error:
        get_logger("unipose").fatal(str(error))
        return 1
    started: list[bool] = []
    errors: list[BaseException] = []

    def live() -> None:
        try:
            started.append(node.autostart())
            if started[0] and not stop.is_set():
                spin(node, stop)
        except BaseException as error:
            errors.append(error)

    # Not in this thread, which alone sees signals: loading a network is one long call without a gap for them.
    thread = threading.Thread(target=live, name="unipose_node", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_POLL_SECONDS)
        if stop.is_set() and node.busy_with == "configure":
            thread.join(_LOADING_SECONDS)
            if thread.is_alive() and node.busy_with == "configure":
                node.get_logger().info("stopped while loading")
                leave(0)  # nothing is published yet that had to be taken back
    try:
        if errors:
            raise errors[0]
        return 0 if started[0] or stop.is_set() else 1
    finally:
        node.finish()
        node.destroy_node()


#: A parameter file that cannot be parsed, a home that cannot be written to, security without keys, parameters of ours
#: and of rclpy.
START_ERRORS = (OSError, RCLError, ParameterError, ParameterException, RuntimeError)


def refuse_start(name: str, error: Exception) -> int:
    """Say in one line why a program does not start; returns its exit status.

    Args:
        error: one of :data:`START_ERRORS`. RuntimeErrors but those that rclpy raises for an override of the QoS are
            raised again.
    """
    if isinstance(error, RuntimeError) and not isinstance(error, RCLError) and "QoS override" not in str(error):
        raise error
    print(f"{name}: cannot start: {' '.join(str(error).split())}", file=sys.stderr)
    return 1


@contextmanager
def signals_end_at_once() -> Iterator[None]:
    """While the node is made, no code waits for the event yet, and DDS may hang, as with too little memory."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in _ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _MuteGuard:
    """Stands for a guard condition that wakes no executor."""

    def trigger(self) -> None:
        """Nothing."""


class QuietExecutor(SingleThreadedExecutor):
    """Does not wake itself after each callback.

    rclpy wakes an executor twice for each callback, so that another of its threads may take up what waited for it. Here
    there is no other thread: all that it waits for was gathered once more, for nothing, with every message. An rclpy
    that is made otherwise is left as it is.
    """

    _guard: Any = None

    def _make_handler(self, *arguments: Any, **named: Any) -> Any:
        guard = self._guard
        if guard is None:
            return super()._make_handler(*arguments, **named)
        self._guard = _MuteGuard()
        try:
            return super()._make_handler(*arguments, **named)
        finally:
            self._guard = guard


def spin(node: Node, stop: threading.Event) -> None:
    """Serve a node in this thread until the event is set or the context ends."""
    # One thread is enough beside the worker, and rclpy's multi-threaded executor is slower (ros2/rclpy#1452).
    executor = QuietExecutor()
    executor.add_node(node)
    group = node.default_callback_group
    seldom = group if isinstance(group, SeldomGroup) else None
    # Always the same time: with another one rclpy forgets what else is ready.
    longest = _POLL_SECONDS if seldom is None else _SELDOM_SECONDS
    try:
        while rclpy.ok() and not stop.is_set():
            if seldom is not None:
                seldom.begin(time.monotonic())
            executor.spin_once(timeout_sec=longest)
    except ExternalShutdownException:
        pass
    finally:
        executor.remove_node(node)
