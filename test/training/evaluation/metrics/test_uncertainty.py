from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from unipose_ros.geometry.covariance import expand
from unipose_training.evaluation.metrics.uncertainty import reliability, sparsification, squared_mahalanobis

UNIT = np.array([1.0, 0, 0, 1.0, 0, 1.0])


def test_triangle_is_row_by_row() -> None:
    matrix = expand(np.arange(1.0, 7.0))
    np.testing.assert_array_equal(matrix, [[1, 2, 3], [2, 4, 5], [3, 5, 6]])


def test_mahalanobis_by_hand() -> None:
    diagonal = np.array([4.0, 0, 0, 1.0, 0, 0.25])
    assert squared_mahalanobis(np.array([2.0, 1.0, 1.0]), diagonal) == pytest.approx(1 + 1 + 4)


@given(st.tuples(*[st.floats(-3, 3)] * 3))
def test_mahalanobis_turns_with_the_axes(turn: tuple[float, ...]) -> None:
    rotation = Rotation.from_rotvec(turn).as_matrix()
    matrix = rotation @ np.diag([4.0, 1.0, 0.25]) @ rotation.T
    triangle = matrix[np.triu_indices(3)]
    assert squared_mahalanobis(rotation @ [2.0, 1.0, 1.0], triangle) == pytest.approx(6)


def test_an_improper_covariance_has_no_distance() -> None:
    bad = np.array([[1.0, 0, 0, -1.0, 0, 1.0], [0.0] * 6, [np.nan] * 6])
    assert np.isnan(squared_mahalanobis(np.ones((3, 3)), bad)).all()
    assert math.isnan(squared_mahalanobis(np.full((1, 3), np.nan), UNIT[None])[0])


def test_errors_as_large_as_announced_are_calibrated() -> None:
    errors = np.random.default_rng(0).normal(size=(20_000, 3))
    found = reliability(squared_mahalanobis(errors, np.broadcast_to(UNIT, (20_000, 6))))
    assert found.count == 20_000
    assert found.calibration_error < 0.01
    assert found.scale == pytest.approx(1, abs=0.02)
    assert found.cover_95 == pytest.approx(0.95, abs=0.01)


def test_too_sure_by_a_factor_of_two() -> None:
    errors = 2 * np.random.default_rng(0).normal(size=(20_000, 3))
    found = reliability(squared_mahalanobis(errors, np.broadcast_to(UNIT, (20_000, 6))))
    assert found.scale == pytest.approx(2, abs=0.04)
    assert found.bias < -0.2
    assert found.calibration_error == pytest.approx(-found.bias)


def test_coverage_by_hand() -> None:
    # Just within the quantiles of 30, 60 and 90 %.
    squared = chi2.ppf([0.299, 0.599, 0.899], 3)
    found = reliability(squared, levels=(0.2, 0.3, 0.6, 0.95))
    assert found.coverage == pytest.approx((0, 1 / 3, 2 / 3, 1))
    assert found.calibration_error == pytest.approx((0.2 + 1 / 30 + 2 / 30 + 0.05) / 4)


def test_no_covariances() -> None:
    found = reliability(np.full((3, 2), np.nan))
    assert found.count == 0
    assert math.isnan(found.calibration_error)


def test_a_perfect_order_has_no_area() -> None:
    errors = np.linspace(0.01, 1, 100)
    found = sparsification(errors, errors**2)
    assert found is not None
    assert found.ause == pytest.approx(0, abs=1e-12)
    assert found.curve == found.oracle
    assert found.ause_random > 0.3


def test_the_wrong_way_round_is_worse_than_chance() -> None:
    errors = np.linspace(0.01, 1, 100)
    found = sparsification(errors, -errors)
    assert found is not None
    assert found.ause > found.ause_random


def test_equal_uncertainty_is_chance() -> None:
    errors = np.linspace(0.01, 1, 100)
    found = sparsification(errors, np.ones(100))
    assert found is not None
    assert found.curve == pytest.approx((1.0,) * 20)
    assert found.ause == pytest.approx(found.ause_random)


def test_sparsification_by_hand() -> None:
    # Mean 2.5; without the least sure half (errors 1 and 4) it is also 2.5; the oracle has 1.5.
    found = sparsification(np.array([2.0, 3.0, 1.0, 4.0]), np.array([0.1, 0.2, 0.3, 0.4]))
    assert found is not None
    half = found.removed.index(0.5)
    assert found.curve[half] == pytest.approx(1.0)
    assert found.oracle[half] == pytest.approx(0.6)


def test_nothing_to_sparsify() -> None:
    assert sparsification(np.full(3, np.nan), np.ones(3)) is None
    assert sparsification(np.zeros(3), np.ones(3)) is None
