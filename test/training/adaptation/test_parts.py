"""A recording is divided by time, and its ground truth is hidden from what adapts to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from unipose_training.adaptation.parts import ADAPTATION, HELD_OUT, divide, open_parts, thinned
from unipose_training.adaptation.settings import AdaptSettings, parse_minutes
from unipose_training.datasets.base import open_clips
from unipose_training.errors import AdaptationError

SECOND = 1_000_000_000


def test_stamps_are_thinned_to_a_rate() -> None:
    assert thinned([k * SECOND // 30 for k in range(300)], 5.0) == [k * SECOND // 5 for k in range(50)]
    assert thinned([0, SECOND, 2 * SECOND], 5.0) == [0, SECOND, 2 * SECOND]


def test_parts_are_a_second_apart_and_in_order() -> None:
    stamps = [k * SECOND // 5 for k in range(150)]
    first, second = divide(stamps, 1 / 3, "bag")
    assert second.stamps_ns[0] - first.stamps_ns[-1] >= SECOND
    assert first.stamps_ns[0] == 0
    assert second.stamps_ns[-1] == stamps[-1]
    assert len(second.stamps_ns) == pytest.approx(50, abs=1)


def test_too_short_a_recording_is_refused() -> None:
    with pytest.raises(AdaptationError, match="12 frames"):
        divide([k * SECOND for k in range(12)], 1 / 3, "bag")


def test_frames_of_the_parts_and_hidden_ground_truth(walks: Path) -> None:
    clip = open_clips(walks / "clips")[0]
    stamps = [frame.stamp_ns for frame in clip.frames()]
    from unipose_training.adaptation.parts import Span

    spans = [(Span(tuple(stamps[:2])), Span(tuple(stamps[2:])))]
    (begin,), (end,) = (open_parts([clip], spans, which) for which in (ADAPTATION, HELD_OUT))
    assert [f.stamp_ns for f in begin.frames()] == stamps[:2]
    assert [f.stamp_ns for f in end.frames()] == stamps[2:]
    assert begin.name != end.name
    assert not list(begin.ground_truth())
    (judged,) = open_parts([clip], spans, HELD_OUT, ground_truth=True)
    assert [s.stamp_ns for s in judged.ground_truth()] == stamps[2:]


@pytest.mark.parametrize(("text", "minutes"), [("30min", 30.0), ("90s", 1.5), ("1.5h", 90.0), ("2", 2.0)])
def test_budgets(text: str, minutes: float) -> None:
    assert parse_minutes(text) == minutes


@pytest.mark.parametrize("text", ["", "soon", "-3min", "0"])
def test_budgets_that_are_none(text: str) -> None:
    with pytest.raises(AdaptationError, match="budget"):
        parse_minutes(text)


def test_steps_follow_from_the_budget_alone() -> None:
    half, whole = AdaptSettings(budget_minutes=15), AdaptSettings(budget_minutes=30)
    assert whole.steps("points") == pytest.approx(2 * half.steps("points"), abs=1)
    assert AdaptSettings(modalities=("points", "depth")).steps("points") == half.steps("points")
