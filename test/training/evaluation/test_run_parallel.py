"""Several processes replay recordings as one does."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from unipose_ros.estimator import EstimatorConfig, build_estimator
from unipose_training.datasets.base import open_clips
from unipose_training.evaluation.run import evaluate_clips, replay_in_processes

WALK = Path(__file__).resolve().parents[3] / "demo" / "walk"


@pytest.mark.slow
def test_two_processes_find_what_one_finds() -> None:
    clips = [clip for _ in range(2) for clip in open_clips(WALK)]
    config = EstimatorConfig(modality="depth", threads=1, device="cpu")
    done: list[int] = []
    found = replay_in_processes(clips, config, True, None, 3, workers=2, advance=done.append)
    with closing(build_estimator(config)) as estimator:
        _, wanted = evaluate_clips(clips, estimator, limit=3)
    assert done == [3, 3]
    assert [frame.clip for frame in found] == [0, 0, 0, 1, 1, 1]
    for one, other in zip(found, wanted, strict=True):
        assert one.predicted.stamp_ns == other.predicted.stamp_ns
        assert one.predicted.ids == other.predicted.ids
        np.testing.assert_allclose(one.predicted.positions, other.predicted.positions, atol=1e-5)


class _Remembering:
    """An estimator that must be reset between recordings."""

    modality, last_keypoints = "depth", None

    def __init__(self) -> None:
        self.frames, self.longest = 0, 0

    def estimate(self, frame, clock=None):  # type: ignore[no-untyped-def]
        from unipose_ros.frame import Skeletons

        self.frames += 1
        self.longest = max(self.longest, self.frames)
        return Skeletons.empty(frame.stamp_ns, frame.frame_id, "depth")

    def reset(self) -> None:
        self.frames = 0


def test_nothing_is_kept_from_one_recording_to_the_next() -> None:
    estimator = _Remembering()
    evaluate_clips([clip for _ in range(2) for clip in open_clips(WALK)], estimator, limit=2)
    assert estimator.longest == 2
