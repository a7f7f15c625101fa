"""What each stage of the estimator takes, without ROS: frames are decoded before."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unipose_ros.codecs.points import PointCloudConfig, encode_person
from unipose_ros.estimator import EstimatorConfig, PoseEstimator, build_estimator
from unipose_ros.frame import RgbdFrame
from unipose_ros.timing import StageClock
from unipose_training.evaluation.speed.machine import quantiles
from unipose_training.evaluation.speed.scenes import to_and_fro

_WARM_UP = 4
_PERIOD_NS = 10**9 // 30
_CROPS = 15


@dataclass(frozen=True, eq=False)
class Scene:
    """Frames of so many people.

    Attributes:
        people: their number.
        frames: in their order.
    """

    people: int
    frames: Sequence[RgbdFrame]

    @property
    def size(self) -> str:
        """``640x480``."""
        camera = self.frames[0].camera
        return f"{camera.width}x{camera.height}"

    def moving(self, count: int) -> Iterator[RgbdFrame]:
        """So many frames, 1/30 s apart, to and fro through those of the scene."""
        for number in range(count):
            frame = self.frames[to_and_fro(number, len(self.frames) - 1)]
            yield replace(frame, stamp_ns=10**9 + number * _PERIOD_NS)


def measure_stages(config: EstimatorConfig, scenes: Sequence[Scene], count: int) -> Iterator[dict[str, Any]]:
    """One row for every scene: milliseconds of the stages, of a frame, and of all threads' work on it.

    Raises:
        WeightsError: a network's weights are absent.
        BackendError: the backend or device asked for is not there.
    """
    with closing(build_estimator(config)) as estimator:
        for scene in scenes:
            estimator.warm_up(scene.frames[0].camera)
            estimator.reset()
            yield {
                "modality": config.modality,
                "people": scene.people,
                "size": scene.size,
                "threads": config.threads,
                **_measured(estimator, scene, count),
            }


def _measured(estimator: PoseEstimator, scene: Scene, count: int) -> dict[str, Any]:
    times: dict[str, list[float]] = defaultdict(list)
    found = []
    for number, frame in enumerate(scene.moving(_WARM_UP + count)):
        clock, began, worked = StageClock(), time.perf_counter(), time.process_time()
        people = len(estimator.estimate(frame, clock))
        if number < _WARM_UP:
            continue
        times["frame"].append(1e3 * (time.perf_counter() - began))
        times["cpu"].append(1e3 * (time.process_time() - worked))
        found.append(people)
        for stage, taken in clock.milliseconds.items():
            times[stage].append(taken)
    return {"found": round(float(np.mean(found)), 2), "ms": {stage: quantiles(taken) for stage, taken in times.items()}}


def measure_crops(scene: Scene, points: Sequence[int] = (256, 512, 1024, 2048, 4096)) -> list[dict[str, Any]]:
    """Milliseconds of CPU time to cut a person out of a scene and thin the cloud to so many points."""
    frame = scene.frames[0]
    camera = frame.camera
    # The first person of a scene stands in the middle, whole in the image.
    box = np.array([0.4 * camera.width, 0.1 * camera.height, 0.6 * camera.width, 0.95 * camera.height])
    assert frame.depth is not None
    middle = frame.depth[camera.height // 2, int(0.48 * camera.width) : int(0.52 * camera.width)]
    distance = float(np.median(middle[middle > 0]))
    rows = []
    for count in points:
        config = PointCloudConfig(points=count, centers=max(count // 16, 1), min_points=1)
        taken = []
        for _ in range(_CROPS):
            began = time.thread_time()
            encode_person(frame, box, distance, config)
            taken.append(1e3 * (time.thread_time() - began))
        rows.append({"points": count, "size": scene.size, "cpu_ms": quantiles(taken)})
    return rows
