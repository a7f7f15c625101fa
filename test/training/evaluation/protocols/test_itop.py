"""ITOP's table."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_ros.joint_sets import ITOP15
from unipose_training.errors import EvaluationError
from unipose_training.evaluation.protocols.itop import PARTS, ROWS, protocol_report, score_itop


def pose_errors(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predictions that are off by (N, 15) meters along x, and their ground truth."""
    ground_truth = np.zeros((*values.shape, 3))
    predicted = ground_truth.copy()
    predicted[..., 0] = values
    return predicted, ground_truth


def test_the_parts_are_all_joints_once() -> None:
    assert sorted(joint for part in PARTS.values() for joint in part) == list(range(15))
    assert {ITOP15.joints[j] for j in PARTS["feet"]} == {"left_foot", "right_foot"}


def test_ten_centimeters_are_a_miss() -> None:
    predicted, ground_truth = pose_errors(np.full((1, 15), 0.10))
    assert score_itop(predicted, ground_truth).mean == 0
    assert score_itop(np.nextafter(predicted, 0), ground_truth).mean == 1


def test_left_and_right_are_merged_and_groups_weighted_by_joints() -> None:
    values = np.zeros((4, 15))
    values[0, ITOP15.index("left_hand")] = 0.5
    values[:2, ITOP15.index("right_hand")] = 0.5
    values[0, ITOP15.index("torso")] = 0.5
    score = score_itop(*pose_errors(values))
    assert score.part("hands") == pytest.approx((0.75 + 0.5) / 2)
    assert score.upper == pytest.approx(1 - 0.75 / 8)
    assert score.lower == 1  # the torso is in neither group
    assert score.mean == pytest.approx(1 - 1.0 / 15)


def test_what_was_not_predicted_is_a_miss_without_an_error() -> None:
    predicted, ground_truth = pose_errors(np.full((2, 15), 0.03))
    predicted[0, 0] = np.nan
    predicted[:, 1] = np.nan
    score = score_itop(predicted, ground_truth)
    assert score.hits[:3].tolist() == [0.5, 0, 1]
    assert score.mean_mm == pytest.approx(30)
    assert score.errors_mm[0] == pytest.approx(30)
    assert np.isnan(score.errors_mm[1])
    assert score.predicted == pytest.approx(27 / 30)


def test_the_report_has_every_row_with_its_mark() -> None:
    text = protocol_report(score_itop(*pose_errors(np.full((3, 15), 0.05))), "side", "test", "ours")
    assert "| Head | Neck | Shoulders | Elbows | Hands | Torso | Hips | Knees | Feet | Upper | Lower | Mean |" in text
    assert "3 frames with valid labels" in text
    for row in ROWS:
        (line,) = [line for line in text.splitlines() if line.startswith(f"| {row.year} | {row.method} |")]
        assert line.endswith(f"| {row.mark} |")
        assert ("about" in line) == (row.mark == "recalled, unverified")
    assert "| 2019 | A2J | full, depth | 88.0 | 58.5 |" in text
    assert text.rstrip().endswith("| - | ours | this run | 100.00 | 50.0 | measured here |")


def test_the_top_view_has_its_own_figures() -> None:
    text = protocol_report(score_itop(*pose_errors(np.zeros((1, 15)))), "top", "test", "ours")
    assert "| 2019 | A2J | full, depth | 80.5 | - |" in text  # the known error is of the front view
    assert "| 2024 | SPiKE | full, point sequence | - | - |" in text


def test_what_does_not_fit_is_refused() -> None:
    predicted, ground_truth = pose_errors(np.zeros((2, 15)))
    with pytest.raises(EvaluationError, match=r"both must be \(N, 15, 3\)"):
        score_itop(predicted[:1], ground_truth)
    with pytest.raises(EvaluationError, match="must be"):
        score_itop(predicted[:0], ground_truth[:0])
    ground_truth[0, 0, 0] = np.nan
    with pytest.raises(EvaluationError, match="labels are damaged"):
        score_itop(predicted, ground_truth)
