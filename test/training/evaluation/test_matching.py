from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unipose_ros.tracking.assignment import mean_distances
from unipose_training.evaluation.matching import count_people, match_people


def test_distance_is_the_mean_over_common_joints() -> None:
    first = np.array([[[0, 0, 0], [1, 0, 0], [np.nan] * 3]])
    second = np.array([[[3, 4, 0], [1, 0, 1], [9, 9, 9]], [[np.nan] * 3, [np.nan] * 3, [0, 0, 0]]])
    np.testing.assert_allclose(mean_distances(first, second), [[3.0, math.inf]])


def test_each_takes_the_nearest_and_the_far_one_is_another_one(people, standing) -> None:
    ground_truth = people([standing, standing + (1, 0, 0), standing + (4, 0, 0)])
    predicted = people([standing + (1.1, 0, 0), standing + (0.2, 0, 0), standing + (4.6, 0, 0)])
    matches = match_people(predicted, ground_truth)
    assert dict(zip(matches.true.tolist(), matches.predicted.tolist(), strict=True)) == {0: 1, 1: 0}
    assert matches.missed.tolist() == [2]
    assert matches.extra.tolist() == [2]


def test_the_gate_is_half_a_meter(people, standing) -> None:
    inside = match_people(people([standing + (0.49, 0, 0)]), people([standing]))
    outside = match_people(people([standing + (0.51, 0, 0)]), people([standing]))
    assert (len(inside.true), len(outside.true)) == (1, 0)


def test_no_people_on_either_side(people, standing) -> None:
    no_people, one = people([]), people([standing])
    assert match_people(no_people, one).missed.tolist() == [0]
    assert match_people(one, no_people).extra.tolist() == [0]
    assert count_people([match_people(no_people, no_people)]).people == 0


def test_a_person_who_is_hidden_neither_counts_nor_makes_a_false_positive(people, standing) -> None:
    hidden = np.ones((2, 15), bool)
    hidden[0, :12] = False
    hidden[1, :2] = False
    ground_truth = people([standing, standing + (2, 0, 0)], hidden=hidden)
    matches = match_people(people([standing + (2, 0, 0)]), ground_truth)
    assert matches.missed.tolist() == [0]
    assert matches.ignored.tolist() == [1]
    assert matches.excused.tolist() == [0]
    assert len(matches.extra) == len(matches.true) == 0


def test_three_visible_joints_are_enough_to_count(people, standing) -> None:
    hidden = np.ones((1, 15), bool)
    hidden[0, :3] = False
    assert match_people(people([]), people([standing], hidden=hidden)).missed.tolist() == [0]


def test_counting_by_hand(people, standing) -> None:
    one, two = people([standing]), people([standing, standing + (2, 0, 0)])
    total = count_people([match_people(one, two), match_people(two, one), match_people(one, one)])
    assert (total.frames, total.people, total.matched, total.missed, total.extra) == (3, 4, 3, 1, 1)
    assert total.precision == total.recall == pytest.approx(3 / 4)
    assert math.isnan(count_people([]).recall)


@given(st.lists(st.floats(-3, 3), max_size=5), st.lists(st.floats(-3, 3), max_size=5))
def test_everyone_is_accounted_for_once(true_places: list[float], found_places: list[float]) -> None:
    from unipose_ros.frame import Skeletons
    from unipose_ros.joint_sets import ITOP15

    def at(places: list[float]) -> Skeletons:
        count = len(places)
        positions = np.zeros((count, 15, 3), np.float32) + np.array(places, np.float32).reshape(-1, 1, 1)
        return Skeletons(
            0, "c", "m", positions, np.ones((count, 15), np.float32), np.full((count, 15), 2, np.uint8),
            np.ones(count, np.float32), joint_set=ITOP15,
        )  # fmt: skip

    m = match_people(at(found_places), at(true_places))
    assert sorted([*m.true, *m.missed, *m.ignored]) == list(range(len(true_places)))
    assert sorted([*m.predicted, *m.extra, *m.excused]) == list(range(len(found_places)))
