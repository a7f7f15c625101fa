from __future__ import annotations

import math

import numpy as np
import pytest

from unipose_training.evaluation.matching import ScoredFrame, match_people
from unipose_training.evaluation.metrics.tracking import IdentifiedFrame, hota, identity, person_positions


def crowd() -> list[IdentifiedFrame]:
    """Three people with misses, false alarms and changes of id."""
    rng = np.random.default_rng(5)
    frames = []
    for t in range(60):
        true = ["a", "b", "c"] if t < 40 else ["a", "c"]
        at = {"a": (0.02 * t, 0, 3), "b": (1.2 - 0.02 * t, 0, 3.1), "c": (-1, 0.2, 4)}
        predicted = {}
        for name in true:
            if rng.random() < 0.15:
                continue
            found = {"a": "p", "b": "q", "c": "r" if t < 25 else "s"}[name]
            if t > 30 and name in "ab":
                found = {"p": "q", "q": "p"}[found]
            predicted[found] = np.array(at[name]) + rng.normal(0, 0.12, 3)
        if rng.random() < 0.2:
            predicted["x"] = np.array([2, 0, 5.0])
        there = np.array(list(predicted.values())).reshape(-1, 3)
        apart = np.linalg.norm(np.array([at[n] for n in true])[:, None] - there[None], axis=-1)
        frames.append(IdentifiedFrame(true, list(predicted), np.clip(1 - apart, 0, 1)))
    return frames


def test_hota_agrees_with_trackeval() -> None:
    # The figures are those of TrackEval 1.3.0, the authors' own code, on the same ids and similarities.
    found = hota(crowd())
    assert found.hota == pytest.approx(0.4967509945831575, abs=1e-12)
    assert found.deta == pytest.approx(0.641472742218659, abs=1e-12)
    assert found.assa == pytest.approx(0.38493534037349453, abs=1e-12)


def test_hota_by_hand() -> None:
    # One person in four frames, always found exactly; the id changes in the middle.
    # DetA = 1; every pair has TPA 2 of 4 + 2 - 2 frames, so AssA = 1/2.
    frames = [IdentifiedFrame(["a"], [name], np.ones((1, 1))) for name in "ppqq"]
    found = hota(frames)
    assert (found.deta, found.assa) == pytest.approx((1.0, 0.5))
    assert found.hota == pytest.approx(math.sqrt(0.5))


def test_hota_of_no_person_and_of_misses() -> None:
    assert math.isnan(hota([IdentifiedFrame([], [], np.zeros((0, 0)))]).hota)
    assert hota([IdentifiedFrame(["a"], [], np.zeros((1, 0)))]).hota == 0


@pytest.fixture
def play(people, standing):
    """Frames of people who stand at x = 0, 2, 4 ...; each frame names the true and the predicted ids."""

    def make(*frames: tuple[str, str], clip: int = 0, shift: float = 0.0) -> list[ScoredFrame]:
        scored = []
        for t, (true, predicted) in enumerate(frames):
            ground_truth = people([standing + (2 * "abc".index(n), 0, 3) for n in true], t, list(true))
            # "a:p" stands where the true "a" does, under the id "p".
            spots = [pair.split(":") for pair in predicted.split()]
            found = people(
                [standing + (2 * "abc".index(n) + shift, 0, 3) for n, _ in spots], t, [name for _, name in spots]
            )
            scored.append(ScoredFrame(clip, found, ground_truth, match_people(found, ground_truth)))
        return scored

    return make


def test_a_perfect_tracker(play) -> None:
    found = identity(play(*[("ab", "a:p b:q")] * 5))
    assert found is not None
    assert (found.mota, found.idf1, found.hota, found.deta, found.assa) == pytest.approx((1, 1, 1, 1, 1))
    assert (found.switches, found.fragmentations, found.true_people, found.predicted_ids) == (0, 0, 2, 2)
    assert found.mostly_tracked == 2


def test_mota_by_hand(play) -> None:
    # Ten true people; one miss, one false positive (c is not there), one change of id: 1 - 3/10.
    frames = [("ab", "a:p b:q")] * 2 + [("ab", "a:p")] + [("ab", "a:p b:q c:z")] + [("ab", "a:r b:q")]
    found = identity(play(*frames))
    assert found is not None
    assert found.mota == pytest.approx(1 - 3 / 10)
    assert (found.switches, found.fragmentations) == (1, 1)
    # IDTP: p in 4 frames, q in 4; IDF1 = 2 * 8 / (10 + 10).
    assert found.idf1 == pytest.approx(16 / 20)


def test_motp_is_the_mean_distance(play) -> None:
    found = identity(play(*[("a", "a:p")] * 3, shift=0.1))
    assert found is not None
    assert found.motp_mm == pytest.approx(100, abs=0.01)


def test_the_same_id_in_two_recordings_is_no_switch(play) -> None:
    frames = play(*[("a", "a:p")] * 3) + play(*[("a", "a:q")] * 3, clip=1)
    found = identity(frames)
    assert found is not None
    assert (found.switches, found.true_people, found.hota) == (0, 2, pytest.approx(1))


def test_those_who_cannot_be_seen_are_left_out(people, standing) -> None:
    hidden = np.ones((1, 15), bool)
    ground_truth = people([standing + (0, 0, 3)], 0, ["a"], hidden)
    found = people([standing + (0, 0, 3)], 0, ["p"])
    assert identity([ScoredFrame(0, found, ground_truth, match_people(found, ground_truth))]) is None


def test_no_people(play) -> None:
    assert identity([]) is None
    assert identity(play(("a", ""), ("a", ""))) is None


def test_place_without_a_trunk(people, standing) -> None:
    standing[[i for i in range(15) if i not in (4, 6)]] = np.nan
    np.testing.assert_allclose(person_positions(people([standing]))[0], standing[[4, 6]].mean(axis=0), rtol=1e-6)
