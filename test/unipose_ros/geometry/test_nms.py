"""Two proposals for one person."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.detection import Proposals
from unipose_ros.geometry.nms import box_iou, greedy_nms, nms_3d

CAMERA = Camera(100, 100, 160, 120, 320, 240)


def proposals(boxes: list[list[float]], distances: list[float], scores: list[float]) -> Proposals:
    return Proposals(*(np.array(each, np.float32) for each in (boxes, distances, scores)))


def test_overlaps_of_boxes() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 0, 30, 10], [5, 5, 5, 5]], np.float32)
    expected = [[1, 1 / 3, 0, 0], [1 / 3, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(box_iou(boxes, boxes), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("boxes", "distances", "kept"),
    [
        # One box slightly moved.
        ([[50, 50, 90, 150], [52, 50, 92, 150]], [2, 2.1], [1]),
        # The same box, but one person is far behind the other.
        ([[50, 50, 90, 150], [52, 50, 92, 150]], [2, 4], [1, 0]),
        # Side by side, half a meter apart.
        ([[50, 50, 75, 150], [75, 50, 100, 150]], [2, 2], [1, 0]),
        # A part of a person: the middle is 0.15 m off.
        ([[50, 50, 90, 150], [55, 65, 85, 150]], [2, 2], [1]),
        # Nothing is known of the distance: all are kept.
        ([[50, 50, 90, 150], [52, 50, 92, 150]], [np.nan, 2], [1, 0]),
    ],
)
def test_the_better_of_two_is_kept(boxes: list[list[float]], distances: list[float], kept: list[int]) -> None:
    people = proposals(boxes, distances, [0.5, 0.9])
    found = nms_3d(people.boxes, people.distances, people.scores, CAMERA)
    np.testing.assert_array_equal(people.without_duplicates(CAMERA).scores, people.scores[found])
    assert found.tolist() == kept


def test_no_proposals() -> None:
    assert len(Proposals.empty().without_duplicates(CAMERA)) == 0


def test_only_those_that_are_kept_suppress_others() -> None:
    """The second is suppressed by the first, so the third, which is like the second, is kept."""
    values = np.array([0.0, 1.0, 2.0])
    kept = greedy_nms(np.array([0.9, 0.8, 0.7]), lambda one, others: np.abs(values[one] - values[others]) < 1.5)
    assert kept.tolist() == [0, 2]


def test_of_equal_scores_the_first_is_kept_and_the_ineligible_suppress_none() -> None:
    all_are_the_same = greedy_nms(np.array([0.5, 0.5]), lambda _, others: np.ones(len(others), np.bool_))
    assert all_are_the_same.tolist() == [0]
    eligible = np.array([False, True])
    assert greedy_nms(np.ones(2), lambda _, others: np.ones(len(others), np.bool_), eligible).tolist() == [1]
