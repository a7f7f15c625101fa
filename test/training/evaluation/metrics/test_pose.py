from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from unipose_training.evaluation.metrics.pose import (
    found,
    joint_errors,
    mpjpe,
    pa_mpjpe,
    pck,
    procrustes_aligned,
    root_aligned_mpjpe,
    similarity,
)

NAN = math.nan

# Two poses of three joints. Errors: 0, 5 (3-4-5), 1 and 2, missing, 13 (5-12-13).
GROUND_TRUTH = np.array([[[0, 0, 0], [1, 1, 1], [2, 0, 0]], [[0, 0, 0], [1, 0, 0], [0, 1, 0]]], float)
PREDICTED = GROUND_TRUTH + np.array([[[0, 0, 0], [3, 4, 0], [0, 0, 1]], [[0, 2, 0], [NAN, 0, 0], [0, 5, 12]]], float)


def test_errors_by_hand() -> None:
    np.testing.assert_allclose(joint_errors(PREDICTED, GROUND_TRUTH), [[0, 5, 1], [2, NAN, 13]])
    assert mpjpe(PREDICTED, GROUND_TRUTH) == pytest.approx((0 + 5 + 1 + 2 + 13) / 5)


def test_a_joint_that_does_not_count_is_left_out() -> None:
    valid = np.array([[True, False, True], [True, True, False]])
    assert mpjpe(PREDICTED, GROUND_TRUTH, valid) == pytest.approx((0 + 1 + 2) / 3)
    ground_truth = GROUND_TRUTH.copy()
    ground_truth[1, 2, 0] = NAN
    assert mpjpe(PREDICTED, ground_truth) == pytest.approx((0 + 5 + 1 + 2) / 4)


def test_root_alignment_by_hand() -> None:
    # Pose 1 is moved by (0, -2, 0): its last joint is then off by (0, 3, 12).
    expected = (0 + 5 + 1 + 0 + math.hypot(3, 12)) / 5
    assert root_aligned_mpjpe(PREDICTED, GROUND_TRUTH, root=0) == pytest.approx(expected)


def test_a_pose_without_its_root_does_not_count() -> None:
    # Joint 1 is missing in the second prediction; the first pose is moved by (-3, -4, 0).
    expected = (5 + 0 + math.sqrt(9 + 16 + 1)) / 3
    assert root_aligned_mpjpe(PREDICTED, GROUND_TRUTH, root=1) == pytest.approx(expected)


def test_pck_is_strict_and_counts_missing_as_wrong() -> None:
    assert pck(PREDICTED, GROUND_TRUTH, 5.0) == pytest.approx(3 / 6)
    assert pck(PREDICTED, GROUND_TRUTH, 5.001) == pytest.approx(4 / 6)
    assert pck(PREDICTED, GROUND_TRUTH, 0.0) == 0.0
    valid = np.array([[True, True, False], [False, True, False]])
    assert pck(PREDICTED, GROUND_TRUTH, 1.0, valid) == pytest.approx(1 / 3)


def test_found_by_hand() -> None:
    assert found(PREDICTED, GROUND_TRUTH) == pytest.approx(5 / 6)
    assert found(PREDICTED, GROUND_TRUTH, np.array([[False] * 3, [True, True, False]])) == pytest.approx(1 / 2)


def test_nothing_to_count_is_nan() -> None:
    no_people = np.zeros((0, 3, 3))
    none = np.zeros((2, 3), bool)
    for metric in (mpjpe, pa_mpjpe, found):
        assert math.isnan(metric(no_people, no_people))
        assert math.isnan(metric(PREDICTED, GROUND_TRUTH, none))
    assert math.isnan(pck(no_people, no_people, 0.1))
    assert math.isnan(root_aligned_mpjpe(no_people, no_people, 0))


@given(st.tuples(*[st.floats(-3, 3)] * 3), st.floats(0.2, 5), st.tuples(*[st.floats(-5, 5)] * 3))
def test_similarity_is_recovered(
    turn: tuple[float, float, float], scale: float, shift: tuple[float, float, float]
) -> None:
    source = np.random.default_rng(0).normal(size=(8, 3))
    rotation = Rotation.from_rotvec(turn).as_matrix()
    found_scale, found_rotation, found_shift = similarity(source, scale * source @ rotation.T + np.array(shift))
    assert found_scale == pytest.approx(scale)
    np.testing.assert_allclose(found_rotation, rotation, atol=1e-9)
    np.testing.assert_allclose(found_shift, shift, atol=1e-9)


def test_similarity_never_mirrors() -> None:
    source = np.random.default_rng(0).normal(size=(8, 3))
    _, rotation, _ = similarity(source, source * [-1, 1, 1])
    assert np.linalg.det(rotation) == pytest.approx(1.0)


def test_pa_mpjpe_by_hand() -> None:
    # A square against the same with one diagonal 1 +- e: no similarity helps, the error stays e / 2.
    square = np.array([[[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]]], float)
    kite = square * [1.1, 0.9, 1.0]
    turned = 3 * kite @ Rotation.from_euler("xyz", [0.3, 1.0, -2.0]).as_matrix().T + [1.0, 2.0, 3.0]
    # The best scale for kite -> square is sum(x y) / sum(x x) = (2.2 + 1.8) / (2.42 + 1.62).
    scale = 4.0 / 4.04
    expected = (abs(1.1 * scale - 1) + abs(0.9 * scale - 1)) / 2
    assert pa_mpjpe(turned, square) == pytest.approx(expected)


def test_pa_mpjpe_fits_only_what_counts() -> None:
    rng = np.random.default_rng(1)
    ground_truth = rng.normal(size=(2, 6, 3))
    predicted = 2 * ground_truth + 1
    predicted[0, 0] += 4.0  # does not count
    predicted[1, 3] = NAN
    valid = np.ones((2, 6), bool)
    valid[0, 0] = False
    assert pa_mpjpe(predicted, ground_truth, valid) == pytest.approx(0.0, abs=1e-12)
    assert np.isfinite(procrustes_aligned(predicted, ground_truth, valid)[0, 0]).all()


def test_two_joints_cannot_be_aligned() -> None:
    assert math.isnan(pa_mpjpe(PREDICTED[1:], GROUND_TRUTH[1:]))


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"both must be \(N, J, 3\)"):
        mpjpe(PREDICTED, GROUND_TRUTH[:1])
    with pytest.raises(ValueError, match=r"both must be \(N, J, 3\)"):
        mpjpe(PREDICTED[0], GROUND_TRUTH[0])
    with pytest.raises(ValueError, match="one flag per joint"):
        mpjpe(PREDICTED, GROUND_TRUTH, np.ones((2, 2), bool))
