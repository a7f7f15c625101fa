"""Clips are replayed by several processes, one thread each; the figures are those of one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import cv2

from unipose_ros.estimator import EstimatorConfig, PoseEstimator, build_estimator
from unipose_ros.joint_sets import JointSet
from unipose_ros.termination import WorkerPool
from unipose_training.datasets.base import Clip
from unipose_training.evaluation.errors import EvaluationError
from unipose_training.evaluation.replay import ReplayedFrame
from unipose_training.evaluation.run import replay_clip

#: The worker's own; set when its process starts.
_estimator: PoseEstimator | None = None


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
        EvaluationError: as of :func:`unipose_training.evaluation.run.evaluate_clips`, or a worker was killed.
    """
    found: dict[int, list[ReplayedFrame]] = {}
    try:
        with WorkerPool(min(workers, len(clips)), _start, (replace(config, threads=1),)) as pool:
            futures = {pool.submit(_replay, clip, number, tracking, joint_set, limit): number
                       for number, clip in enumerate(clips)}  # fmt: skip
            for future in as_completed(futures):
                found[futures[future]] = future.result()
                advance(len(found[futures[future]]))
    except BrokenProcessPool as error:
        raise EvaluationError(
            "a worker was killed, perhaps for want of memory; run the same again with --workers 1"
        ) from error
    return [frame for number in range(len(clips)) for frame in found[number]]


def _start(config: EstimatorConfig) -> None:
    global _estimator
    cv2.setNumThreads(1)
    _estimator = build_estimator(config)


def _replay(
    clip: Clip, number: int, tracking: bool, joint_set: JointSet | None, limit: int | None
) -> list[ReplayedFrame]:
    assert _estimator is not None  # set by _start
    return replay_clip(clip, number, _estimator, tracking, joint_set, limit)
