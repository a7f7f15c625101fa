"""Orders from a depth camera, and the evaluation of orders."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_training.ordinal_depth.pairs import DepthPairs, MeasuredSettings, measured_pairs, order_of_depths
from unipose_training.tasks.wsp import evaluate_orders


@pytest.mark.parametrize(("farther", "deviation", "order"), [
    (0.06, 0.01, 1), (-0.06, 0.01, -1), (0.06, 0.04, None),  # two deviations are 8 cm
    (0.04, 0.0, None), (0.02, 0.01, 0), (0.02, 0.04, None),  # too unsure to be equal
])  # fmt: skip
def test_orders_keep_a_margin(farther: float, deviation: float, order: int | None) -> None:
    found = order_of_depths(np.array([farther]), np.array([deviation]), MeasuredSettings())
    np.testing.assert_array_equal(found, [np.nan if order is None else order])


def test_pairs_of_one_person_and_of_two() -> None:
    depths = np.array([[2.0, 2.2, np.nan], [3.0, 2.5, 2.6]])
    confidence = np.array([[1.0, 0.5, 1.0], [1.0, 1.0, 0.0]])
    pairs = measured_pairs(depths, np.full((2, 3), 1e-4), confidence, MeasuredSettings())
    found = {(*map(int, (*a, *b)),): (int(r), float(w)) for a, b, r, w in
             zip(pairs.first, pairs.second, pairs.order, pairs.weights, strict=True)}  # fmt: skip
    assert found == {
        (0, 0, 0, 1): (1, 0.5), (0, 0, 1, 0): (1, 1.0), (0, 0, 1, 1): (1, 1.0),
        (0, 1, 1, 0): (1, 0.5), (0, 1, 1, 1): (1, 0.5), (1, 0, 1, 1): (-1, 1.0),
    }  # fmt: skip
    assert len(measured_pairs(depths, np.full((2, 3), 1e-4), confidence, MeasuredSettings(), across=False)) == 2


def test_judging_by_distance_in_depth() -> None:
    orders = np.array([1, -1, 1, 1, 0, 0, 1])
    found = evaluate_orders(orders, np.array([0.03, 0.15, 0.15, 1.0, 0.05, 0.3, np.nan]))
    assert (found.pairs, found.right) == (4, 0.75)
    assert found.bins[0] == (1, 1.0)
    assert found.bins[2] == (2, 0.5)
    assert found.bins[5] == (1, 1.0)
    assert (found.level, found.level_right) == (2, 0.5)


def test_pairs_are_checked() -> None:
    ends = np.zeros((1, 2), np.int32)
    with pytest.raises(ValueError, match="order"):
        DepthPairs(ends, ends, np.array([2], np.int8), np.ones(1, np.float32))
    with pytest.raises(ValueError, match="weights"):
        DepthPairs(ends, ends, np.array([1], np.int8), np.zeros(1, np.float32))
    with pytest.raises(ValueError, match="second"):
        DepthPairs(ends, ends[:0], np.array([1], np.int8), np.ones(1, np.float32))
