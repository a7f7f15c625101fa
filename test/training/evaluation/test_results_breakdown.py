from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unipose_ros.joint_sets import COCO17, ITOP15, convert_joints
from unipose_training.evaluation.matching import pose_pairs, torsos
from unipose_training.evaluation.metrics.pose import facing_angles, mpjpe, pa_mpjpe, root_aligned_mpjpe
from unipose_training.evaluation.results import breakdowns, speeds, summarize

AWAY = np.array([0.0, 0.0, 3.0])


@pytest.mark.parametrize(("turn", "expected"), [(0, 0), (90, 90), (-90, -90), (180, 180), (30, 30)])
def test_facing_by_hand(standing: np.ndarray, turn: float, expected: float) -> None:
    # Turning by +90 degrees about y (down) turns the face from -z to -x: the left side (+x) comes to the camera.
    turned = standing @ Rotation.from_euler("y", turn, degrees=True).as_matrix().T + AWAY
    angle = facing_angles(turned[None], ITOP15)[0]
    assert math.cos(math.radians(angle - expected)) == pytest.approx(1.0)


def test_facing_is_about_the_camera_not_the_axis(standing: np.ndarray) -> None:
    # Three meters ahead and three to the side, looking straight ahead: 45 degrees past the camera.
    assert abs(facing_angles((standing + (3, 0, 3))[None], ITOP15)[0]) == pytest.approx(45)


def test_facing_is_unknown_without_a_trunk(standing: np.ndarray) -> None:
    standing[[ITOP15.index(j) for j in ("left_hip", "right_hip", "torso", "neck")]] = np.nan
    assert math.isnan(facing_angles((standing + AWAY)[None], ITOP15)[0])


def test_the_root_is_the_torso_in_every_joint_set(standing: np.ndarray) -> None:
    coco, _ = convert_joints(standing, ITOP15, COCO17)
    np.testing.assert_allclose(torsos(standing[None], ITOP15)[0], 0)
    np.testing.assert_allclose(torsos(coco[None], COCO17)[0], 0, atol=1e-12)


def test_figures_are_those_of_the_field(pairs, standing: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    ground_truth = standing + AWAY + rng.normal(0, 0.05, (4, 15, 3))
    predicted = ground_truth + rng.normal(0, 0.04, (4, 15, 3))
    predicted[1, 4] = np.nan
    table = pairs(ground_truth, predicted)
    total = summarize(table, "all")
    ground_truth, predicted = ground_truth.astype(np.float32), predicted.astype(np.float32)
    torso = ITOP15.index("torso")
    assert total.mpjpe_mm == pytest.approx(1e3 * mpjpe(predicted, ground_truth), abs=1e-3)
    assert total.root_aligned_mm == pytest.approx(1e3 * root_aligned_mpjpe(predicted, ground_truth, torso), abs=1e-3)
    assert total.procrustes_mm == pytest.approx(1e3 * pa_mpjpe(predicted, ground_truth), abs=1e-3)
    assert total.found == pytest.approx(59 / 60)
    assert total.joints == 60


def test_a_person_who_was_not_found_is_wrong_but_has_no_error(pairs, standing: np.ndarray) -> None:
    ground_truth = np.stack([standing + AWAY] * 2)
    predicted = np.stack([ground_truth[0] + (0.03, 0.04, 0), np.full((15, 3), np.nan)])
    total = summarize(pairs(ground_truth, predicted), "all")
    assert (total.mpjpe_mm, total.median_mm) == pytest.approx((50, 50), abs=1e-3)
    assert total.root_aligned_mm == pytest.approx(0, abs=1e-3)
    assert total.found == total.pck_10cm == 0.5


def test_groups_by_hand(pairs, standing: np.ndarray) -> None:
    ground_truth = np.stack([standing + (0, 0, 2.0), standing + (0, 0, 4.0)])
    predicted = ground_truth.copy()
    predicted[0, ITOP15.index("left_hand")] += (0.2, 0, 0)
    predicted[1, ITOP15.index("right_hand")] += (0, 0.1, 0)
    hidden = np.zeros((2, 15), bool)
    hidden[0, ITOP15.index("left_hand")] = True
    groups = breakdowns(pairs(ground_truth, predicted, hidden), ["walk"], ["single"])
    by_name = {kind: {s.name: s for s in summaries} for kind, summaries in groups.items()}
    assert by_name["joint"]["left_hand"].mpjpe_mm == pytest.approx(100, abs=1e-3)
    assert by_name["part"]["hand"].mpjpe_mm == pytest.approx((200 + 100) / 4, abs=1e-3)
    assert by_name["part"]["hand"].joints == 4
    assert len(by_name["part"]) == 9
    assert by_name["visibility"]["hidden"].mpjpe_mm == pytest.approx(200, abs=1e-3)
    assert by_name["visibility"]["visible"].mpjpe_mm == pytest.approx(100 / 29, abs=1e-3)
    assert {name: s.joints for name, s in by_name["distance"].items()} == {"1.5-2.5 m": 15, "3.5-4.5 m": 15}
    assert {name: s.joints for name, s in by_name["facing"].items()} == {"front": 30}
    assert {name: s.joints for name, s in by_name["subset"].items()} == {"single": 30}
    assert [s.name for s in groups["recording"]] == ["walk"]


def test_every_breakdown_has_all_joints(pairs, standing: np.ndarray) -> None:
    ground_truth = standing + AWAY + np.linspace(0, 1, 6)[:, None, None]
    groups = breakdowns(pairs(ground_truth, ground_truth), ["walk"], ["single"])
    assert {kind: sum(s.joints for s in summaries) for kind, summaries in groups.items()} == dict.fromkeys(groups, 90)


def test_speed_by_hand(pairs, standing: np.ndarray) -> None:
    # 10 frames a second, 5 cm a frame, then 15 cm.
    ground_truth = standing + AWAY + np.array([0, 0.05, 0.20])[:, None, None] * (1.0, 0, 0)
    np.testing.assert_allclose(speeds(pairs(ground_truth, ground_truth))[:, 0], [0.5, 1.0, 1.5], rtol=1e-5)


def test_no_people_at_all() -> None:
    no_people = pose_pairs([], ITOP15)
    assert summarize(no_people, "all").joints == 0
    assert math.isnan(summarize(no_people, "all").mpjpe_mm)
    assert all(summaries == () for summaries in breakdowns(no_people, ["walk"], ["single"]).values())
