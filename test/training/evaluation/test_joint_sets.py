from __future__ import annotations

import numpy as np

from unipose_ros.frame import JointStatus
from unipose_ros.joint_sets import COCO17, ITOP15, REP155
from unipose_training.datasets.joint_sets import in_joint_set


def test_its_own_joint_set_changes_nothing(people, standing: np.ndarray) -> None:
    original = people([standing], covariances=np.ones((1, 15, 6)))
    assert in_joint_set(original, ITOP15) is original


def test_a_mixture_is_measured_only_if_all_of_it_is(people, standing: np.ndarray) -> None:
    hidden = np.zeros((1, 15), bool)
    hidden[0, ITOP15.index("left_shoulder")] = True
    coco = in_joint_set(people([standing], hidden=hidden), COCO17)
    assert coco.status[0, COCO17.index("left_shoulder")] == JointStatus.INFERRED
    assert coco.status[0, COCO17.index("nose")] == JointStatus.MISSING
    back = in_joint_set(coco, REP155)
    assert back.status[0, REP155.index("neck")] == JointStatus.INFERRED
    assert back.status[0, REP155.index("r_wrist")] == JointStatus.MEASURED
    np.testing.assert_allclose(back.positions[0, REP155.index("neck")], standing[ITOP15.index("neck")], atol=1e-6)


def test_what_is_missing_stays_missing(people, standing: np.ndarray) -> None:
    standing[ITOP15.index("left_knee")] = np.nan
    coco = in_joint_set(people([standing], ids=["a"]), COCO17)
    knee = COCO17.index("left_knee")
    assert coco.status[0, knee] == JointStatus.MISSING
    assert coco.confidences[0, knee] == 0
    assert np.isnan(coco.positions[0, knee]).all()
    assert coco.ids == ("a",)


def test_no_people(people) -> None:
    assert in_joint_set(people([]), COCO17).positions.shape == (0, 17, 3)
