from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from unipose_ros.joint_frames import body_frame
from unipose_ros.joint_sets import COCO17, H36M17, ITOP15, JOINT_SETS, NTU25, PANOPTIC19, REP155, JointSet

# Landmarks in body coordinates: x forward, y left, z up, origin mid-hips.
LANDMARKS = {
    "left_hip": (0, 0.1, 0),
    "right_hip": (0, -0.1, 0),
    "left_shoulder": (0, 0.2, 0.5),
    "right_shoulder": (0, -0.2, 0.5),
    "pelvis": (0, 0, 0),
    "torso": (0, 0, 0.25),
    "neck": (0, 0, 0.5),
}
MID_HIPS = np.array([0.4, 0.2, 2.5])
# Columns: the body's x, y and z axis in the optical frame (x right, y down, z away from the camera).
FACING = {
    "towards": [(0, 0, -1), (1, 0, 0), (0, -1, 0)],
    "away": [(0, 0, 1), (-1, 0, 0), (0, -1, 0)],
    "right of the image": [(1, 0, 0), (0, 0, 1), (0, -1, 0)],
    "left of the image": [(-1, 0, 0), (0, 0, -1), (0, -1, 0)],
    "lying on the back, head to the right": [(0, -1, 0), (0, 0, -1), (1, 0, 0)],
}


def person(joint_set: JointSet, rotation: np.ndarray, *missing: str) -> np.ndarray:
    known = {name: place for name, place in LANDMARKS.items() if name not in missing}
    body = np.array([known.get(name, (np.nan,) * 3) for name in joint_set.landmarks])
    return (body @ rotation.T + MID_HIPS).astype(np.float32)


def axes(name: str) -> np.ndarray:
    return np.column_stack(FACING[name]).astype(float)


@pytest.mark.parametrize("joint_set", JOINT_SETS.values(), ids=lambda joint_set: joint_set.name)
@pytest.mark.parametrize("facing", FACING)
def test_known_poses(facing: str, joint_set: JointSet) -> None:
    frame = body_frame(person(joint_set, axes(facing)), joint_set)
    assert frame is not None
    np.testing.assert_allclose(frame.rotation, axes(facing), atol=1e-6)
    np.testing.assert_allclose(frame.origin, MID_HIPS, atol=1e-6)


@given(st.tuples(*[st.floats(-3, 3)] * 3))
def test_any_turn_is_found_and_right_handed(turn: tuple[float, float, float]) -> None:
    rotation = Rotation.from_rotvec(turn).as_matrix()
    frame = body_frame(person(ITOP15, rotation), ITOP15)
    assert frame is not None
    np.testing.assert_allclose(frame.rotation, rotation, atol=1e-5)
    assert np.linalg.det(frame.rotation) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("joint_set", "missing"),
    [
        (ITOP15, ["left_shoulder"]),  # left from the hips, up from the neck
        (ITOP15, ["left_shoulder", "neck"]),  # up from the torso
        (ITOP15, ["left_hip", "right_hip"]),  # origin from neck and torso, left from the shoulders
        (ITOP15, ["right_hip"]),
        (ITOP15, ["torso", "neck"]),
        (COCO17, []),
        (PANOPTIC19, ["left_hip", "neck"]),  # origin from the set's own pelvis
        (NTU25, ["left_hip", "right_hip", "neck"]),
        (H36M17, ["right_hip"]),
        (REP155, ["left_shoulder"]),
    ],
)
def test_fallbacks_find_the_same_frame(joint_set: JointSet, missing: list[str]) -> None:
    frame = body_frame(person(joint_set, axes("towards"), *missing), joint_set)
    assert frame is not None
    np.testing.assert_allclose(frame.rotation, axes("towards"), atol=1e-6)
    np.testing.assert_allclose(frame.origin, MID_HIPS, atol=1e-6)


@pytest.mark.parametrize(
    ("joint_set", "missing"),
    [
        (ITOP15, list(LANDMARKS)),
        (ITOP15, ["left_hip", "torso"]),  # no origin
        (ITOP15, ["left_hip", "left_shoulder"]),  # no left
        (ITOP15, ["left_shoulder", "neck", "torso"]),  # no up
        (COCO17, ["left_hip"]),
    ],
)
def test_too_little_gives_none(joint_set: JointSet, missing: list[str]) -> None:
    assert body_frame(person(joint_set, axes("towards"), *missing), joint_set) is None


def test_a_leaning_trunk_keeps_up_and_turns_left_square() -> None:
    positions = person(COCO17, np.eye(3))
    positions[COCO17.index("left_hip"), 2] += 0.04  # one hip higher by 4 cm
    frame = body_frame(positions, COCO17)
    assert frame is not None
    up = positions[[5, 6]].mean(axis=0) - positions[[11, 12]].mean(axis=0)
    np.testing.assert_allclose(frame.rotation[:, 2], up / np.linalg.norm(up), atol=1e-6)
    np.testing.assert_allclose(frame.rotation.T @ frame.rotation, np.eye(3), atol=1e-12)


def test_hips_and_shoulders_share_a_twist() -> None:
    positions = person(COCO17, np.eye(3))
    for side in ("left", "right"):  # the shoulders turn by 30 degrees about the spine
        joint = COCO17.index(f"{side}_shoulder")
        turned = Rotation.from_euler("z", 30, degrees=True).apply(positions[joint] - MID_HIPS)
        positions[joint] = turned + MID_HIPS
    frame = body_frame(positions, COCO17)
    assert frame is not None
    angle = np.degrees(np.arctan2(-frame.rotation[0, 1], frame.rotation[1, 1]))
    assert 0 < angle < 30


@pytest.mark.parametrize("case", ["flat", "narrow", "parallel"])
def test_degenerate_bodies_give_none(case: str) -> None:
    positions = person(COCO17, np.eye(3))
    left, right, hips = COCO17.index("left_shoulder"), COCO17.index("right_shoulder"), slice(11, 13)
    if case == "flat":  # shoulders on the hips
        positions[[left, right]] = positions[hips]
    elif case == "narrow":  # all on the spine
        positions[:, 1] = MID_HIPS[1]
    else:  # left and right above each other
        positions[hips] = MID_HIPS + np.array([[0, 0, 0.1], [0, 0, -0.1]])
        positions[[left, right]] = MID_HIPS + np.array([[0, 0, 0.7], [0, 0, 0.3]])
    assert body_frame(positions, COCO17) is None
