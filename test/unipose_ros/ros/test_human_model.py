"""The model against REP-155's tables and a physics engine's forward kinematics; what is said of the image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from ros_samples import LEFT_HAND, people, upright
from scipy.spatial.transform import Rotation

from unipose_ros.camera import Camera, project
from unipose_ros.frame import Skeletons, TrackState
from unipose_ros.joint_frames import body_frame
from unipose_ros.joint_sets import ITOP15
from unipose_ros.ros.human_model import LENGTHS, Body, bodies, body_lengths, cropped, urdf

pytestmark = pytest.mark.ros
#: REP-155: joint -> parent link, child link, and whether it moves.
REP_JOINTS = {
    "waist": ("body", "waist", True), "torso": ("waist", "torso", False), "r_head": ("torso", "r_head", True),
    "y_head": ("r_head", "y_head", True), "p_head": ("y_head", "p_head", True), "head": ("p_head", "head", False),
} | {
    f"{side}_{name}": (parent if parent in ("torso", "body") else f"{side}_{parent}", f"{side}_{child}", moves)
    for side in "lr"
    for name, parent, child, moves in (
        ("y_shoulder", "torso", "y_shoulder", True), ("p_shoulder", "y_shoulder", "p_shoulder", True),
        ("r_shoulder", "p_shoulder", "shoulder", True), ("elbow", "shoulder", "elbow", True),
        ("wrist", "elbow", "wrist", False), ("y_hip", "body", "y_hip", True), ("p_hip", "y_hip", "p_hip", True),
        ("r_hip", "p_hip", "hip", True), ("knee", "hip", "knee", True), ("ankle", "knee", "ankle", False),
    )
}  # fmt: skip
LANDMARK_LINKS = {
    "head": "head", "neck": "torso",
    **{f"{side}_{joint}": f"{side[0]}_{link}" for side in ("left", "right")
       for joint, link in (("shoulder", "shoulder"), ("elbow", "elbow"), ("hand", "wrist"), ("hip", "hip"),
                           ("knee", "knee"), ("foot", "ankle"))},
}  # fmt: skip
#: hri_msgs/Skeleton2D: index of some keypoints.
NOSE, NECK, RIGHT_WRIST, LEFT_WRIST, LEFT_ANKLE, LEFT_EYE, RIGHT_EAR = 0, 1, 4, 7, 13, 14, 17
CAMERA = Camera(200.0, 200.0, 159.5, 119.5, 320, 240)


def posed(**bones: tuple[float, float, float]) -> Skeletons:
    """A person who faces the camera, with bones turned: ``left_hand=(forward, left, up)`` is that of the forearm."""
    positions = upright(0.0, 3.0)
    lengths = {bone.child: np.linalg.norm(positions[bone.child] - positions[bone.parent]) for bone in ITOP15.bones}
    for joint, (forward, left, up) in bones.items():
        index = ITOP15.index(joint)
        # Camera: x right (the left of who faces it), y down, z away from the camera.
        along = np.array([left, -up, -forward])
        positions[index] = positions[ITOP15.parents[index]] + lengths[index] * along / np.linalg.norm(along)
    skeletons = people("abcde", positions=positions[None])
    return replace(skeletons, status=np.full((1, 15), 2, np.uint8), confidences=np.ones((1, 15), np.float32))


def body_of(skeletons: Skeletons) -> Body:
    (body,) = bodies(skeletons, None)
    return body


def test_joints_links_and_tree_are_the_reps() -> None:
    robot = ElementTree.fromstring(urdf("abcde", body_lengths({})))
    found = {
        joint.attrib["name"]: (
            joint.find("parent").attrib["link"],  # type: ignore[union-attr]
            joint.find("child").attrib["link"],  # type: ignore[union-attr]
            joint.attrib["type"] != "fixed",
        )
        for joint in robot.iter("joint")
    }
    assert found == {
        f"{name}_abcde": (f"{parent}_abcde", f"{child}_abcde", moves)
        for name, (parent, child, moves) in REP_JOINTS.items()
    }
    assert sum(moves for _, _, moves in REP_JOINTS.values()) == 20
    links = {child for _, child, _ in REP_JOINTS.values()} | {"body"}
    assert {link.attrib["name"] for link in robot.findall("link")} == {f"{link}_abcde" for link in links}
    body = body_of(posed())
    assert set(body.links) == links - {"body"}
    assert set(body.angles) == {name for name, (_, _, moves) in REP_JOINTS.items() if moves}


def test_who_stands_with_hanging_arms_has_all_angles_at_0() -> None:
    # The thigh and the arm of the sample are straight down.
    assert np.abs(list(body_of(posed()).angles.values())).max() < 1e-5


@pytest.mark.parametrize(
    ("bones", "angles"),
    [
        ({"left_hand": (0.25, 0, 0)}, {"l_elbow": np.pi / 2}),
        ({"right_foot": (-0.45, 0, 0)}, {"r_knee": -np.pi / 2, "r_r_hip": 0.0}),
        ({"left_knee": (0.45, 0, 0), "left_foot": (0, 0, -0.45)}, {"l_r_hip": np.pi / 2, "l_knee": -np.pi / 2}),
        ({"left_elbow": (0, 0.3, 0), "left_hand": (0, 0.3, 0)}, {"l_p_shoulder": np.pi / 2, "l_y_shoulder": 0.0}),
        ({"right_elbow": (0, -0.3, 0), "right_hand": (0, -0.3, 0)}, {"r_p_shoulder": np.pi / 2, "r_y_shoulder": 0.0}),
        ({"right_elbow": (0.3, 0, 0), "right_hand": (0.3, 0, 0)}, {"r_p_shoulder": np.pi / 2, "r_elbow": 0.0}),
        ({"left_knee": (0, 0.3, -0.3), "left_foot": (0, 0.3, -0.3)}, {"l_p_hip": np.pi / 4, "l_knee": 0.0}),
        ({"right_knee": (0, -0.3, -0.3), "right_foot": (0, -0.3, -0.3)}, {"r_p_hip": np.pi / 4}),
        ({"head": (0, 0.2, 0.2)}, {"r_head": -np.pi / 4, "p_head": 0.0}),
        ({"head": (-0.2, 0, 0.2)}, {"p_head": np.pi / 4, "r_head": 0.0}),
    ],
)  # fmt: skip
def test_angles_are_those_of_the_pose(bones: dict[str, Any], angles: dict[str, float]) -> None:
    found = body_of(posed(**bones)).angles
    for name, angle in angles.items():
        assert found[name] == pytest.approx(angle, abs=1e-4), name


POSES = {
    "reaching": {"left_elbow": (0.2, 0.2, 0.05), "left_hand": (0.2, -0.15, 0.05), "head": (0.05, 0.03, 0.24)},
    "up": {"right_elbow": (0.05, -0.1, 0.28), "right_hand": (0.2, 0.1, 0.15)},
    "sitting": {
        side: pose
        for s, left in (("left", 0.1), ("right", -0.1))
        for side, pose in ((f"{s}_knee", (0.44, left, 0.03)), (f"{s}_foot", (-0.1, left / 4, -0.43)))
    },
}


@pytest.mark.parametrize("pose", POSES)
def test_the_urdf_with_its_angles_places_the_joints_where_they_were_found(pose: str, tmp_path: Path) -> None:
    bullet = pytest.importorskip("pybullet")
    skeletons = posed(**POSES[pose])
    body = body_of(skeletons)
    file = tmp_path / "human.urdf"
    file.write_text(urdf("abcde", body.lengths))
    client = bullet.connect(bullet.DIRECT)
    try:
        human = bullet.loadURDF(str(file), useFixedBase=True, physicsClientId=client)
        links = {}
        for number in range(bullet.getNumJoints(human, physicsClientId=client)):
            info = bullet.getJointInfo(human, number, physicsClientId=client)
            links[info[12].decode()] = number
            angle = body.angles.get(info[1].decode().removesuffix("_abcde"), 0.0)
            assert info[2] == bullet.JOINT_FIXED or info[8] <= angle <= info[9], info[1]
            bullet.resetJointState(human, number, angle, physicsClientId=client)
        for link, number in links.items():
            place, turn = bullet.getLinkState(human, number, True, True, physicsClientId=client)[4:6]
            ours = body.links[link.removesuffix("_abcde")]
            np.testing.assert_allclose(place, ours.place, atol=2e-3, err_msg=link)
            between = Rotation.from_quat(turn) * Rotation.from_quat(ours.turn).inv()
            assert between.magnitude() < 2e-3, link
    finally:
        bullet.disconnect(client)
    found = skeletons.positions[0] - body.position
    for joint, link in LANDMARK_LINKS.items():
        np.testing.assert_allclose(
            np.linalg.norm(body.links[link].place), np.linalg.norm(found[ITOP15.index(joint)]), atol=1e-5
        )


def test_lengths_are_the_persons_and_what_is_hidden_is_in_proportion() -> None:
    whole = body_of(posed()).lengths
    assert set(whole) == set(LENGTHS)
    assert whole["upper_arm"] == pytest.approx(0.3)
    assert whole["forearm"] == pytest.approx(0.25)
    small = {"neck": np.array([0, 0, 0.25]), "head": np.array([0, 0, 0.375])}
    assert body_lengths(small)["thigh"] == pytest.approx(0.25)
    without = people("abcde")
    assert "l_wrist" not in body_of(without).links
    assert "l_elbow" in body_of(without).angles
    nowhere = people("abcde", positions=np.full((1, 15, 3), np.nan, np.float32))
    assert (body_of(nowhere).links, body_of(nowhere).angles, body_of(nowhere).lengths) == ({}, {}, {})


def test_links_have_the_reps_names_and_lie_in_the_body() -> None:
    skeletons = people("abcde")
    (body,) = bodies(skeletons, CAMERA)
    frame = body_frame(skeletons.positions[0], ITOP15)
    assert frame is not None
    np.testing.assert_allclose(body.position, frame.origin)
    assert set(body.links) == {child for _, child, _ in REP_JOINTS.values()} - {"l_wrist"}  # the left hand is missing
    for link, joint in (("head", "head"), ("r_wrist", "right_hand"), ("l_ankle", "left_foot")):
        placed = frame.rotation @ body.links[link].place + frame.origin
        np.testing.assert_allclose(placed, skeletons.positions[0, ITOP15.index(joint)], atol=1e-5)


def test_keypoints_are_in_the_order_of_skeleton2d_and_within_the_image() -> None:
    skeletons = people("abcde")
    (body,) = bodies(skeletons, CAMERA)
    assert body.keypoints is not None
    assert body.keypoints.shape == (18, 3)
    pixels = project(CAMERA, skeletons.positions[0]) / [320, 240]
    for keypoint, joint in ((NECK, "neck"), (RIGHT_WRIST, "right_hand"), (LEFT_ANKLE, "left_foot")):
        np.testing.assert_allclose(body.keypoints[keypoint, :2], pixels[ITOP15.index(joint)], atol=1e-6)
        assert body.keypoints[keypoint, 2] == 0.5
    assert np.isnan(skeletons.positions[0, LEFT_HAND]).all()
    for keypoint in (LEFT_WRIST, LEFT_EYE, RIGHT_EAR):
        assert np.isnan(body.keypoints[keypoint, :2]).all()
        assert body.keypoints[keypoint, 2] == 0
    known = body.keypoints[body.keypoints[:, 2] > 0]
    assert ((known >= 0) & (known <= 1)).all()


def test_regions_are_within_the_image_and_around_the_body() -> None:
    skeletons = people("abcde", "fghij")
    moved = [replace(skeletons, positions=skeletons.positions + np.float32([x, 0, 0])) for x in (0.0, 2.4, 40.0)]
    (first, _), (cut, _), (gone, _) = (bodies(each, CAMERA) for each in moved)
    pixels = project(CAMERA, skeletons.positions[0]) / [320, 240]
    xmin, ymin, xmax, ymax = first.region or (0,) * 4
    assert 0 <= xmin < np.nanmin(pixels[:, 0]) < np.nanmax(pixels[:, 0]) < xmax <= 1
    assert 0 <= ymin < np.nanmin(pixels[:, 1]) < np.nanmax(pixels[:, 1]) < ymax <= 1
    assert cut.region is not None
    assert cut.region[2] == 1
    assert gone.region is None
    image = np.zeros((240, 320, 3), np.uint8)
    assert cropped(image, first.region or (0,) * 4).shape[0] == pytest.approx(240 * (ymax - ymin), abs=2)


def test_who_is_new_is_no_body_and_who_is_hidden_has_no_region() -> None:
    states = np.array([TrackState.NEW, TrackState.OCCLUDED, TrackState.TRACKED], np.uint8)
    hidden, seen = bodies(people("aaaaa", "bbbbb", "ccccc", states=states), CAMERA)
    assert (hidden.id, hidden.region, hidden.keypoints) == ("bbbbb", None, None)
    assert seen.region is not None
    assert bodies(people("aaaaa"), None)[0].region is None
