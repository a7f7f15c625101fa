"""The demo's numbers, on cases worked out by hand."""

from __future__ import annotations

import numpy as np

from unipose_ros.cli.demo_images import Received, best_stamp, percentiles, score, summarize
from unipose_ros.frame import Skeletons, TrackState


def people(stamp: int, *places: tuple[float, float, float], ids: tuple[str, ...] = ()) -> Skeletons:
    count = len(places)
    positions = np.zeros((count, 15, 3), np.float32) + np.array(places, np.float32).reshape(count, 1, 3)
    return Skeletons(
        stamp_ns=stamp,
        frame_id="camera",
        modality="lookup",
        positions=positions,
        confidences=np.ones((count, 15), np.float32),
        status=np.full((count, 15), 2, np.uint8),
        scores=np.ones(count, np.float32),
        ids=ids,
        states=np.full(count, TrackState.TRACKED, np.uint8),
    )


def test_delivery_counts_frames_not_messages() -> None:
    messages = [Received(s, 10.0, people(s)) for s in (100, 100, 300, 999)]
    summary = summarize([100, 200, 300, 400], messages, {"p50": 9.0, "p95": 9.5}, {"network": {"p50": 5.0}}, {})
    assert summary["frames_in"] == 4
    assert summary["skeleton_messages"] == 4
    assert summary["delivered_fraction"] == 0.5
    assert summary["latency_ms"]["p50"] == 9.0
    assert summary["latency_ms"]["stages"] == {"network": {"p50": 5.0}}
    assert summary["latency_ms"]["received"] == {"p50": 10.0, "p95": 10.0}
    assert "against_ground_truth" not in summary


def test_nothing_received_is_no_crash() -> None:
    summary = summarize([1, 2], [], {}, {}, {})
    assert summary["delivered_fraction"] == 0.0
    assert summary["people_max"] == 0
    assert summary["latency_ms"]["received"] == {}
    assert summarize([], [], {}, {}, {})["delivered_fraction"] == 0.0


def test_ids_are_those_of_confirmed_people() -> None:
    both = people(1, (0, 0, 2), (1, 0, 2), ids=("aaaaa", "bbbbb"))
    both.states[1] = TrackState.NEW
    summary = summarize([1], [Received(1, 1.0, both)], {}, {}, {})
    assert summary["people_max"] == 2
    assert summary["ids"] == ["aaaaa"]


def test_errors_are_those_of_the_best_matching() -> None:
    wanted = people(1, (0, 0, 2), (1, 0, 2))
    found = people(1, (1.0, 0.1, 2), (0.0, 0.03, 2))  # in the other order
    result = score([Received(1, 1.0, found)], {1: wanted})
    assert result == {
        "people_found_fraction": 1.0,
        "joints_found_fraction": 1.0,
        "mpjpe_mm": 65.0,
        "median_mm": 65.0,
    }


def test_missing_joints_and_people_are_counted_not_averaged() -> None:
    wanted = people(1, (0, 0, 2), (3, 0, 2))
    found = people(1, (0, 0.02, 2))
    found.positions[0, 4] = np.nan
    result = score([Received(1, 1.0, found)], {1: wanted})
    assert result["people_found_fraction"] == 0.5
    assert result["joints_found_fraction"] == round(14 / 30, 4)
    assert result["mpjpe_mm"] == 20.0


def test_a_far_person_is_not_a_match() -> None:
    result = score([Received(1, 1.0, people(1, (0, 0, 3)))], {1: people(1, (0, 0, 2))})
    assert result["people_found_fraction"] == 0.0
    assert result["mpjpe_mm"] is None


def test_percentiles() -> None:
    assert percentiles([]) == {}
    assert percentiles(list(range(101))) == {"p50": 50.0, "p95": 95.0}


def test_the_image_is_of_a_frame_that_all_modalities_have_processed() -> None:
    both = {stamp: Received(stamp, 1.0, people(stamp, (0, 0, 2))) for stamp in (100, 200, 300)}
    more = {**both, 400: Received(400, 1.0, people(400, (0, 0, 2), (1, 0, 2)))}
    assert best_stamp([more]) == 400
    assert best_stamp([more, both]) == 200
    assert best_stamp([more, {}]) == 400
    assert best_stamp([{}, both]) is best_stamp([]) is None
