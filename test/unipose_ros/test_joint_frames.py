from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.joint_frames import PersonFrames, _in_body, _plan, _there, people_frames, quaternions_of, turned_back
from unipose_ros.joint_sets import COCO17, ITOP15, JOINT_SETS, JointSet

# Standing, arms hanging, in body coordinates: x forward, y to the left, z to the head; origin mid-hips.
REST = {
    "head": (0, 0, 0.75), "neck": (0, 0, 0.5), "torso": (0, 0, 0.25), "pelvis": (0, 0, 0), "nose": (0.1, 0, 0.75),
    "shoulder": (0, 0.2, 0.5), "elbow": (0, 0.2, 0.2), "wrist": (0, 0.2, -0.1),
    "hip": (0, 0.1, 0), "knee": (0, 0.1, -0.45), "ankle": (0, 0.1, -0.9),
}  # fmt: skip
#: Columns: the body's axes in the optical frame of a camera that it faces.
FACING = np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])
PLACE = np.array([0.4, 0.2, 2.5])


def landmarks(**moved: tuple[float, float, float]) -> dict[str, np.ndarray]:
    places = {}
    for name, place in REST.items():
        for side, sign in (("left_", 1), ("right_", -1)) if place[1] else (("", 1),):
            places[side + name] = np.array(place) * [1, sign, 1]
    return places | {name: np.array(place) for name, place in moved.items()}


def frames(
    joint_set: JointSet = ITOP15, rotation: np.ndarray = FACING, **moved: tuple[float, float, float]
) -> PersonFrames:
    places = landmarks(**moved)
    body = np.array([places.get(name, (np.nan,) * 3) for name in joint_set.landmarks])
    positions = (body @ rotation.T + PLACE).astype(np.float32)[None]
    given = np.isfinite(positions).all(axis=-1)
    status = np.where(given, JointStatus.MEASURED, JointStatus.MISSING).astype(np.uint8)
    ones = given.astype(np.float32)
    return people_frames(
        Skeletons(0, "camera", "points", positions, ones, status, np.ones(1, np.float32), joint_set=joint_set)
    ).person(0)


def axes(found: PersonFrames, joint: str, rotation: np.ndarray = FACING) -> np.ndarray:
    """(3, 3) the joint's axes along the body's; rows are x, y and z."""
    return (rotation.T @ Rotation.from_quat(found.joints[ITOP15.index(joint)]).as_matrix()).T


@pytest.mark.parametrize("joint_set", JOINT_SETS.values(), ids=lambda joint_set: joint_set.name)
def test_at_rest_every_joint_is_turned_as_the_body(joint_set: JointSet) -> None:
    found = frames(joint_set)
    assert found.body is not None
    known = np.isfinite(found.joints).all(axis=1)
    assert known.sum() >= 12
    turned = FACING.T @ Rotation.from_quat(found.joints[known]).as_matrix()
    np.testing.assert_allclose(turned, np.broadcast_to(np.eye(3), turned.shape), atol=1e-5)


def test_a_bent_elbow_turns_the_forearm_about_y() -> None:
    found = frames(left_wrist=(0.3, 0.2, 0.2))
    np.testing.assert_allclose(axes(found, "left_shoulder"), np.eye(3), atol=1e-5)
    for joint in ("left_elbow", "left_hand"):
        # The forearm points forward: z, from the hand to the elbow, is backward, and x points up.
        np.testing.assert_allclose(axes(found, joint), [[0, 0, 1], [0, 1, 0], [-1, 0, 0]], atol=1e-5)


def test_a_bent_knee_turns_the_shin_backward_about_y() -> None:
    found = frames(right_ankle=(-0.45, -0.1, -0.45))
    np.testing.assert_allclose(axes(found, "right_hip"), np.eye(3), atol=1e-5)
    np.testing.assert_allclose(axes(found, "right_knee"), [[0, 0, -1], [0, 1, 0], [1, 0, 0]], atol=1e-5)


