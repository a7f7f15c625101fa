"""What lives while the node is active and enabled: subscriptions, worker and pipeline, made and ended together."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from rclpy.node import Node

from unipose_ros.estimator import PoseEstimator
from unipose_ros.mounting import MountingCheck
from unipose_ros.ros.decode import FrameDecoder
from unipose_ros.ros.gravity import GravityWatch
from unipose_ros.ros.monitoring import Statistics, ThrottledLogger
from unipose_ros.ros.parameters import InputConfig, NodeConfig
from unipose_ros.ros.pipeline import Pipeline
from unipose_ros.ros.publishers import Publishers
from unipose_ros.ros.subscriptions import Subscriptions
from unipose_ros.ros.synchronizer import Pair
from unipose_ros.ros.upright import ByGravity, Mounting
from unipose_ros.ros.worker import Worker
from unipose_ros.tracking import Tracker

#: Seconds for which the frame in work is waited for when the node ends; a process has to end within five.
_PATIENCE_S = 2.5


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
        self._logger = node.get_logger()
        self._config = config
        self._statistics = statistics
        reporter = self._reporter = ThrottledLogger(self._logger, statistics)
        decoder = FrameDecoder(config().input.rectified, calibrations)
        self._gravity = GravityWatch(node) if config().input.mounting == "tf" else None
        clock = node.get_clock()
        self._pipeline = Pipeline(
            estimator, tracker, decoder, outputs.publish, config, lambda: clock.now().nanoseconds, statistics, reporter,
            self._mounting(config().input), None if self._gravity else MountingCheck(),
        )  # fmt: skip
        self._worker: Worker[Pair] = Worker(self._pipeline.process)
        try:
            self._inputs = Subscriptions(
                node, config().input, config().model.needs, decoder, self._on_pair, self.restart, statistics, reporter
            )
        except Exception:
            self._worker.stop()
            if self._gravity is not None:
                self._gravity.close()
            raise

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
        if self._gravity is not None:
            self._gravity.close()
        self._pipeline.discard(for_good=True)
        ended = self._worker.stop(_PATIENCE_S)
        if not ended:
            self._logger.error(
                f"the network has not returned for {_PATIENCE_S:g} s; its thread is left behind, and a new network is "
                "loaded for the next activation"
            )
        return ended

    def watch(self) -> float:
        """Warn when no frames come; returns the seconds since the last pair."""
        return self._inputs.watch(self._config().input.timeout)

    def reset_tracks(self) -> None:
        """Forget everybody before the next frame."""
        self._pipeline.reset_tracks()

    def restart(self, reason: str) -> None:
        """Time has jumped: nothing from before it may meet anything from after it."""
        self._reporter.note("time_jump", f"time jump ({reason}): pairing and tracks start afresh")
        self._statistics.drop("time_jump")
        self._inputs.pairing.restart()
        self._worker.clear()
        self._pipeline.discard()
        self._pipeline.reset_tracks()

    def _on_pair(self, pair: Pair) -> None:
        self._statistics.tick("paired")
        if self._worker.put(pair):
            self._statistics.drop("superseded")
