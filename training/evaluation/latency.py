"""How long frames took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unipose_ros.cli.summary import percentiles


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
