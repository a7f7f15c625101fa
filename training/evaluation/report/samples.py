"""Which frames the gallery shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unipose_training.evaluation.replay import ReplayedFrame
from unipose_training.evaluation.report.pictures import FrameKey
from unipose_training.evaluation.results import Results


def gallery_frames(results: Results, frames: Sequence[ReplayedFrame], count: int = 4) -> list[FrameKey]:
    """The worst frames; without truth or faults, frames with people at equal distances over everything."""
    if results.accuracy is not None and results.accuracy.worst:
        return [(frame.clip, frame.stamp_ns) for frame in results.accuracy.worst]
    peopled = [f for f in frames if len(f.predicted)] or list(frames)
    places = np.linspace(0, max(0, len(peopled) - 1), count + 2).astype(int)[1:-1]
    chosen = [peopled[i] for i in np.unique(places)] if peopled else []
    return [(frame.clip, frame.predicted.stamp_ns) for frame in chosen]