def test_the_hinge_shows_how_the_upper_arm_is_turned_about_itself() -> None:
    # The upper arm hangs, the forearm points to the person's right: the arm is turned inward.
    found = frames(left_wrist=(0.0, -0.1, 0.2))
    np.testing.assert_allclose(axes(found, "left_shoulder"), [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-5)


def test_a_stretched_arm_is_turned_from_rest_by_the_shortest_way() -> None:
    # Raised to the side: about x, so that y points up.
    found = frames(left_elbow=(0, 0.5, 0.5), left_wrist=(0, 0.8, 0.5))
    np.testing.assert_allclose(axes(found, "left_shoulder"), [[1, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-5)


@settings(deadline=None, max_examples=50)
@given(st.floats(-3.1, 3.1), st.floats(-1.5, 1.5), st.floats(0.0, 2.6))
def test_frames_are_rotations_along_the_bones_in_every_pose(around: float, up: float, bend: float) -> None:
    arm = np.array([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)])
    side = np.cross(arm, [0.3, -0.5, 0.81])
    elbow = np.array([0, 0.2, 0.5]) + 0.3 * arm
    wrist = elbow + 0.3 * (np.cos(bend) * arm + np.sin(bend) * side / np.linalg.norm(side))
    found = frames(left_elbow=tuple(elbow), left_wrist=tuple(wrist))
    shoulder, forearm = axes(found, "left_shoulder"), axes(found, "left_elbow")
    for turned in (shoulder, forearm):
        np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-5)
        assert np.linalg.det(turned) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(shoulder[2], -arm, atol=1e-4)
    np.testing.assert_allclose(forearm[2], (elbow - wrist) / 0.3, atol=1e-4)
    if 0.6 < bend < 2.5:
        # Both bones bend about one axis.
        np.testing.assert_allclose(shoulder[1], forearm[1], atol=1e-3)


def test_a_missing_joint_has_no_frame_and_a_person_without_a_body_frame_none_at_all() -> None:
    found = frames(left_wrist=(np.nan,) * 3)
    assert np.isnan(found.joints[ITOP15.index("left_hand")]).all()
    assert np.isfinite(found.joints[ITOP15.index("left_elbow")]).all()
    lost = frames(**dict.fromkeys(("left_hip", "right_hip", "torso"), (np.nan,) * 3))
    assert lost.body is None
    assert np.isnan(lost.joints).all()
    np.testing.assert_array_equal(lost.box_rotation, [0, 0, 0, 1])


def test_the_box_holds_all_joints_and_is_turned_as_the_body() -> None:
    turn = Rotation.from_euler("y", 0.6).as_matrix() @ FACING
    found = frames(rotation=turn)
    np.testing.assert_allclose(Rotation.from_quat(found.box_rotation).as_matrix(), turn, atol=1e-6)
    np.testing.assert_allclose(found.box_size, [0.2, 0.6, 1.85], atol=1e-5)
    np.testing.assert_allclose(found.box_center, turn @ [0, 0, -0.075] + PLACE, atol=1e-5)


def test_no_people_has_a_box_of_nan() -> None:
    empty = Skeletons.empty(0, "camera", "points", COCO17)
    one = replace(
        empty,
        positions=np.full((1, 17, 3), np.nan, np.float32),
        confidences=np.zeros((1, 17), np.float32),
        status=np.zeros((1, 17), np.uint8),
        scores=np.zeros(1, np.float32),
        ids=("abcde",),
        states=np.zeros(1, np.uint8),
        ages_ns=np.zeros(1, np.int64),
    )
    assert np.isnan(people_frames(one).box_sizes).all()
    assert len(people_frames(empty).joints) == 0


def _plain_frame(up: np.ndarray, left: np.ndarray, share: float) -> np.ndarray:
    """One joint's axes, as the module's text says it."""
    if not np.linalg.norm(up) > 0:
        return np.eye(3)
    x, y, z = top = up / np.linalg.norm(up)
    side = np.array([-x * y, (1 + z) - y * y, -y * (1 + z)])
    side /= np.linalg.norm(side)
    if share > 0:
        side = share * left / np.linalg.norm(left) + (1 - share) * side
    side = side - (side @ top) * top
    side /= np.linalg.norm(side)
    return np.column_stack([np.cross(side, top), side, top])


def test_all_limbs_at_once_are_turned_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    names = ITOP15.landmarks
    for _ in range(50):
        joints = rng.normal(0, 0.3, (15, 3))
        plan = _plan(ITOP15)
        turned = np.array([*_in_body(_there(joints[None]), plan.limbs, (0.17, 0.5))[0], np.eye(3)])[plan.limbs[2]]
        for side in ("left", "right"):
            for first, middle, last, bends in (("shoulder", "elbow", "wrist", 1.0), ("hip", "knee", "ankle", -1.0)):
                at = [names.index(f"{side}_{part}") for part in (first, middle, last)]
                near, far = joints[at[0]] - joints[at[1]], joints[at[1]] - joints[at[2]]
                hinge = bends * np.cross(near, -far)
                bent = np.linalg.norm(hinge) / (np.linalg.norm(near) * np.linalg.norm(far))
                share = float(np.clip((bent - 0.17) / 0.33, 0, 1))
                for joint, bone in zip(at, (near, far, far), strict=True):
                    np.testing.assert_allclose(turned[joint], _plain_frame(bone, hinge, share), atol=1e-9)


def test_quaternions_are_those_of_scipy() -> None:
    turns = [[a, b, c] for a in (0, 90, 180, -90) for b in (0, 90, 180) for c in (0, 90, 180, -90)]
    quarters = Rotation.from_euler("xyz", turns, degrees=True).as_matrix()
    rotations = np.concatenate([Rotation.random(500, 0).as_matrix(), quarters, np.rint(quarters)])
    np.testing.assert_allclose(quaternions_of(rotations), Rotation.from_matrix(rotations).as_quat(), atol=1e-15)
    assert quaternions_of(np.zeros((0, 3, 3))).shape == (0, 4)
    one, others = Rotation.random(random_state=1), 2 * Rotation.random(50, 2).as_quat().astype(np.float32)
    expected = (one.inv() * Rotation.from_quat(others)).as_quat()
    found = turned_back(one.as_quat()[None], others[None])[0]
    # Older SciPy gives some of them the other sign, which is the same rotation.
    expected *= np.sign((expected * found).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_people_beside_each_other_have_the_frames_that_each_has_alone() -> None:
    rng = np.random.default_rng(1)
    positions = rng.normal(0, 0.3, (40, 15, 3)).astype(np.float32)
    positions[rng.random((40, 15)) < 0.2] = np.nan
    ones = np.ones((40, 15), np.float32)
    people = Skeletons(0, "camera", "points", positions, ones, ones.astype(np.uint8), ones[:, 0])
    together = people_frames(people)
    assert 0 < together.known.sum() < 40
    for index in people:
        alone, one = people_frames(people.select(np.array([index]))).person(0), together.person(index)
        assert (alone.body is None) == (one.body is None)
        for name in ("joints", "box_center", "box_rotation", "box_size"):
            np.testing.assert_allclose(getattr(one, name), getattr(alone, name), atol=1e-6)
