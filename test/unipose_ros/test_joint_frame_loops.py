"""The compiled frames of people against the same in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_ros.compiled import ENABLED
from unipose_ros.frame import Skeletons
from unipose_ros.joint_frames import _BENT, _FLESH, MIN_HEIGHT, MIN_WIDTH, _plan, frames_by_numpy, people_frames
from unipose_ros.joint_sets import JOINT_SETS, JointSet

pytestmark = pytest.mark.skipif(not ENABLED, reason="nothing is compiled")


def joints_of_people(rng: np.random.Generator, joints: int) -> np.ndarray:
    """(40, J, 3): anywhere, of whom joints are missing in part or as a whole, and some degenerate."""
    positions = rng.normal(0, 0.3, (40, joints, 3)).astype(np.float32)
    missing = rng.random(positions.shape[:2]) < rng.choice([0, 0.1, 0.5, 1], 40)[:, None]
    positions[missing] = np.nan
    positions[:3] = 0.25  # all in one place
    positions[3:6, :, 1:] = 0  # along one axis
    positions[6:9] = np.round(positions[6:9])  # straight, at right angles, and one in another
    positions[9, 0, 0], positions[10, 1, 2] = np.nan, np.inf
    return positions


@pytest.mark.parametrize("joint_set", JOINT_SETS.values(), ids=lambda joint_set: joint_set.name)
def test_frames_are_numpys(joint_set: JointSet) -> None:
    rng = np.random.default_rng(len(joint_set))
    positions = joints_of_people(rng, len(joint_set))
    ones = np.ones(positions.shape[:2], np.float32)
    people = Skeletons(0, "", "", positions, ones, ones.astype(np.uint8), ones[:, 0], joint_set=joint_set)
    found, plan = people_frames(people), _plan(joint_set)
    expected = frames_by_numpy(positions, plan.body, plan.limbs, (MIN_HEIGHT, MIN_WIDTH, _FLESH), _BENT)
    assert 0 < found.known.sum() < len(people)
    for values, wanted in zip(vars(found).values(), expected, strict=True):
        assert values.dtype == wanted.dtype
        np.testing.assert_allclose(values, wanted, rtol=0, atol=1e-6 if values.dtype == np.float32 else 1e-12)


def test_arrays_in_any_order_and_without_people() -> None:
    rng = np.random.default_rng(0)
    positions = joints_of_people(rng, 15)
    ones = np.ones(positions.shape[:2], np.float32)
    people = Skeletons(0, "", "", np.asfortranarray(positions), ones, ones.astype(np.uint8), ones[:, 0])
    positions.flags.writeable = False
    same = Skeletons(0, "", "", positions, ones, ones.astype(np.uint8), ones[:, 0])
    np.testing.assert_array_equal(people_frames(people).joints, people_frames(same).joints)
    assert people_frames(Skeletons.empty(0, "", "")).joints.shape == (0, 15, 4)
