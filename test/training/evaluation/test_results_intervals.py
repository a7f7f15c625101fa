from __future__ import annotations

import math

import numpy as np
import pytest

from unipose_ros.joint_sets import ITOP15
from unipose_training.evaluation.matching import pose_pairs
from unipose_training.evaluation.results import bootstrap

AWAY = np.array([0.0, 0.0, 3.0])


def test_equal_errors_have_no_interval(pairs, standing: np.ndarray) -> None:
    ground_truth = np.stack([standing + AWAY] * 40)
    found = bootstrap(pairs(ground_truth, ground_truth + (0.03, 0.04, 0)))
    assert found.blocks == 4  # 40 frames at 10 Hz
    assert found.mpjpe_mm == pytest.approx((50, 50), abs=1e-2)
    assert found.pck_10cm == (1, 1)


def test_the_interval_is_that_of_the_mean_of_the_blocks(pairs, standing: np.ndarray) -> None:
    seconds, rng = 100, np.random.default_rng(1)
    offsets = np.repeat(rng.normal(0.2, 0.05, seconds), 10)
    ground_truth = np.stack([standing + AWAY] * len(offsets))
    found = bootstrap(pairs(ground_truth, ground_truth + offsets[:, None, None] * (1.0, 0, 0)))
    low, high = found.mpjpe_mm
    # Within a second all frames are alike, so the standard error is that of 100 values, not of 1000.
    expected = 1.96 * 50 / math.sqrt(seconds)
    assert (high - low) / 2 == pytest.approx(expected, rel=0.2)
    assert low < 1e3 * offsets.mean() < high


def test_who_was_not_found_counts_for_pck_only(pairs, standing: np.ndarray) -> None:
    ground_truth = np.stack([standing + AWAY] * 20)
    predicted = ground_truth.copy()
    predicted[10:] = np.nan
    found = bootstrap(pairs(ground_truth, predicted))
    assert found.mpjpe_mm == pytest.approx((0, 0), abs=1e-2)
    assert found.pck_10cm == pytest.approx((0, 1))


def test_one_second_says_nothing_about_the_next(pairs, standing: np.ndarray) -> None:
    ground_truth = np.stack([standing + AWAY] * 5)
    assert math.isnan(bootstrap(pairs(ground_truth, ground_truth)).mpjpe_mm[0])
    assert bootstrap(pose_pairs([], ITOP15)).blocks == 0
