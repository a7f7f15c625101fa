"""What the worker does with a pair of images: decode, estimate, track, publish."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import CameraError
from unipose_ros.estimator import EstimatorError, PoseEstimator
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.gaps import GAPS
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.modalities.base import Follower, StageClock
from unipose_ros.mounting import MountingCheck
from unipose_ros.ros.monitoring import BadInputError, Statistics, ThrottledLogger
from unipose_ros.ros.parameters import NodeConfig, TfConfig
from unipose_ros.ros.subscriptions import FrameDecoder
from unipose_ros.ros.synchronizer import Pair
from unipose_ros.ros.upright import Mounting, UprightEstimator
from unipose_ros.tracking import Tracker
from unipose_ros.transforms import TransformError

#: Stamps older or newer than this against the node's clock hint at a replay without simulated time.
_CLOCK_GAP_MS = 10_000.0
#: Seconds that the first calibration may take to come before its absence is an error.
_INFO_PATIENCE_S = 2.0
#: Remarks of the decoder that say why no depth is left.
_EXPLAIN_EMPTY = {"cloud_outside", "depth_unit", "lens_model"}

#: Sends a frame's people out, as the camera and as the target frame has them; see
#: :meth:`unipose_ros.ros.publishers.Publishers.publish`.
Publish = Callable[[RgbdFrame, Skeletons, Keypoints2D | None, NodeConfig, Skeletons], None]
#: Target frame, source frame, stamp, seconds to wait at most -> (4, 4).
TimedLookup = Callable[[str, str, int, float], NDArray[np.float64]]


def _no_transforms(target: str, source: str, stamp_ns: int, timeout: float) -> NDArray[np.float64]:
    raise TransformError("there are no transforms")


class Pipeline:
    """Processes one pair after another; only the worker's thread calls :meth:`process`.

    Args:
        config: gives the newest parameters; asked once a frame.
        now_ns: the node's clock.
        mounting: how the camera is mounted; upright when ``None``.
        check: whether the mounting is true; not used when ``None``.
        lookup: the robot's transforms, for ``tf.target_frame`` and ``tf.fixed_frame``.
    """

    def __init__(
        self,
        estimator: PoseEstimator,
        tracker: Tracker,
        decoder: FrameDecoder,
        publish: Publish,
        config: Callable[[], NodeConfig],
        now_ns: Callable[[], int],
        statistics: Statistics,
        reporter: ThrottledLogger,
        mounting: Mounting | None = None,
        check: MountingCheck | None = None,
        lookup: TimedLookup = _no_transforms,
    ) -> None:
        self._estimator = estimator
        self._lookup = lookup
        adopt = config().input.mounting == "auto"
        self._upright = UprightEstimator(estimator, mounting or (lambda _: 0), check, statistics, reporter, adopt)
        self._tracker = tracker
        self._decoder = decoder
        self._publish = publish
        self._config = config
        self._track = config().track
        self._now_ns = now_ns
        self._statistics = statistics
        self._reporter = reporter
        self._reset = threading.Event()
        self._notice = ""
        self._began = time.monotonic()
        # A frame begun under an older number is not published any more.
        self._generation = 0
        self._closed = False
        self._before_ns = 0

    def reset_tracks(self) -> None:
        """Drop all tracks before the next frame. Safe from any thread."""
        self._reset.set()

    def discard(self, for_good: bool = False) -> None:
        """Do not publish the frame in work, or nothing ever again. Safe from one other thread."""
        self._closed = for_good
        self._generation += 1

    def close(self) -> None:
        """End the thread beside the worker's, after the last frame."""
        self._upright.close()

    def process(self, pair: Pair) -> None:
        """Take a pair all the way. Never raises: a bad frame is counted, logged once and left out."""
        try:
            with GAPS.frame():
                self._process(pair)
        except BadInputError as error:
            if error.reason == "no_camera_info" and time.monotonic() - self._began < _INFO_PATIENCE_S:
                self._statistics.drop(error.reason)  # the first image may come before the first calibration
            else:
                self._reporter.drop(error.reason, str(error))
        except EstimatorError as error:
            self._reporter.drop("unsuitable_frame", str(error))
        except CameraError as error:
            self._reporter.drop("intrinsics", str(error))
        except Exception as error:
            # Whatever it is, the next frame deserves its chance; a dead thread would look like an empty room.
            if not self._closed:
                trace = traceback.format_exc()
                self._reporter.drop("internal_error", f"frame lost: {type(error).__name__}: {error}\n{trace}")

    def _process(self, pair: Pair) -> None:
        config, clock, generation = self._config(), StageClock(), self._generation
        period, self._before_ns = (pair.stamp_ns - self._before_ns) / 1e9, pair.stamp_ns
        self._forget_if_told()
        with clock.stage("decode"):
            frame = self._decoder.decode(pair)
        self._statistics.say("camera", frame.frame_id)
        self._remark(frame)
        found, keypoints = self._upright.estimate(frame, clock)
        self._tell_notice()
        if generation != self._generation:
            return
        with clock.stage("track"):
            if config.track is not self._track:
                self._track = config.track
                self._tracker.configure(self._track)
            people = self._tracker.update(found, self._camera_pose(found, config.tf))
            if isinstance(self._estimator, Follower):
                self._estimator.follow(people)
        if self._closed or generation != self._generation:
            return
        with clock.stage("publish"):
            shown = self._in_target(people, config.tf)
            latency = (self._now_ns() - pair.stamp_ns) / 1e6
            self._publish(frame, people, keypoints, config, shown)
        self._account(pair, people, clock, latency)
        self._upright.check(frame, found, pair.arrived + period - time.monotonic())

    def _camera_pose(self, found: Skeletons, config: TfConfig) -> NDArray[np.float64] | None:
        """Where the camera is in the fixed frame; ``None`` where it is not known, which drops no skeletons."""
        if not config.fixed_frame:
            return None
        try:
            return self._lookup(config.fixed_frame, found.frame_id, found.stamp_ns, config.timeout)
        except TransformError as error:
            self._reporter.remark(
                "fixed_frame", f"tf.fixed_frame '{config.fixed_frame}': {error}; the camera is taken to stand where it "
                "was last (counted in /diagnostics)"
            )  # fmt: skip
            return None

    def _in_target(self, people: Skeletons, config: TfConfig) -> Skeletons:
        """The people in the frame that the user wants them in.

        Raises:
            BadInputError: no transform leads there at the image's stamp.
        """
        if config.target_frame in ("", people.frame_id):
            return people
        try:
            pose = self._lookup(config.target_frame, people.frame_id, people.stamp_ns, config.timeout)
        except TransformError as error:
            raise BadInputError(
                "target_frame", f"tf.target_frame '{config.target_frame}': {error}; people are not published"
            ) from error
        return people.transformed(pose, config.target_frame)

    def _forget_if_told(self) -> None:
        if self._reset.is_set():
            self._reset.clear()
            self._estimator.reset()
            self._tracker.reset()

    def _remark(self, frame: RgbdFrame) -> None:
        """Say what looks wrong with a frame; it is still processed."""
        for name, value in self._decoder.figures.items():
            self._statistics.set(name, value)
        for reason, text in self._decoder.remarks.items():
            self._reporter.remark(reason, text)
        if frame.depth is not None and not frame.depth.any():
            self._statistics.drop("empty_depth")
            if not self._decoder.remarks.keys() & _EXPLAIN_EMPTY:
                self._reporter.note("empty_depth", "depth has no reading anywhere (all 0, NaN or inf): is the sensor "
                                    "covered, or the scene out of its range?")  # fmt: skip

    def _tell_notice(self) -> None:
        """Say once that the estimator cannot do its best, and once that it can again."""
        notice, before = self._estimator.notice, self._notice
        if notice == before:
            return
        self._notice = notice
        if notice:
            self._reporter.note(notice, notice)
        else:
            self._reporter.recovered(before, f"no longer: {before}")
        self._statistics.say("notice", notice)

    def _account(self, pair: Pair, people: Skeletons, clock: StageClock, latency: float) -> None:
        self._statistics.tick("published")
        self._statistics.durations({**clock.milliseconds, "latency": latency, "pair_offset": abs(pair.offset_ns) / 1e6})
        self._statistics.set("people", len(people))
        self._statistics.say("modality in use", people.modality)
        for reason, count in self._estimator.counters.items():
            self._statistics.set(f"estimator: {reason}", count)
        for event, count in self._tracker.counters.items():
            self._statistics.set(f"tracker: {event}", count)
        if abs(latency) > _CLOCK_GAP_MS:
            self._reporter.note("clock_gap", _clock_gap(latency / 1e3, self._now_ns()))


def _clock_gap(seconds: float, now_ns: int) -> str:
    """What images that are stamped long before or after the node's clock hint at."""
    if now_ns == 0:
        return (
            "the node's clock stands at 0: its time is simulated (use_sim_time), and /clock has no publisher; play the "
            "recording with --clock, or set use_sim_time to false for a live camera"
        )
    if seconds > 0:
        return (
            f"images are stamped {seconds:.1f} s before the node's clock; when replaying a recording, play it with "
            "--clock and set use_sim_time:=true"
        )
    return (
        f"images are stamped {-seconds:.1f} s after the node's clock: the driver's clock is ahead (synchronize it with "
        "this machine's), or the node's simulated time stands behind; TF cannot look up what lies in the future"
    )
