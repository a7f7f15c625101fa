"""Evaluate clips, from Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from unipose_ros.joint_sets import JointSet
from unipose_ros.tracking import NearestTracker, Tracker, TrackerConfig
from unipose_training.datasets.base import Clip
from unipose_training.evaluation.errors import EvaluationError
from unipose_training.evaluation.replay import Estimator, ReplayedFrame, replay
from unipose_training.evaluation.results import Results
from unipose_training.evaluation.scoring import score


def evaluate_clips(
    clips: Sequence[Clip],
    estimator: Estimator,
    tracking: bool = True,
    joint_set: JointSet | None = None,
    limit: int | None = None,
    poses: Mapping[str, NDArray[np.float64]] | None = None,
    advance: Callable[[], object] = lambda: None,
) -> tuple[Results, list[ReplayedFrame]]:
    """Replay all clips and score them together. The same input gives the same figures, times apart.

    Args:
        tracking: follow people and smooth them with the tracker that the node uses.
        joint_set: to evaluate in; that of the predictions when ``None``.
        limit: at most this many frames of each clip.
        poses: of calibrated cameras by clip, see
            :func:`unipose_training.evaluation.metrics.cross_view.read_camera_poses`.
        advance: called after every frame.

    Raises:
        EvaluationError: there is no usable frame at all, the frames lack an image that the
            estimator needs, or the ground truth does not belong to the images.
    """
    frames: list[ReplayedFrame] = []
    for number, clip in enumerate(clips):
        frames += replay_clip(clip, number, estimator, tracking, joint_set, limit, advance)
    return score_frames(clips, frames, estimator.modality, tracking, poses), frames


@runtime_checkable
class _Resettable(Protocol):
    def reset(self) -> None: ...


def replay_clip(
    clip: Clip,
    number: int,
    estimator: Estimator,
    tracking: bool,
    joint_set: JointSet | None = None,
    limit: int | None = None,
    advance: Callable[[], object] = lambda: None,
) -> list[ReplayedFrame]:
    """Replay one clip; nothing of another one replayed before is remembered.

    Args:
        number: of the clip. The others as of :func:`evaluate_clips`.
    """
    if isinstance(estimator, _Resettable):
        estimator.reset()
    return list(replay(clip, number, estimator, _tracker() if tracking else None, joint_set, limit, advance))


def score_frames(
    clips: Sequence[Clip],
    frames: Sequence[ReplayedFrame],
    modality: str,
    tracking: bool,
    poses: Mapping[str, NDArray[np.float64]] | None = None,
) -> Results:
    """Figures of the replayed frames of all clips.

    Raises:
        EvaluationError: there is no frame at all.
    """
    if not frames:
        lost = {clip.name: dict(clip.losses()) for clip in clips}
        remedy = (
            "the first of each kind is explained above" if any(lost.values()) else "record color, depth, camera_info"
        )
        raise EvaluationError(f"there is no usable frame in {lost}; {remedy}")
    return score(clips, frames, modality, tracking, poses)


def _tracker() -> Tracker:
    # Seeded, so that a second run gives the same ids.
    return NearestTracker(TrackerConfig(seed=0))
