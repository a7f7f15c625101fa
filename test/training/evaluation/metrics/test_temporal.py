from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unipose_ros.joint_sets import ITOP15
from unipose_training.evaluation.metrics.temporal import (
    bone_consistency,
    bone_lengths,
    frame_periods,
    jitter,
    rows_by_person,
    runs,
    second_differences,
)

CLIPS = np.zeros(6, np.int64)
IDS = np.array(["a", "b", "a", "a", "", "a"])
STAMPS = np.array([0, 0, 100, 200, 300, 400])


def test_rows_of_a_person_are_by_time_and_no_person_is_left_out() -> None:
    shuffled = np.array([3, 0, 1, 2, 4, 5])
    people = rows_by_person(CLIPS, IDS[shuffled], STAMPS[shuffled])
    assert {key: rows.tolist() for key, rows in people.items()} == {(0, "a"): [1, 3, 0, 5], (0, "b"): [2]}


def test_the_same_id_in_another_recording_is_another_person() -> None:
    assert len(rows_by_person(np.array([0, 1]), np.array(["a", "a"]), np.array([0, 0]))) == 2


def test_a_gap_ends_a_run() -> None:
    periods = frame_periods(CLIPS, STAMPS)
    assert periods == {0: 100.0}
    assert [rows.tolist() for rows in runs(CLIPS, IDS, STAMPS, periods)] == [[0, 2, 3], [5], [1]]


def test_jitter_by_hand() -> None:
    path = np.array([0.0, 0.01, 0.02, 0.06, 0.10])[:, None, None] * (1.0, 0, 0)
    differences = second_differences(path, [np.arange(5)])
    np.testing.assert_allclose(differences[:, 0], [np.nan, 0, 0.03, 0, np.nan], atol=1e-12)
    found = jitter(differences)
    assert found.count == 3
    assert found.mean_mm == pytest.approx(10)
    assert found.median_mm == pytest.approx(0, abs=1e-9)


def test_jitter_does_not_cross_gaps_or_missing_joints() -> None:
    path = np.arange(6.0)[:, None, None] ** 2 * (1.0, 0, 0)
    path[1] = np.nan
    assert np.isnan(second_differences(path, [np.arange(3), np.arange(3, 5)])).all()
    assert math.isnan(jitter(np.full((2, 1), np.nan)).median_mm)


@given(st.tuples(*[st.floats(-5, 5)] * 3), st.tuples(*[st.floats(-1, 1)] * 3))
def test_steady_motion_has_no_jitter(start: tuple[float, ...], step: tuple[float, ...]) -> None:
    path = np.array(start) + np.arange(7)[:, None, None] * np.array(step)
    assert np.nanmax(second_differences(path, [np.arange(7)])) == pytest.approx(0, abs=1e-9)


def test_bone_lengths_by_hand(standing: np.ndarray) -> None:
    lengths = dict(zip([b.child for b in ITOP15.bones], bone_lengths(standing, ITOP15), strict=True))
    assert lengths[ITOP15.index("head")] == pytest.approx(0.25)
    assert lengths[ITOP15.index("left_shoulder")] == pytest.approx(0.18)
    assert lengths[ITOP15.index("left_knee")] == pytest.approx(math.hypot(0.02, 0.45))


def test_bone_consistency_by_hand(standing: np.ndarray) -> None:
    ground_truth = np.stack([standing] * 4)
    predicted = ground_truth.copy()
    head = ITOP15.index("head")
    # Head bone 25 cm in ground truth. Person one (rows 0, 1): 24 and 28. Person two (rows 2, 3): 30 and 30.
    predicted[:, head, 1] -= [-0.01, 0.03, 0.05, 0.05]
    bones = {b.name: b for b in bone_consistency(predicted, ground_truth, [np.array([0, 1]), np.array([2, 3])], ITOP15)}
    assert bones["head-neck"].mean_mm == pytest.approx((260 + 300) / 2)
    assert bones["head-neck"].std_mm == pytest.approx((20 + 0) / 2)
    assert bones["head-neck"].error_mm == pytest.approx((-10 + 30 + 50 + 50) / 4)
    assert bones["left_foot-left_knee"].error_mm == pytest.approx(0)
    assert len(bones) == 14


def test_bones_without_ground_truth_or_with_one_frame(standing: np.ndarray) -> None:
    once = bone_consistency(standing[None], None, [np.array([0])], ITOP15)[0]
    assert once.tracks == 0
    assert math.isnan(once.std_mm)
    assert math.isnan(once.error_mm)
