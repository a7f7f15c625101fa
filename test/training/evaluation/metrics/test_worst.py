from __future__ import annotations

import numpy as np
import pytest

from unipose_training.evaluation.matching import ScoredFrame, match_people
from unipose_training.evaluation.metrics.worst import worst_frames


@pytest.fixture
def frame(people, standing: np.ndarray):
    def make(second: float, off: float | None, extra: int = 0, clip: int = 0) -> ScoredFrame:
        stamp = round(second * 1e9)
        found = [standing + (5 + 2 * i, 0, 3) for i in range(extra)]
        if off is not None:
            found.append(standing + (off, 0, 3))
        ground_truth, predicted = people([standing + (0, 0, 3)], stamp, ["a"]), people(found, stamp)
        return ScoredFrame(clip, predicted, ground_truth, match_people(predicted, ground_truth))

    return make


def test_the_worst_come_first(frame) -> None:
    found = worst_frames([frame(0, 0.1), frame(1, None), frame(2, 0.3), frame(3, 0.2, extra=1)], count=3)
    assert [w.stamp_ns // 10**9 for w in found] == [1, 3, 2]
    assert [w.cost_mm for w in found] == pytest.approx([500, (200 + 500) / 2, 300], abs=0.01)
    assert (found[0].missed, found[1].extra) == (1, 1)
    assert np.isnan(found[0].error_mm)


def test_neighbors_are_not_shown_but_other_recordings_are(frame) -> None:
    found = worst_frames([frame(0, 0.1), frame(0.4, 0.2), frame(0.8, 0.3), frame(0.8, 0.1, clip=1)])
    assert [(w.clip, w.stamp_ns) for w in found] == [(0, 800_000_000), (0, 0), (1, 800_000_000)]


def test_nothing_to_show(frame) -> None:
    assert worst_frames([]) == ()
    assert worst_frames([frame(0, 0.0)]) == ()
