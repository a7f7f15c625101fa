"""The frames to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unipose_ros.cli.demo_images import percentiles
from unipose_ros.tracking.assignment import mean_distances
from unipose_training.evaluation.matching import MATCH_GATE, ScoredFrame

# How long frames took.


@dataclass(frozen=True)
class Latency:
    """Milliseconds, each as ``{"p50": ..., "p95": ...}``.

    Attributes:
        frames: how many were timed; the first frame of every recording, on which networks warm up, is not.
        total: all stages of a frame together. Decoding and publishing are not part of it.
        stages: by name.
    """

    frames: int
    total: dict[str, float]
    stages: dict[str, dict[str, float]]


def latency(frames: Sequence[Mapping[str, float]]) -> Latency:
    """Percentiles over the stage durations of frames."""
    names = list(dict.fromkeys(name for frame in frames for name in frame))
    return Latency(
        frames=len(frames),
        total=percentiles([sum(frame.values()) for frame in frames]),
        stages={name: percentiles([frame[name] for frame in frames if name in frame]) for name in names},
    )


#: Frames of one recording that are shown lie at least this far apart, seconds: neighbors look alike.
APART = 0.5


@dataclass(frozen=True)
class WorstFrame:
    """A frame and what is wrong with it.

    Attributes:
        clip: number of the recording.
        stamp_ns: of the frame.
        cost_mm: mean over its people, true and invented, of their mean joint errors; a person
            missed or invented costs 500 mm.
        error_mm: mean error of those who were found; NaN of none.
        missed, extra: how many people were not found, and how many are not there.
    """

    clip: int
    stamp_ns: int
    cost_mm: float
    error_mm: float
    missed: int
    extra: int


def worst_frames(frames: Sequence[ScoredFrame], count: int = 6) -> tuple[WorstFrame, ...]:
    """The costliest frames, worst first; of neighbors only the worst. Frames without any person are left out."""
    worst = sorted((_rank(f) for f in frames), key=lambda w: (-w.cost_mm, w.clip, w.stamp_ns))
    chosen: list[WorstFrame] = []
    for frame in worst:
        if len(chosen) == count:
            break
        if frame.cost_mm > 0 and not any(_near(frame, other) for other in chosen):
            chosen.append(frame)
    return tuple(chosen)


def _rank(frame: ScoredFrame) -> WorstFrame:
    matches = frame.matches
    distances = mean_distances(frame.ground_truth.positions, frame.predicted.positions)
    errors = distances[matches.true, matches.predicted]
    missed, extra = len(matches.missed), len(matches.extra)
    people = len(errors) + missed + extra
    cost = (errors.sum() + (missed + extra) * MATCH_GATE) / people if people else 0.0
    return WorstFrame(
        clip=frame.clip,
        stamp_ns=frame.ground_truth.stamp_ns,
        cost_mm=1e3 * float(cost),
        error_mm=1e3 * float(np.mean(errors)) if len(errors) else float("nan"),
        missed=missed,
        extra=extra,
    )


def _near(first: WorstFrame, second: WorstFrame) -> bool:
    return first.clip == second.clip and abs(first.stamp_ns - second.stamp_ns) < APART * 1e9
