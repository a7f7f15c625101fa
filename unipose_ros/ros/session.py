"""What lives while the node is active and enabled: subscriptions, worker and pipeline, made and ended together."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node

from unipose_ros.estimator import PoseEstimator
from unipose_ros.ros.decode import FrameDecoder
from unipose_ros.ros.monitoring import Statistics, ThrottledLogger
from unipose_ros.ros.parameters import NodeConfig
from unipose_ros.ros.pipeline import Pipeline
from unipose_ros.ros.publishers import Publishers
from unipose_ros.ros.subscriptions import Subscriptions
from unipose_ros.ros.synchronizer import Pair
from unipose_ros.ros.worker import Worker
from unipose_ros.tracking import Tracker


class Session:
    """Runs from construction to :meth:`close`; both in the executor's thread.

    Args:
        config: gives the newest parameters.
    """

    def __init__(
        self,
        node: Node,
        estimator: PoseEstimator,
        tracker: Tracker,
        outputs: Publishers,
        config: Callable[[], NodeConfig],
        statistics: Statistics,
    ) -> None:
        self._logger = node.get_logger()
        self._config = config
        self._statistics = statistics
        reporter = ThrottledLogger(self._logger, statistics)
        decoder = FrameDecoder(config().input.rectified)
        clock = node.get_clock()
        self._pipeline = Pipeline(
            estimator, tracker, decoder, outputs.publish, config, lambda: clock.now().nanoseconds, statistics, reporter
        )
        self._worker: Worker[Pair] = Worker(self._pipeline.process)
        try:
            self._inputs = Subscriptions(
                node, config().input, config().model.needs, decoder, self._on_pair, self.restart, statistics, reporter
            )
        except Exception:
            self._worker.stop()
            raise

    def close(self) -> None:
        """Unsubscribe, drop the frame in work, and end the worker."""
        self._inputs.close()
        self._pipeline.discard(for_good=True)
        if not self._worker.stop():
            self._logger.error("the network has not returned for 10 s; its thread is left behind")

    def watch(self) -> float:
        """Warn when no frames come; returns the seconds since the last pair."""
        return self._inputs.watch(self._config().input.timeout)

    def reset_tracks(self) -> None:
        """Forget everybody before the next frame."""
        self._pipeline.reset_tracks()

    def restart(self, reason: str) -> None:
        """Time has jumped: nothing from before it may meet anything from after it."""
        self._logger.warning(f"time jump ({reason}): pairing and tracks start afresh")
        self._statistics.drop("time_jump")
        self._inputs.pairing.restart()
        self._worker.clear()
        self._pipeline.discard()
        self._pipeline.reset_tracks()

    def _on_pair(self, pair: Pair) -> None:
        self._statistics.tick("paired")
        if self._worker.put(pair):
            self._statistics.drop("superseded")
