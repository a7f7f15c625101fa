"""Another modality while frames come: loaded beside the present one, and exchanged between two frames."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from unipose_ros.camera import Camera
from unipose_ros.errors import twin_of
from unipose_ros.estimator import EstimatorConfig, PoseEstimator
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.modalities.base import Follower, RequiredInputs, StageClock


class SwitchableEstimator:
    """Stands for an estimator, and for another one from the frame on that suits it.

    :meth:`offer` is called by the executor's thread, everything else by the worker's or while there is none. Frames
    are estimated by the present estimator until one has the images that the offered one needs, so none is lost.

    Args:
        estimator: the present one.
    """

    def __init__(self, estimator: PoseEstimator) -> None:
        self._present = estimator
        self._offered: tuple[PoseEstimator, RequiredInputs] | None = None
        self._lock = threading.Lock()

    @property
    def config(self) -> EstimatorConfig:
        """Of the present estimator."""
        return self._present.config

    @property
    def modality(self) -> str:
        """Of the present estimator, as it was asked for."""
        return self._present.modality

    @property
    def runtime(self) -> str:
        """What runs the networks, and where."""
        return self._present.runtime

    @property
    def notice(self) -> str:
        """What keeps the modality from doing its best at present."""
        return self._present.notice

    @property
    def counters(self) -> Mapping[str, int]:
        """How often something was left out, by reason, since the last switch."""
        return self._present.counters

    @property
    def last_keypoints(self) -> Keypoints2D | None:
        """People of the last frame as the 2D network saw them."""
        return self._present.last_keypoints

    def offer(self, estimator: PoseEstimator, needs: RequiredInputs) -> None:
        """Use another estimator, ready to run, from the next frame with its images on; an earlier offer is closed."""
        with self._lock:
            before, self._offered = self._offered, (estimator, needs)
        if before is not None:
            before[0].close()

    def warm_up(self, camera: Camera) -> None:
        """Run once on an empty frame."""
        self._present.warm_up(camera)

    def estimate(self, frame: RgbdFrame, clock: StageClock | None = None) -> Skeletons:
        """All people in the frame, without ids; errors as :meth:`PoseEstimator.estimate`."""
        self._take_offer(frame)
        return self._present.estimate(frame, clock)

    def twin(self) -> PoseEstimator | None:
        """Of the present estimator, for another thread."""
        return twin_of(self._present)

    def follow(self, people: Skeletons) -> None:
        """Hear from the tracker who is who."""
        if isinstance(self._present, Follower):
            self._present.follow(people)

    def reset(self) -> None:
        """Forget earlier frames."""
        self._present.reset()

    def close(self) -> None:
        """Free the networks, also those that were not used yet."""
        with self._lock:
            offered, self._offered = self._offered, None
        if offered is not None:
            offered[0].close()
        self._present.close()

    def _take_offer(self, frame: RgbdFrame) -> None:
        with self._lock:
            if self._offered is None or not suits(frame, self._offered[1]):
                return
            before, self._present, self._offered = self._present, self._offered[0], None
        before.close()


def suits(frame: RgbdFrame, needs: RequiredInputs) -> bool:
    """Whether a frame has the images that are needed."""
    there = [image is not None for image, needed in ((frame.color, needs.color), (frame.depth, needs.depth)) if needed]
    return any(there) if needs.any_of else all(there)


class BackgroundLoad:
    """Builds an estimator in a thread of its own; ask :attr:`done` from time to time."""

    def __init__(self, build: Callable[[], PoseEstimator]) -> None:
        self._build = build
        self._estimator: PoseEstimator | None = None
        self._error: Exception | None = None
        self._unwanted = False
        self._lock = threading.Lock()
        # A daemon: loading must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="unipose_load", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether :meth:`result` returns at once."""
        return not self._thread.is_alive()

    def result(self) -> PoseEstimator:
        """The estimator; the caller closes it.

        Raises:
            Exception: why it could not be loaded.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._estimator is not None
        return self._estimator

    def cancel(self) -> None:
        """Close the estimator as soon as it is there."""
        with self._lock:
            self._unwanted = True
            ready = self._estimator
        if ready is not None:
            ready.close()

    def _run(self) -> None:
        try:
            estimator = self._build()
        except Exception as error:
            self._error = error
            return
        with self._lock:
            self._estimator = estimator
            unwanted = self._unwanted
        if unwanted:
            estimator.close()
