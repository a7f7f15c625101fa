"""Recordings through the estimator and the tracker, one frame after the other, without ROS and without a clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from unipose_ros.errors import EstimatorError
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.joint_sets import JointSet
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.modalities.base import Follower, StageClock
from unipose_ros.tracking import Tracker
from unipose_training.datasets.base import Clip
from unipose_training.datasets.joint_sets import in_joint_set
from unipose_training.errors import EvaluationError
from unipose_training.evaluation.metrics.reference_free import FrameChecks, check_frame


class Estimator(Protocol):
    """What is evaluated; :class:`unipose_ros.estimator.PoseEstimator` is one."""

    @property
    def modality(self) -> str:
        """Name for the report."""
        ...

    @property
    def last_keypoints(self) -> Keypoints2D | None:
        """What the 2D network detected in the last frame."""
        ...

    def estimate(self, frame: RgbdFrame, clock: StageClock | None = None) -> Skeletons:
        """All people in the frame, without ids."""
        ...


@dataclass(frozen=True, eq=False)
class ReplayedFrame:
    """What is kept of a frame; not its images.

    Attributes:
        clip: number of the recording.
        predicted: people as they would be published.
        ground_truth: ``None`` where it is not known.
        checks: metrics of the predictions without ground truth.
        true_checks: the same of the ground truth.
        milliseconds: duration of each stage.
    """

    clip: int
    predicted: Skeletons
    ground_truth: Skeletons | None
    checks: FrameChecks
    true_checks: FrameChecks | None
    milliseconds: Mapping[str, float]


def replay(
    clip: Clip,
    number: int,
    estimator: Estimator,
    tracker: Tracker | None,
    joint_set: JointSet | None = None,
    limit: int | None = None,
    advance: Callable[[], object] = lambda: None,
) -> Iterator[ReplayedFrame]:
    """Run over one recording.

    Args:
        number: of the recording.
        tracker: follows people and smooths; ``None`` evaluates each frame for itself.
        joint_set: to evaluate in; that of the predictions when ``None``.
        limit: at most this many frames.
        advance: called after every frame.

    Raises:
        EvaluationError: the frames lack an image that the modality needs, or the ground truth is in
            another coordinate frame than the images.
    """
    ground_truth = {skeletons.stamp_ns: skeletons for skeletons in clip.ground_truth()}
    for frame in islice(clip.frames(), limit):
        clock = StageClock()
        found = _estimated(estimator, frame, clock, clip.name)
        if tracker is not None:
            with clock.stage("track"):
                found = tracker.update(found, frame.camera_pose)
                if isinstance(estimator, Follower):
                    estimator.follow(found)
        target = joint_set or found.joint_set
        predicted, keypoints = in_joint_set(found, target), estimator.last_keypoints
        known = ground_truth.get(frame.stamp_ns)
        true = None if known is None else in_joint_set(_checked(known, frame, clip.name), target)
        yield ReplayedFrame(
            clip=number,
            predicted=predicted,
            ground_truth=true,
            checks=check_frame(frame, predicted, keypoints),
            true_checks=None if true is None else check_frame(frame, true, keypoints),
            milliseconds=clock.milliseconds,
        )
        advance()


def _estimated(estimator: Estimator, frame: RgbdFrame, clock: StageClock, name: str) -> Skeletons:
    try:
        return estimator.estimate(frame, clock)
    except EstimatorError as error:
        raise EvaluationError(f"{name}: {error}") from error


def _checked(ground_truth: Skeletons, frame: RgbdFrame, name: str) -> Skeletons:
    if ground_truth.frame_id != frame.frame_id:
        raise EvaluationError(
            f"{name}: the ground truth is in frame '{ground_truth.frame_id}', the images in '{frame.frame_id}'; "
            "record the ground truth in the camera's optical frame"
        )
    return ground_truth
