"""People whose keypoints are lifted: where the image shows too little for a network, or there is none."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.config import DetectionConfig, RgbConfig
from unipose_ros.detection import Proposals, visible_keypoints
from unipose_ros.detection.temporal import ProposalCache
from unipose_ros.errors import Closable
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.geometry.covariance import laplace_scale
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.modalities.base import RequiredInputs, StageClock
from unipose_ros.modalities.convert import probability_within

if TYPE_CHECKING:
    from unipose_ros.lifting import Lifter


_NEEDS = RequiredInputs(color=True, depth=False)


def lift_people(lifter: Lifter, frame: RgbdFrame, people: Proposals, modality: str) -> Skeletons:
    """Skeletons of those who show enough keypoints; depth readings of the frame are fused in.

    A confidence is the probability that the joint lies within 10 cm of the ground truth, as for the networks.

    Args:
        people: with keypoints; without them no person can be lifted.
    """
    if people.keypoints is None:
        return Skeletons.empty(frame.stamp_ns, frame.frame_id, modality)
    found = lifter.lift(
        people.keypoints, frame.camera, frame.depth, stamp_ns=frame.stamp_ns, frame_id=frame.frame_id, modality=modality
    )
    if found.covariances is None:
        return found
    # A MISSING joint's is NaN, and gives 0.
    return replace(found, confidences=probability_within(laplace_scale(found.covariances)).astype(np.float32))


class LiftingFallback:
    """Lifts those whose window of the image is no good; the others are for the image network.

    Args:
        name: of the modality.
        lifter: of keypoints.
        config: which windows are good.
        seen_by: which keypoints count as seen.
    """

    def __init__(self, name: str, lifter: Lifter, config: RgbConfig, seen_by: DetectionConfig) -> None:
        self._name = name
        self._lifter = lifter
        self._config = config
        self._seen_by = seen_by

    @property
    def runtime(self) -> str:
        """What runs the lifter, and where."""
        return self._lifter.runtime

    def handles(self, frame: RgbdFrame, people: Proposals) -> NDArray[np.bool_]:
        """(N,) people who are better lifted: their keypoints suffice, and their windows are no good or come second."""
        if people.keypoints is None:
            return np.zeros(len(people), np.bool_)
        liftable = self._lifter.liftable(people.keypoints, frame.camera)
        if self._config.prefer_lifter:
            return liftable
        return np.asarray(liftable & ~good_crops(frame.camera, people, self._config, self._seen_by))

    def __call__(self, frame: RgbdFrame, people: Proposals) -> Skeletons:
        """Skeletons of all of them."""
        return lift_people(self._lifter, frame, people, self._name)


class LiftingEstimator:
    """Modality ``rgb`` without an image network.

    Args:
        name: of the modality.
        lifter: of keypoints.
        cache: where people are, by a detector that says keypoints.
        absent: why there is no image network.
    """

    notice = ""

    def __init__(self, name: str, lifter: Lifter, cache: ProposalCache, absent: str) -> None:
        self._name = name
        self._lifter = Closable(lifter, "the estimator")
        self._cache = cache
        self._absent = absent
        self.runtime = f"{lifter.runtime}; people by {cache.runtime}; {absent}"
        self.last_keypoints: Keypoints2D | None = None
        #: People who were proposed and left out.
        self.counters: Counter[str] = Counter()

    def twin(self) -> LiftingEstimator | None:
        """For another thread, without memory."""
        cache = self._cache.twin()
        return None if cache is None else LiftingEstimator(self._name, self._lifter.get(), cache, self._absent)

    def warm_up(self, frame: RgbdFrame) -> None:
        """Run the person detector once."""
        self._cache.detect(frame)

    def estimate(self, frame: RgbdFrame, clock: StageClock) -> Skeletons:
        """All people in the frame, without ids; stages ``people`` and ``lift``.

        Raises:
            EstimatorError: the frame has no color, or the estimator is closed.
        """
        _NEEDS.check(frame, self._name)
        lifter = self._lifter.get()
        with clock.stage("people"):
            people = self._cache.detect(frame)
        self.last_keypoints = people.keypoints
        with clock.stage("lift"):
            found = lift_people(lifter, frame, people, self._name)
        if len(people) > len(found):
            self.counters["too_few_measurements"] += len(people) - len(found)
        return found

    def reset(self) -> None:
        """Forget earlier frames."""
        self._cache.reset()

    def close(self) -> None:
        """Let the networks go."""
        self._lifter.close()
        self._cache.close()


# Of whom the color image shows enough for the color network.

Mask = NDArray[np.bool_]


def good_crops(camera: Camera, people: Proposals, config: RgbConfig, seen_by: DetectionConfig) -> Mask:
    """(N,) people who are large, inside and plain enough in the image.

    Args:
        people: with keypoints; of those without, only size and place count.
        seen_by: which keypoints count as seen.
    """
    low, high = people.boxes[:, :2], people.boxes[:, 2:]
    good = (high - low).max(axis=1, initial=0.0) >= config.min_pixels
    good &= _fraction_inside(low, high, camera) >= config.min_inside
    if people.keypoints is not None:
        seen = visible_keypoints(people.keypoints, camera.width, camera.height, seen_by)
        good &= seen.sum(axis=1) >= config.min_keypoints
    return np.asarray(good, np.bool_)


def _fraction_inside(low: NDArray[np.float32], high: NDArray[np.float32], camera: Camera) -> NDArray[np.float64]:
    """(N,) part of the square around a box that lies inside the image."""
    focal = np.array([camera.fx, camera.fy])
    half = ((high - low) / focal).max(axis=1, keepdims=True, initial=0.0) * focal / 2
    middle = (low.astype(np.float64) + high) / 2
    first, last = np.maximum(middle - half, -0.5), np.minimum(middle + half, [camera.width - 0.5, camera.height - 0.5])
    shown = np.maximum(last - first, 0).prod(axis=1)
    return np.asarray(shown / np.maximum((2 * half).prod(axis=1), 1e-9))
