"""Squares around boxes."""

from __future__ import annotations

import numpy as np

from unipose_ros.geometry.crop import square_boxes


def test_a_square_has_the_middle_and_the_longer_side_of_its_box() -> None:
    boxes = square_boxes(np.array([[10.0, 20, 30, 80], [0, 0, 100, 10]]))
    np.testing.assert_array_equal(boxes, [[-10, 20, 50, 80], [0, -45, 100, 55]])


def test_each_square_has_a_scale_of_its_own() -> None:
    boxes = square_boxes(np.array([[10.0, 20, 30, 80]] * 2), np.array([1.5, 1.0]))
    np.testing.assert_array_equal(boxes, [[-25, 5, 65, 95], [-10, 20, 50, 80]])


def test_no_side_becomes_shorter() -> None:
    np.testing.assert_array_equal(square_boxes(np.array([[0.0, 0, 20, 60]]), 0.5), [[-5, 0, 25, 60]])


def test_no_box_is_no_square() -> None:
    assert square_boxes(np.zeros((0, 4))).shape == (0, 4)
