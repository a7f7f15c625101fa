"""Joint sets that only data sets have."""

from __future__ import annotations

import pytest

from unipose_ros.joint_sets import ITOP15, JointSet, conversion_weights
from unipose_training.datasets.joint_sets import MPI17, OPENPOSE18, SMPL24


@pytest.mark.parametrize(("joint_set", "size"), [(MPI17, 17), (SMPL24, 24), (OPENPOSE18, 18)])
def test_they_are_trees_and_convert(joint_set: JointSet, size: int) -> None:
    assert len(joint_set) == size
    assert joint_set.parents.count(-1) == 1
    for joint in range(size):
        seen = set()
        while joint >= 0:
            assert joint not in seen
            seen.add(joint)
            joint = joint_set.parents[joint]
    assert all(joint_set.mirror[joint_set.mirror[j]] == j for j in range(size))
    assert all(conversion_weights(joint_set, ITOP15))


def test_a_head_that_is_lower_is_not_taken_for_the_head() -> None:
    for joint_set in (MPI17, SMPL24):
        recipes = conversion_weights(joint_set, ITOP15)[ITOP15.index("head")]
        assert all(number > 0 for number, _ in recipes)
