"""Replay and scoring as a whole, with an estimator that says what the test wants."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.errors import EstimatorError
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.joint_sets import COCO17
from unipose_ros.modalities.base import StageClock
from unipose_training.errors import EvaluationError
from unipose_training.evaluation.report.page import notes
from unipose_training.evaluation.run import evaluate_clips

CAMERA = Camera(60.0, 60.0, 31.5, 23.5, 64, 48)


@dataclass
class ListClip:
    """Frames of nothing, and a ground truth."""

    stamps: Sequence[int]
    known: Sequence[Skeletons] = ()
    name: str = "walk"
    subset: str = ""
    lost: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.stamps)

    def frames(self) -> Iterator[RgbdFrame]:
        for stamp in self.stamps:
            yield RgbdFrame(stamp, "camera", CAMERA, np.full((48, 64), 3.0, np.float32))

    def ground_truth(self) -> Iterator[Skeletons]:
        yield from self.known

    def losses(self) -> Mapping[str, int]:
        return self.lost


class Oracle:
    """Gives the people of each stamp."""

    modality = "oracle"
    last_keypoints = None

    def __init__(self, predictions: Sequence[Skeletons]) -> None:
        self._predictions = {s.stamp_ns: s for s in predictions}

    def estimate(self, frame: RgbdFrame, clock: StageClock | None = None) -> Skeletons:
        if frame.stamp_ns not in self._predictions:
            raise EstimatorError("the frame has no color; give it some")
        with (clock or StageClock()).stage("network"):
            return self._predictions[frame.stamp_ns]


@pytest.fixture
def walk(people, standing: np.ndarray):
    """A person who walks 10 cm a frame, 10 frames a second; predictions are 3 and 4 cm off."""

    def make(frames: int = 8, clip: int = 0) -> tuple[list[int], list[Skeletons], list[Skeletons]]:
        stamps = [(1 + 1000 * clip + t) * 100_000_000 for t in range(frames)]
        places = [standing + (0.1 * t - 0.4, 0, 3) for t in range(frames)]
        ground_truth = [people([p], s, ["anna"]) for p, s in zip(places, stamps, strict=True)]
        found = [people([p + (0.03, 0.04, 0)], s) for p, s in zip(places, stamps, strict=True)]
        return stamps, ground_truth, found

    return make


def test_everything_by_hand(walk) -> None:
    stamps, ground_truth, found = walk()
    results, frames = evaluate_clips([ListClip(stamps, ground_truth)], Oracle(found), tracking=False)
    accuracy = results.accuracy
    assert accuracy is not None
    assert accuracy.overall.mpjpe_mm == pytest.approx(50, abs=1e-3)
    assert accuracy.overall.root_aligned_mm == pytest.approx(0, abs=1e-3)
    assert accuracy.overall.joints == 8 * 15
    assert accuracy.people.recall == accuracy.people.precision == 1
    assert accuracy.jitter_true.median_mm == pytest.approx(0, abs=1e-3)
    assert results.jitter.count == 6 * 15
    assert accuracy.swaps.swapped == 0
    assert accuracy.identity is None
    assert accuracy.reliability == {}
    assert {bone.tracks for bone in results.bones} == {1}
    assert results.latency.frames == 7
    assert set(results.latency.stages) == {"network"}
    assert (results.modality, results.joint_set, results.frames, len(frames)) == ("oracle", "itop15", 8, 8)
    assert results.clips[0].rate_hz == pytest.approx(10)


def test_with_tracking_there_are_ids(walk) -> None:
    stamps, ground_truth, found = walk()
    results, frames = evaluate_clips([ListClip(stamps, ground_truth)], Oracle(found))
    assert results.accuracy is not None
    assert results.accuracy.identity is not None
    assert results.accuracy.identity.idf1 == 1
    assert set(results.latency.stages) == {"network", "track"}
    assert len({f.predicted.ids for f in frames}) == 1


def test_the_same_input_gives_the_same_figures(walk) -> None:
    stamps, ground_truth, found = walk()

    def run() -> dict:
        results, _ = evaluate_clips([ListClip(stamps, ground_truth)], Oracle(found))
        figures = json.loads(results.to_json())
        del figures["latency"]
        return figures

    assert run() == run()


def test_json_has_no_nan(walk) -> None:
    stamps, _, found = walk(1)
    results, _ = evaluate_clips([ListClip(stamps)], Oracle(found))
    figures = json.loads(results.to_json(), parse_constant=lambda name: pytest.fail(name))
    assert figures["accuracy"] is None
    assert figures["jitter"]["median_mm"] is None
    assert figures["clips"][0]["frames"] == 1


def test_without_ground_truth_there_is_still_jitter(walk) -> None:
    stamps, _, found = walk()
    results, _ = evaluate_clips([ListClip(stamps)], Oracle(found))
    assert results.accuracy is None
    assert results.jitter.count == 6 * 15
    assert math.isnan(results.bones[0].error_mm)
    assert results.bones[0].std_mm < 5


def test_frames_without_ground_truth_are_told_apart_from_frames_without_people(walk, people) -> None:
    stamps, ground_truth, found = walk(4)
    results, _ = evaluate_clips(
        [ListClip(stamps, [ground_truth[0], people([], stamps[1])])], Oracle(found), tracking=False
    )
    accuracy = results.accuracy
    assert accuracy is not None
    assert (accuracy.people.frames, accuracy.people.people, accuracy.people.extra) == (2, 1, 1)
    assert (results.frames, results.clips[0].frames_with_ground_truth) == (4, 2)


def test_no_people_anywhere(people) -> None:
    no_people = [people([], s) for s in (1, 2)]
    results, _ = evaluate_clips([ListClip([1, 2], no_people)], Oracle(no_people))
    assert results.accuracy is not None
    assert results.accuracy.overall.joints == 0
    assert json.loads(results.to_json())["accuracy"]["overall"]["mpjpe_mm"] is None


def test_recordings_and_subsets_have_their_rows(walk) -> None:
    first, second = walk(4), walk(4, clip=1)
    clips = [ListClip(first[0], first[1], "a", "single"), ListClip(second[0], second[1], "b", "crowd")]
    results, _ = evaluate_clips(clips, Oracle(first[2] + second[2]))
    assert results.accuracy is not None
    for kind, names in (("recording", ["a", "b"]), ("subset", ["single", "crowd"])):
        assert [(s.name, s.joints) for s in results.accuracy.groups[kind]] == [(name, 60) for name in names]
    assert results.accuracy.identity is not None
    assert results.accuracy.identity.true_people == 2


def test_another_joint_set(walk) -> None:
    stamps, ground_truth, found = walk()
    results, _ = evaluate_clips([ListClip(stamps, ground_truth)], Oracle(found), tracking=False, joint_set=COCO17)
    assert results.joint_set == "coco17"
    assert results.accuracy is not None
    # ITOP has neither nose, eyes nor ears.
    assert results.accuracy.overall.joints == 8 * 12
    assert results.accuracy.overall.root_aligned_mm == pytest.approx(0, abs=1e-3)


def test_the_limit_is_for_each_recording(walk) -> None:
    stamps, ground_truth, found = walk()
    seen: list[int] = []
    results, _ = evaluate_clips(
        [ListClip(stamps, ground_truth)] * 2, Oracle(found), limit=3, advance=lambda: seen.append(1)
    )
    assert [clip.frames for clip in results.clips] == [3, 3]
    assert len(seen) == 6


def test_covariances_are_judged(walk, people, standing: np.ndarray) -> None:
    stamps, ground_truth, _ = walk()
    triangle = np.array([4e-4, 0, 0, 4e-4, 0, 4e-4])
    covariances = np.broadcast_to(triangle, (1, 15, 6))
    found = [
        people([standing + (0.1 * t - 0.4 + 0.02 * math.sqrt(2.366), 0, 3)], s, covariances=covariances)
        for t, s in enumerate(stamps)
    ]
    results, _ = evaluate_clips([ListClip(stamps, ground_truth)], Oracle(found), tracking=False)
    assert results.accuracy is not None
    # 2.366 is the median of chi-square with three degrees of freedom, so the scale fits.
    assert results.accuracy.reliability["measured"].scale == pytest.approx(1, abs=1e-3)
    assert "inferred" not in results.accuracy.reliability


def test_ground_truth_in_another_frame_is_refused(walk) -> None:
    from dataclasses import replace

    stamps, ground_truth, found = walk(2)
    with pytest.raises(EvaluationError, match="walk: the ground truth is in frame 'world', the images in 'camera'"):
        evaluate_clips([ListClip(stamps, [replace(t, frame_id="world") for t in ground_truth])], Oracle(found))


def test_a_modality_that_cannot_use_the_frames_is_refused() -> None:
    with pytest.raises(EvaluationError, match="walk: the frame has no color"):
        evaluate_clips([ListClip([1])], Oracle([]))


def test_a_recording_without_frames_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"no usable frame in .*no partner.*explained above"):
        evaluate_clips([ListClip([], lost={"no partner": 3})], Oracle([]))
    with pytest.raises(EvaluationError, match=r"no usable frame in .*camera_info"):
        evaluate_clips([ListClip([])], Oracle([]))


def test_what_a_reader_must_know_is_told(walk) -> None:
    stamps, ground_truth, found = walk(20)
    clips = [
        ListClip(stamps, ground_truth[:10], "a", lost={"images dropped, no partner": 7}),
        ListClip(stamps[::2], ground_truth[::2], "b"),
    ]
    results, _ = evaluate_clips(clips, Oracle(found), tracking=False)
    text = " ".join(notes(results, video_frames=25))
    assert "a: images dropped, no partner: 7." in text
    assert "10 frames had no ground truth of the same stamp" in text
    assert "20 poses are few" in text
    assert "without following or smoothing people" in text
    assert "Frame rates differ" in text
    assert "The video ends after 25 of 30 frames" in text
    assert "lookup" not in text
