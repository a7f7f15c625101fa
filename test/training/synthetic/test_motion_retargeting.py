"""A motion on a toy body with known limbs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.motion import RestSkeleton, retarget, rotation_between
from unipose_training.synthetic.motion_files import read_deepmimic

DOWN = np.array([0.0, 0.0, -1.0])
BONES = ("Hips", "LeftUpLeg", "LeftLeg", "LeftFoot", "LeftArm", "LeftForeArm", "LeftHand", "LThumb")
PARENTS = (-1, 0, 1, 2, 0, 4, 5, 6)
#: A body that stands astride with its arms to the side, unlike the motion's source.
HEADS = np.array(
    [
        [0, 0, 1],
        [0.1, 0, 0.9],
        [0.2, 0, 0.5],
        [0.3, 0, 0.1],
        [0.2, 0, 1.4],
        [0.5, 0, 1.4],
        [0.8, 0, 1.4],
        [0.85, 0, 1.4],
    ]
)
SKELETON = RestSkeleton(BONES, PARENTS, HEADS, np.tile(np.eye(3), (len(BONES), 1, 1)))


def limb(poses: np.ndarray, bone: str, end: str) -> np.ndarray:
    """(F, 3) direction of a limb in the posed body."""
    rest = HEADS[BONES.index(end)] - HEADS[BONES.index(bone)]
    return poses[:, BONES.index(bone), :3, :3] @ (rest / np.linalg.norm(rest))


def test_limbs_take_the_directions_of_the_source(walking_clips: Path) -> None:
    motion = read_deepmimic(walking_clips, "walk")
    poses = retarget(motion, SKELETON)
    assert poses.shape == (25, len(BONES), 4, 4)
    # In the first frame the source hangs its limbs straight down; so must a body that rests otherwise.
    for bone, end in (
        ("LeftUpLeg", "LeftLeg"),
        ("LeftLeg", "LeftFoot"),
        ("LeftArm", "LeftForeArm"),
        ("LeftForeArm", "LeftHand"),
    ):
        np.testing.assert_allclose(limb(poses, bone, end)[0], DOWN, atol=1e-9)
        expected = motion.rotations[:, motion.bones.index(bone)] @ DOWN
        np.testing.assert_allclose(limb(poses, bone, end), expected, atol=1e-9)


def test_hands_go_with_the_forearm(walking_clips: Path) -> None:
    poses = retarget(read_deepmimic(walking_clips, "walk"), SKELETON)
    for follower in ("LeftHand", "LThumb"):
        np.testing.assert_allclose(poses[:, BONES.index(follower)][:, :3, :3], poses[:, 5, :3, :3], atol=1e-12)


def test_bones_without_a_direction_keep_their_rest_shape(walking_clips: Path) -> None:
    motion = read_deepmimic(walking_clips, "walk")
    poses = retarget(motion, SKELETON)
    np.testing.assert_allclose(poses[:, 3, :3, :3], motion.rotations[:, motion.bones.index("LeftFoot")], atol=1e-12)


def test_only_the_root_is_placed(walking_clips: Path) -> None:
    motion = read_deepmimic(walking_clips, "walk")
    poses = retarget(motion, SKELETON)
    np.testing.assert_array_equal(poses[:, 0, :3, 3], motion.root)
    assert not poses[:, 1:, :3, 3].any()


def test_a_bone_the_motion_lacks_is_named(walking_clips: Path) -> None:
    tailed = RestSkeleton(("Hips", "Tail"), (-1, 0), HEADS[:2], np.tile(np.eye(3), (2, 1, 1)))
    with pytest.raises(SyntheticError, match="says nothing of the bones Tail"):
        retarget(read_deepmimic(walking_clips, "walk"), tailed)


def test_leg_length() -> None:
    assert SKELETON.leg_length == pytest.approx(2 * np.hypot(0.1, 0.4))


DIRECTIONS = arrays(np.float64, 3, elements=st.floats(-1, 1)).filter(lambda v: np.linalg.norm(v) > 0.1)


@given(DIRECTIONS, DIRECTIONS)
def test_rotation_between_is_a_rotation_that_does_it(start: np.ndarray, end: np.ndarray) -> None:
    turn = rotation_between(start, end)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(turn) == pytest.approx(1)
    np.testing.assert_allclose(turn @ start / np.linalg.norm(start), end / np.linalg.norm(end), atol=1e-6)


@given(DIRECTIONS)
def test_rotation_to_the_opposite(start: np.ndarray) -> None:
    np.testing.assert_allclose(rotation_between(start, -start) @ start, -start, atol=1e-9)
