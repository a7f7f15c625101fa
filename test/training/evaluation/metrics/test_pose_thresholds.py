from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unipose_training.evaluation.metrics.pose import (
    AUC_THRESHOLDS,
    THRESHOLDS,
    mean_average_precision,
    pck_curve,
    share_within,
)

# Joint 0: hit, exactly at 10 cm, missing. Joint 1: counts only in the first row, a hit.
ERRORS = np.array([[0.05, 0.03], [0.10, np.nan], [np.nan, np.nan]])
COUNTED = np.array([[True, True], [True, False], [True, False]])


def test_exactly_at_the_threshold_is_a_miss_and_missing_is_wrong() -> None:
    assert share_within(ERRORS, COUNTED, 0.10) == pytest.approx(2 / 4)
    assert share_within(ERRORS, COUNTED, 0.10 + 1e-9) == pytest.approx(3 / 4)


def test_map_is_the_mean_of_the_joints() -> None:
    assert mean_average_precision(ERRORS, COUNTED, 0.10) == pytest.approx((1 / 3 + 1) / 2)


def test_a_joint_that_never_counts_is_left_out_of_the_mean() -> None:
    counted = COUNTED & [[True, False]]
    assert mean_average_precision(ERRORS, counted, 0.10) == pytest.approx(1 / 3)


def test_auc_by_hand() -> None:
    # 0, 5, ..., 150 mm: 31 thresholds. An error of 50 mm is below those from 55 mm on, which are 20.
    curve = pck_curve(np.array([[0.05]]), np.array([[True]]))
    assert curve.auc == pytest.approx(20 / 31)
    assert len(AUC_THRESHOLDS) == 31


def test_the_curve_has_itops_thresholds() -> None:
    assert {0.02, 0.10, 0.20} <= set(THRESHOLDS)
    curve = pck_curve(ERRORS, COUNTED)
    assert dict(zip(curve.thresholds_m, curve.pck, strict=True)) == {
        0.02: 0, 0.04: 0.25, 0.06: 0.5, 0.08: 0.5, 0.10: 0.5, 0.12: 0.75, 0.15: 0.75, 0.20: 0.75
    }  # fmt: skip


def test_nothing_counts() -> None:
    curve = pck_curve(np.zeros((0, 15)), np.zeros((0, 15), bool))
    assert all(math.isnan(value) for value in (*curve.pck, *curve.map, curve.auc))


@given(st.lists(st.one_of(st.floats(0, 1), st.just(math.nan)), min_size=1, max_size=20))
def test_the_curve_never_falls_and_equals_map_when_all_joints_count(values: list[float]) -> None:
    errors = np.array(values)[:, None] + np.zeros((1, 3))
    curve = pck_curve(errors, np.ones(errors.shape, bool))
    assert list(curve.pck) == sorted(curve.pck)
    assert curve.map == pytest.approx(curve.pck)
    assert 0 <= curve.pck[0] <= curve.pck[-1] <= 1
