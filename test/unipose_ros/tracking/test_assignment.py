from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unipose_ros.tracking.assignment import match, skeleton_distances, without_duplicates

NAN = np.nan


def body(x: float = 0.0, joints: int = 5) -> np.ndarray:
    positions = np.zeros((joints, 3))
    positions[:, 1] = np.linspace(-0.8, 0.8, joints)
    positions[:, 0] = x
    return positions


def test_distance_is_that_of_most_joints() -> None:
    moved = body(0.3)
    moved[:2] += 5.0  # two of five joints are wild
    assert skeleton_distances(body()[None], moved[None])[0, 0] == pytest.approx(0.3)


def test_distance_ignores_missing_joints() -> None:
    first, second = body(), body(0.3)
    first[0] = NAN
    second[1] = NAN
    assert skeleton_distances(first[None], second[None])[0, 0] == pytest.approx(0.3)


def test_distance_without_common_joints_is_that_of_the_middles() -> None:
    first, second = body(joints=6), body(0.3, joints=6)
    first[3:] = NAN  # the upper half
    second[:3] = NAN
    expected = np.linalg.norm(np.median(first[:3], axis=0) - np.median(second[3:], axis=0))
    assert skeleton_distances(first[None], second[None])[0, 0] == pytest.approx(expected)


def test_distance_to_no_people_is_infinite() -> None:
    no_people = np.full((1, 5, 3), NAN)
    assert skeleton_distances(no_people, body()[None])[0, 0] == np.inf
    assert skeleton_distances(np.zeros((0, 5, 3)), body()[None]).shape == (0, 1)


def test_match_is_optimal_not_greedy() -> None:
    # Taking the smallest first (0, 0) would leave 1 with 0.9.
    distances = np.array([[0.1, 0.2], [0.2, 0.9]])
    rows, columns = match(distances, np.array([1.0, 1.0]))
    assert list(zip(rows, columns, strict=True)) == [(0, 1), (1, 0)]


def test_match_keeps_the_gate_of_each_track() -> None:
    distances = np.array([[0.6], [0.7]])
    rows, columns = match(distances, np.array([0.5, 1.0]))
    assert (list(rows), list(columns)) == ([1], [0])


def test_match_prefers_the_near_track_over_the_one_with_the_wide_gate() -> None:
    rows, _ = match(np.array([[0.05], [0.3]]), np.array([0.5, 1.2]))
    assert list(rows) == [0]


def test_match_does_not_give_up_a_near_pair_for_one_more() -> None:
    # Both could be paired only at 0.45 + 0.45; the stranger is better left alone.
    distances = np.array([[0.02, 0.45], [0.45, np.inf]])
    rows, columns = match(distances, np.array([0.5, 0.5]))
    assert list(zip(rows, columns, strict=True)) == [(0, 0)]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_match_of_no_person(shape: tuple[int, int]) -> None:
    rows, columns = match(np.zeros(shape), np.ones(shape[0]))
    assert len(rows) == len(columns) == 0


@given(arrays(np.float64, (3, 3), elements=st.floats(0.0, 2.0)), st.floats(0.1, 1.5))
def test_match_finds_the_least_cost(distances: np.ndarray, gate: float) -> None:
    rows, columns = match(distances, np.full(3, gate))
    assert (distances[rows, columns] <= gate).all()
    found = distances[rows, columns].sum() + gate * (3 - len(rows))
    best = min(sum(min(distances[r, c], gate) for r, c in enumerate(order)) for order in permutations(range(3)))
    assert found == pytest.approx(best)


def test_duplicates_keep_the_best() -> None:
    people = np.stack([body(), body(0.1), body(2.0), np.full((5, 3), NAN)])
    assert list(without_duplicates(people, np.array([0.5, 0.9, 0.1, 1.0]), 0.2)) == [1, 2]


def test_duplicates_are_not_chained() -> None:
    # 0 and 2 are 0.3 apart: only 1, near both, is too many.
    people = np.stack([body(0.0), body(0.15), body(0.3)])
    assert list(without_duplicates(people, np.array([0.9, 0.5, 0.8]), 0.2)) == [0, 2]


def test_two_trunks_cannot_share_a_place_whatever_the_limbs_do() -> None:
    person = body()
    wrong_limbs = body(0.05)
    wrong_limbs[[0, 1, 3, 4], 0] += [0.6, -0.6, 0.6, -0.6]
    beside = body(0.45)
    people = np.stack([person, wrong_limbs, beside])
    assert skeleton_distances(people[:1], people[1:2])[0, 0] > 0.5
    assert list(without_duplicates(people, np.array([0.9, 0.3, 0.8]), 0.2)) == [0, 2]
