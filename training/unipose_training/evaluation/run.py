"""Evaluate clips, from Python."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import groupby, islice, pairwise
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import CameraError
from unipose_ros.errors import EstimatorError
from unipose_ros.estimator import EstimatorConfig, build_estimator
from unipose_ros.geometry.covariance import variances
from unipose_ros.joint_sets import JointSet
from unipose_ros.mounting import clearly_better, evidence, turn_frame
from unipose_ros.resources import __version__
from unipose_ros.tracking import NearestTracker, Tracker, TrackerConfig
from unipose_training.datasets.base import Clip, RecordingClip
from unipose_training.errors import EvaluationError
from unipose_training.evaluation.matching import PosePairs, ScoredFrame, count_people, match_people, pose_pairs
from unipose_training.evaluation.metrics.cross_view import agreements
from unipose_training.evaluation.metrics.pose import count_swaps, pck_curve, people_within
from unipose_training.evaluation.metrics.reference_free import summarize_checks
from unipose_training.evaluation.metrics.temporal import (
    BoneLength,
    Jitter,
    bone_consistency,
    frame_periods,
    jitter,
    limb_lengths,
    rows_by_person,
    runs,
    second_differences,
)
from unipose_training.evaluation.metrics.tracking import identity
from unipose_training.evaluation.metrics.uncertainty import (
    ConfidenceReliability,
    Reliability,
    Sparsification,
    confidence_reliability,
    reliability,
    sparsification,
    squared_mahalanobis,
)
from unipose_training.evaluation.metrics.worst import latency, worst_frames
from unipose_training.evaluation.replay import Estimator, ReplayedFrame, replay
from unipose_training.evaluation.results import Accuracy, ClipRecord, Results, bootstrap, breakdowns, summarize
from unipose_training.jobs import in_processes, share_out


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


_log = logging.getLogger(__name__)
#: Frames of a recording in which its mounting is looked at, spread over it.
_LOOKED_AT = 9


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
    """Replay one clip; no state is left of another one replayed before.

    Args:
        number: of the clip. The others as of :func:`evaluate_clips`.
    """
    if isinstance(estimator, _Resettable):
        estimator.reset()
    frames = list(replay(clip, number, estimator, _tracker() if tracking else None, joint_set, limit, advance))
    if isinstance(clip, RecordingClip) and isinstance(estimator, _Resettable):
        _remark_mounting(clip, estimator)
    return frames


def _remark_mounting(clip: RecordingClip, estimator: Estimator) -> None:
    """Say when people are seen clearly better in the recording's images turned otherwise, as the node does."""
    assert isinstance(estimator, _Resettable)
    seen = np.zeros(4)
    frames = islice(clip.frames(), 0, None, max(1, len(clip) // _LOOKED_AT))
    for number, frame in enumerate(islice(frames, _LOOKED_AT)):
        for quarters in range(4):
            estimator.reset()
            try:
                seen[quarters] += evidence(estimator.estimate(turn_frame(frame, quarters)))
            except (CameraError, EstimatorError):  # it has no other mounting
                continue
        if number >= _LOOKED_AT // 3 and seen[0] == seen.max() > 0:
            break
    estimator.reset()
    better = clearly_better(seen)
    if better:
        degrees = (clip.mounting + 90 * better) % 360
        _log.warning(
            "%s: people look upright when the images are turned by %d degrees clockwise, and their skeletons cannot be "
            "believed as it is: if the camera was mounted so, give --mounting %d",
            *(clip.name, degrees, degrees),
        )


def _tracker() -> Tracker:
    # Seeded, so that a second run gives the same ids.
    return NearestTracker(TrackerConfig(seed=0))


# Replayed frames -> results: every metric is called here, and only here.


def score_frames(
    clips: Sequence[Clip],
    frames: Sequence[ReplayedFrame],
    modality: str,
    tracking: bool,
    poses: Mapping[str, NDArray[np.float64]] | None = None,
) -> Results:
    """All metrics of all recordings together.

    Args:
        frames: of the recordings in their order.
        tracking: whether people were followed, so that they have ids.
        poses: of calibrated cameras, by recording.

    Raises:
        EvaluationError: there is no frame at all.
    """
    if not frames:
        lost = {clip.name: dict(clip.losses()) for clip in clips}
        remedy = (
            "the first of each kind is explained above" if any(lost.values()) else "record color, depth, camera_info"
        )
        raise EvaluationError(f"there is no usable frame in {lost}; {remedy}")
    joint_set = frames[0].predicted.joint_set
    scored = [
        ScoredFrame(f.clip, f.predicted, f.ground_truth, match_people(f.predicted, f.ground_truth))
        for f in frames
        if f.ground_truth is not None
    ]
    pairs = pose_pairs(scored, joint_set)
    periods = _periods(frames)
    jitters, bones = _own_motion(frames, joint_set, periods) if not scored else _judged_motion(pairs, periods)
    names = [clip.name for clip in clips]
    views = {names[n]: [f.predicted for f in group] for n, group in groupby(frames, lambda f: f.clip)}
    return Results(
        version=__version__,
        modality=modality,
        joint_set=joint_set.name,
        tracking=tracking,
        clips=tuple(_clip_record(clip, [f for f in frames if f.clip == n]) for n, clip in enumerate(clips)),
        accuracy=_accuracy(clips, frames, scored, pairs, tracking) if scored else None,
        jitter=jitters,
        bones=tuple(bones),
        latency=latency(_warm(frames)),
        label_free=summarize_checks([f.checks for f in frames]),
        agreement=agreements(views, poses or {}),
    )


def _accuracy(
    clips: Sequence[Clip],
    frames: Sequence[ReplayedFrame],
    scored: Sequence[ScoredFrame],
    pairs: PosePairs,
    tracking: bool,
) -> Accuracy:
    followed = runs(pairs.clips, pairs.true_ids, pairs.stamps_ns, _periods(frames))
    return Accuracy(
        people=count_people([frame.matches for frame in scored]),
        overall=summarize(pairs, "all"),
        intervals=bootstrap(pairs),
        pck=pck_curve(pairs.errors, pairs.counted),
        groups=breakdowns(pairs, [clip.name for clip in clips], [clip.subset for clip in clips]),
        jitter_true=jitter(second_differences(pairs.ground_truth, followed)),
        swaps=count_swaps(pairs.predicted, pairs.ground_truth, pairs.joint_set),
        reliability=_reliabilities(pairs),
        confidence=_confidences(pairs),
        limbs=limb_lengths(pairs.predicted, pairs.ground_truth, pairs.joint_set),
        people_within_10cm=people_within(pairs.errors, pairs.counted, 0.10),
        sparsification=_sparsifications(pairs),
        identity=identity(scored) if tracking else None,
        label_free_true=summarize_checks([f.true_checks for f in frames if f.true_checks is not None]),
        worst=worst_frames(scored),
    )


def _reliabilities(pairs: PosePairs) -> dict[str, Reliability]:
    """Of all joints, and of those that the prediction calls measured and inferred; without covariances none."""
    squared = squared_mahalanobis(pairs.predicted - pairs.ground_truth, pairs.covariances)
    found = {name: reliability(squared[mask]) for name, mask in _by_status(pairs).items()}
    return {name: value for name, value in found.items() if value.count}


def _confidences(pairs: PosePairs) -> dict[str, ConfidenceReliability]:
    """Of all joints, and of those that the prediction calls measured and inferred."""
    kinds = _by_status(pairs).items()
    found = {name: confidence_reliability(pairs.confidences[mask], pairs.errors[mask]) for name, mask in kinds}
    return {name: value for name, value in found.items() if value.count}


def _by_status(pairs: PosePairs) -> dict[str, NDArray[np.bool_]]:
    return {"all": np.ones_like(pairs.measured), "measured": pairs.measured, "inferred": ~pairs.measured}


def _sparsifications(pairs: PosePairs) -> dict[str, Sparsification]:
    uncertainties = {"covariance": variances(pairs.covariances).sum(axis=-1), "confidence": 1 - pairs.confidences}
    found = {name: sparsification(pairs.errors, values) for name, values in uncertainties.items()}
    return {name: value for name, value in found.items() if value is not None}


def _judged_motion(pairs: PosePairs, periods: dict[int, float]) -> tuple[Jitter, list[BoneLength]]:
    """Of predictions paired with the ground truth: a series ends where a person's predicted id changes."""
    both = np.char.add(np.char.add(pairs.true_ids, "/"), pairs.predicted_ids)
    ids = np.where(pairs.found, both, "")
    steps = runs(pairs.clips, ids, pairs.stamps_ns, periods)
    tracks = rows_by_person(pairs.clips, ids, pairs.stamps_ns).values()
    trembling = jitter(second_differences(pairs.predicted, steps))
    return trembling, bone_consistency(pairs.predicted, pairs.ground_truth, tracks, pairs.joint_set)


def _own_motion(
    frames: Sequence[ReplayedFrame], joint_set: JointSet, periods: dict[int, float]
) -> tuple[Jitter, list[BoneLength]]:
    """Of predictions by their own ids."""
    people = [(f, i) for f in frames for i in f.predicted]
    clips = np.array([f.clip for f, _ in people], np.int64)
    stamps = np.array([f.predicted.stamp_ns for f, _ in people], np.int64)
    ids = np.array([f.predicted.ids[i] for f, i in people], np.str_)
    positions = np.zeros((len(people), len(joint_set), 3))
    for row, (frame, person) in enumerate(people):
        positions[row] = frame.predicted.positions[person]
    trembling = jitter(second_differences(positions, runs(clips, ids, stamps, periods)))
    return trembling, bone_consistency(positions, None, rows_by_person(clips, ids, stamps).values(), joint_set)


def _periods(frames: Sequence[ReplayedFrame]) -> dict[int, float]:
    """Frame period of every recording, from all its frames: people come and go, frames do not."""
    clips = np.array([f.clip for f in frames], np.int64)
    return frame_periods(clips, np.array([f.predicted.stamp_ns for f in frames], np.int64))


def _clip_record(clip: Clip, frames: Sequence[ReplayedFrame]) -> ClipRecord:
    period = _periods(frames).get(frames[0].clip if frames else 0, float("nan"))
    return ClipRecord(
        name=clip.name,
        subset=clip.subset,
        frames=len(frames),
        frames_with_ground_truth=sum(f.ground_truth is not None for f in frames),
        rate_hz=1e9 / period,
        people_max=max((len(f.predicted) for f in frames), default=0),
        losses=dict(clip.losses()),
    )


def _warm(frames: Sequence[ReplayedFrame]) -> list[Mapping[str, float]]:
    """Durations without the first frame of each recording."""
    return [f.milliseconds for before, f in pairwise(frames) if before.clip == f.clip]


# Clips are replayed by several processes, one thread each; the figures are those of one process.


def _replayer(
    config: EstimatorConfig, tracking: bool, joint_set: JointSet | None, limit: int | None
) -> Callable[[tuple[int, Clip]], list[ReplayedFrame]]:
    """A worker's function: a clip with its number -> its frames."""
    estimator = build_estimator(config)
    return lambda job: replay_clip(job[1], job[0], estimator, tracking, joint_set, limit)


def replay_in_processes(
    clips: Sequence[Clip],
    config: EstimatorConfig,
    tracking: bool,
    joint_set: JointSet | None,
    limit: int | None,
    workers: int,
    advance: Callable[[int], object],
) -> list[ReplayedFrame]:
    """All clips' frames in their order.

    Args:
        config: of the estimator, of which each process makes one.
        workers: most processes.
        advance: told how many frames a clip had that is done.

    Raises:
        EvaluationError: as of :func:`unipose_training.evaluation.run.evaluate_clips`.
        WorkersError: a worker was killed.
    """
    found: dict[int, list[ReplayedFrame]] = {}
    start = partial(_replayer, replace(config, threads=1), tracking, joint_set, limit)
    with closing(share_out(list(enumerate(clips)), start, workers, in_processes)) as replayed:
        for (number, _), frames in replayed:
            found[number] = frames
            advance(len(frames))
    return [frame for number in range(len(clips)) for frame in found[number]]
