"""What lives while the node is active and enabled: subscriptions, worker and pipeline, made and ended together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from rclpy.exceptions import ParameterException
from rclpy.node import Node

from unipose_ros.estimator import PoseEstimator
from unipose_ros.modalities.base import RequiredInputs
from unipose_ros.mounting import MountingCheck
from unipose_ros.ros.monitoring import Statistics, ThrottledLogger
from unipose_ros.ros.parameters import InputConfig, NodeConfig, ParameterError
from unipose_ros.ros.pipeline import Pipeline
from unipose_ros.ros.publishers import Publishers
from unipose_ros.ros.subscriptions import FrameDecoder, Subscriptions
from unipose_ros.ros.synchronizer import Pair
from unipose_ros.ros.upright import ByGravity, GravityWatch, Mounting, Transforms
from unipose_ros.tracking import Tracker

#: Seconds for which the frame in work is waited for when the node ends; a process has to end within five.
_PATIENCE_S = 2.0
#: People are new ones after a rest of so many seconds.
_STALE_S = 1.0
#: Stamps come so much early or late.
_JITTER_NS = 10_000_000


class Session:
    """Runs from construction to :meth:`close`; both in the executor's thread.

    Args:
        config: gives the newest parameters.
        calibrations: messages by ``color`` and ``depth``, known from earlier; new ones are put there.
    """

    def __init__(
        self,
        node: Node,
        estimator: PoseEstimator,
        tracker: Tracker,
        outputs: Publishers,
        config: Callable[[], NodeConfig],
        statistics: Statistics,
        calibrations: MutableMapping[str, Any],
    ) -> None:
        self._node = node
        self._logger = node.get_logger()
        self._config = config
        self._outputs = outputs
        self._statistics = statistics
        reporter = self._reporter = ThrottledLogger(self._logger, statistics)
        self._transforms = Transforms(node)
        if config().tf.target_frame or config().tf.fixed_frame:
            self._transforms.want()
        self._transforms.begin()
        decoder = self._decoder = FrameDecoder(config().input.rectified, calibrations, self._registration)
        self._gravity = GravityWatch(node) if config().input.mounting == "tf" else None
        clock = node.get_clock()
        self._pipeline = Pipeline(
            estimator, tracker, decoder, outputs.publish, config, lambda: clock.now().nanoseconds, statistics, reporter,
            self._mounting(config().input), None if self._gravity else MountingCheck(), self._transforms.lookup,
        )  # fmt: skip
        self._worker: Worker[Pair] = Worker(self._pipeline.process)
        self._needs = config().model.needs
        self._pace = Pace()
        self._idle_since: float | None = None
        #: Subscriptions for other images, until their first frame comes.
        self._next: Subscriptions | None = None
        try:
            self._inputs = self._subscribe(self._needs)
        except Exception:
            self._worker.stop()
            self._transforms.close()
            if self._gravity is not None:
                self._gravity.close()
            raise

    def _subscribe(self, needs: RequiredInputs) -> Subscriptions:
        made: list[Subscriptions] = []

        def on_pair(pair: Pair) -> None:
            if made and made[0] is self._next:
                self._promote()
            if made and made[0] is self._inputs:
                self._on_pair(pair)

        made.append(
            Subscriptions(
                self._node, self._config().input, needs, self._decoder, on_pair, self.restart, self._statistics,
                self._reporter,
            )
        )  # fmt: skip
        return made[0]

    def need(self, needs: RequiredInputs) -> None:
        """Use other images from their first frame on; until then the present ones are used.

        Raises:
            Exception: they cannot be subscribed to; the present ones stay.
        """
        if self._next is not None:
            self._next.close()
            self._next, self._needs = None, self._inputs.needs
        if needs != self._needs:
            self._next = self._subscribe(needs)
            self._needs = needs

    def _promote(self) -> None:
        assert self._next is not None
        before, self._inputs, self._next = self._inputs, self._next, None
        before.close()

    def _registration(self, target: str, source: str, stamp_ns: int) -> NDArray[np.float64]:
        """How depth's frame lies in that of color."""
        return self._transforms.lookup(target, source, stamp_ns, self._config().tf.timeout)

    def _mounting(self, config: InputConfig) -> Mounting:
        if self._gravity is not None:
            return ByGravity(self._gravity.tree, config.gravity_frame)
        quarters = 0 if config.mounting == "auto" else int(config.mounting) // 90
        return lambda frame_id: quarters

    def close(self) -> bool:
        """Unsubscribe, drop the frame in work, and end the worker.

        Returns:
            Whether the worker has ended; if not, its estimator and tracker are still in use.
        """
        self._inputs.close()
        if self._next is not None:
            self._next.close()
        if self._gravity is not None:
            self._gravity.close()
        self._pipeline.discard(for_good=True)
        ended = self._worker.stop(_PATIENCE_S)
        if ended:
            self._pipeline.close()
        else:
            self._logger.error(
                f"the network has not returned for {_PATIENCE_S:g} s; its thread is left behind, and a new network is "
                "loaded for the next activation"
            )
        self._transforms.close()
        return ended

    def watch(self) -> float:
        """Warn when no frames come, listen to /tf if that is wanted; returns the seconds since the last pair."""
        try:
            self._transforms.begin()
        except (ParameterError, ParameterException) as error:  # in a timer, where it would end the node
            self._reporter.note("tf_qos", f"cannot listen to /tf: {error}")
        return self._inputs.watch(self._config().input.timeout)

    def reset_tracks(self) -> None:
        """Drop all tracks before the next frame."""
        self._pipeline.reset_tracks()

    def restart(self, reason: str) -> None:
        """Time has jumped: nothing from before it may meet anything from after it."""
        self._reporter.note("time_jump", f"time jump ({reason}): pairing and tracks start afresh")
        self._statistics.drop("time_jump")
        self._inputs.pairing.restart()
        self._pace.restart()
        self._worker.clear()
        self._transforms.clear()
        self._pipeline.discard()
        self._pipeline.reset_tracks()

    def _on_pair(self, pair: Pair) -> None:
        self._statistics.tick("paired")
        config = self._config()
        if config.lazy and not self._outputs.wanted(config):
            self._rest()
            return
        self._wake()
        if not self._pace.take(pair.stamp_ns, config.max_rate):
            self._statistics.drop("above_max_rate")
        elif self._worker.put(pair):
            self._statistics.drop("superseded")

    def _rest(self) -> None:
        """No subscribers: frames are not decoded."""
        if self._idle_since is None:
            self._idle_since = time.monotonic()
            self._statistics.say("idle", "no subscribers, so nothing is estimated (lazy)")

    def _wake(self) -> None:
        if self._idle_since is None:
            return
        if time.monotonic() - self._idle_since > _STALE_S:
            self._pipeline.reset_tracks()
        self._idle_since = None
        self._statistics.say("idle", "")


class Pace:
    """Lets so many frames a second through, evenly over time; by their stamps."""

    def __init__(self) -> None:
        self._due_ns: int | None = None

    def restart(self) -> None:
        """Time has jumped."""
        self._due_ns = None

    def take(self, stamp_ns: int, max_rate: float) -> bool:
        """Whether a frame may go through.

        Args:
            max_rate: in Hz; 0 lets all through.
        """
        if max_rate <= 0:
            self._due_ns = None
            return True
        period = round(1e9 / max_rate)
        early = min(period // 10, _JITTER_NS)
        due = self._due_ns
        if due is not None and due - period - early <= stamp_ns < due - early:
            return False
        on_time = due is not None and due - early <= stamp_ns < due + period
        self._due_ns = (due if on_time and due is not None else stamp_ns) + period
        return True


# One worker thread that always gets the newest item and never a queue.

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
