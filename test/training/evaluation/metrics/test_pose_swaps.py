from __future__ import annotations

import math

import numpy as np
import pytest

from unipose_ros.joint_sets import COCO17, ITOP15, REP155, convert_joints
from unipose_training.evaluation.metrics.pose import count_swaps

MIRROR = list(ITOP15.mirror)


def swap(pose: np.ndarray, *parts: str) -> np.ndarray:
    swapped = pose.copy()
    for part in parts:
        left, right = ITOP15.index(f"left_{part}"), ITOP15.index(f"right_{part}")
        swapped[[left, right]] = pose[[right, left]]
    return swapped


def test_a_mirrored_pose_is_swapped(standing: np.ndarray) -> None:
    ground_truth = np.stack([standing] * 4)
    predicted = np.stack([standing, standing + 0.02, standing[MIRROR], standing])
    found = count_swaps(predicted, ground_truth, ITOP15)
    assert (found.poses, found.swapped, found.share) == (4, 1, 0.25)
    assert found.limbs == {"arms": 0.25, "legs": 0.25, "shoulders": 0.25, "hips": 0.25}


def test_a_swapped_limb_is_not_a_swapped_pose(standing: np.ndarray) -> None:
    found = count_swaps(swap(standing, "knee", "foot")[None], standing[None], ITOP15)
    assert found.swapped == 0
    assert found.limbs == {"arms": 0, "legs": 1, "shoulders": 0, "hips": 0}


def test_legs_that_are_together_cannot_be_told_apart(standing: np.ndarray) -> None:
    ground_truth = standing.copy()
    for part in ("knee", "foot"):
        ground_truth[ITOP15.index(f"left_{part}"), 0] = 0.04
        ground_truth[ITOP15.index(f"right_{part}"), 0] = -0.04
    found = count_swaps(swap(ground_truth, "knee", "foot")[None], ground_truth[None], ITOP15)
    assert math.isnan(found.limbs["legs"])
    assert found.limbs["arms"] == 0


def test_missing_joints_are_left_out(standing: np.ndarray) -> None:
    predicted = standing[MIRROR]
    predicted[ITOP15.index("left_hand")] = np.nan
    found = count_swaps(np.stack([predicted, predicted * np.nan]), np.stack([standing] * 2), ITOP15)
    assert (found.poses, found.swapped) == (1, 1)


@pytest.mark.parametrize("joint_set", [COCO17, REP155])
def test_other_joint_sets(standing: np.ndarray, joint_set) -> None:
    ground_truth, _ = convert_joints(standing[None], ITOP15, joint_set)
    found = count_swaps(ground_truth[:, list(joint_set.mirror)], ground_truth, joint_set)
    assert (found.poses, found.swapped) == (1, 1)
