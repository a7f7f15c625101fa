"""One number for who is found and who is made up."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unipose_ros.detection import Proposals
from unipose_training.detection.average_precision import Ranked, average_precision, rank_view
from unipose_training.detection.scenes import TrainingView

FOCAL = 96.0


def ranked(scores: list[float], right: list[bool], people: int) -> Ranked:
    return Ranked(np.array(scores, np.float32), np.array(right, np.bool_), people)


def test_all_people_and_no_one_else_is_one_and_no_proposal_is_zero() -> None:
    assert average_precision(ranked([0.9, 0.8], [True, True], 2)) == 1.0
    assert average_precision(ranked([], [], 2)) == 0.0
    assert math.isnan(average_precision(ranked([0.5], [False], 0)))


def test_a_false_one_costs_as_many_people_as_come_after_it() -> None:
    assert average_precision(ranked([0.9, 0.8, 0.1], [True, True, False], 2)) == 1.0
    # Precision 1, 2/3 at recalls 1/2, 1.
    assert average_precision(ranked([0.9, 0.5, 0.1], [True, False, True], 2)) == pytest.approx((1 + 2 / 3) / 2)
    # The order in which they are given does not count; of the four people two are missed.
    assert average_precision(ranked([0.1, 0.9, 0.5], [True, True, False], 4)) == pytest.approx((1 + 2 / 3) / 4)
    # The best precision at this recall or more: 2/3 and not 1/2 at the first person.
    assert average_precision(ranked([0.9, 0.8, 0.7], [False, True, True], 2)) == pytest.approx(2 / 3)


def view(*people: tuple[float, float], ignored: tuple[tuple[float, float, float, float], ...] = ()) -> TrainingView:
    """People at columns and distances, 20 pixels wide and 50 high."""
    boxes = np.array([[column - 10, 20, column + 10, 70] for column, _ in people], np.float32).reshape(-1, 4)
    return TrainingView(
        np.zeros((2, 96, 128), np.float32), (boxes[:, :2] + boxes[:, 2:]) / 2, boxes,
        np.array([distance for _, distance in people], np.float32), np.array(ignored, np.float32).reshape(-1, 4),
    )  # fmt: skip


def proposals(*people: tuple[float, float, float]) -> Proposals:
    """At columns and distances, with scores."""
    boxes = np.array([[column - 10, 20, column + 10, 70] for column, _, _ in people], np.float32).reshape(-1, 4)
    return Proposals(boxes, *(np.array([p[n] for p in people], np.float32) for n in (1, 2)))


def test_a_person_is_found_once_and_at_the_right_distance() -> None:
    found = rank_view(view((60, 3.0)), proposals((60, 3.1, 0.5), (62, 3.0, 0.9), (60, 4.0, 0.7)), FOCAL)
    assert found.people == 1
    assert found.right.tolist() == [False, True, False]
    # 30 pixels at 3 m are 0.94 m, at 1 m 0.31 m.
    assert not rank_view(view((60, 3.0)), proposals((90, 3.0, 0.9)), FOCAL).right.any()
    assert rank_view(view((60, 1.0)), proposals((90, 1.0, 0.9)), FOCAL).right.all()


def test_two_people_are_two() -> None:
    found = rank_view(view((40, 3.0), (80, 3.0)), proposals((80, 3.0, 0.9), (40, 3.0, 0.8)), FOCAL)
    assert found.right.all()
    assert found.people == 2


def test_where_people_may_be_nothing_is_wrong() -> None:
    ignored = ((50.0, 10.0, 70.0, 90.0),)
    found = rank_view(view(ignored=ignored), proposals((60, 3.0, 0.9), (100, 3.0, 0.8)), FOCAL)
    assert found.scores.tolist() == pytest.approx([0.8])
    assert not found.right.any()
    assert rank_view(view((60, 3.0), ignored=ignored), proposals((60, 3.0, 0.9)), FOCAL).right.all()
