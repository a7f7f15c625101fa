from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unipose_ros.joint_sets import (
    COCO17,
    COCO23,
    H36M17,
    ITOP15,
    JOINT_SETS,
    NTU25,
    PANOPTIC19,
    REP155,
    JointSet,
    JointSetError,
    get_joint_set,
)

SIZES = {"itop15": 15, "coco17": 17, "coco23": 23, "panoptic19": 19, "ntu25": 25, "h36m17": 17, "rep155": 18}
every_set = pytest.mark.parametrize("joint_set", JOINT_SETS.values(), ids=lambda joint_set: joint_set.name)


def test_all_sets_are_there() -> None:
    assert {name: len(joint_set) for name, joint_set in JOINT_SETS.items()} == SIZES


@every_set
def test_names_and_landmarks_are_unique(joint_set: JointSet) -> None:
    assert len(set(joint_set.joints)) == len(joint_set)
    assert len(set(joint_set.landmarks)) == len(joint_set)
    assert all(name == name.lower() for name in joint_set.joints)


@every_set
def test_parents_are_one_tree(joint_set: JointSet) -> None:
    assert list(joint_set.parents).count(-1) == 1
    root = joint_set.parents.index(-1)
    for joint in range(len(joint_set)):
        path = [joint]
        while path[-1] != root:
            path.append(joint_set.parents[path[-1]])
            assert len(path) <= len(joint_set), f"{joint_set.joints[joint]} never reaches the root"


@every_set
def test_bones_are_the_parent_child_pairs(joint_set: JointSet) -> None:
    pairs = {(bone.parent, bone.child) for bone in joint_set.bones}
    assert pairs == {(parent, child) for child, parent in enumerate(joint_set.parents) if parent >= 0}
    assert len(joint_set.bones) == len(joint_set) - 1


@every_set
def test_mirror_exchanges_left_and_right(joint_set: JointSet) -> None:
    mirror = np.array(joint_set.mirror)
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(joint_set)))
    opposite = {"left": "right", "right": "left", "middle": "middle"}
    assert [joint_set.sides[j] for j in mirror] == [opposite[side] for side in joint_set.sides]
    fixed = [joint for joint, other in enumerate(mirror) if joint == other]
    assert [side for joint, side in enumerate(joint_set.sides) if joint in fixed] == ["middle"] * len(fixed)


@every_set
def test_the_tree_is_the_same_on_both_sides(joint_set: JointSet) -> None:
    if joint_set in (COCO17, COCO23):
        pytest.skip("COCO has no joint in the trunk's middle, its tree hangs on one shoulder")
    parents = joint_set.parents
    for joint, other in enumerate(joint_set.mirror):
        expected = joint_set.mirror[parents[joint]] if parents[joint] >= 0 else -1
        assert parents[other] == expected


@every_set
def test_colors_tell_the_sides_apart(joint_set: JointSet) -> None:
    colors = {side: set() for side in joint_set.sides}
    for side, color in zip(joint_set.sides, joint_set.colors, strict=True):
        colors[side].add(tuple(color))
    assert all(len(found) == 1 for found in colors.values())
    assert len(set.union(*colors.values())) == len(colors)


def test_orders_are_those_of_the_data_sets() -> None:
    assert ITOP15.joints[:4] == ("head", "neck", "right_shoulder", "left_shoulder")
    assert ITOP15.joints[8:11] == ("torso", "right_hip", "left_hip")
    assert COCO17.joints[:7] == (
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    )  # fmt: skip
    assert COCO23.joints[:17] == COCO17.joints
    assert PANOPTIC19.joints[:4] == ("neck", "nose", "body_center", "left_shoulder")
    assert (NTU25.joints[0], NTU25.joints[20]) == ("spine_base", "spine_shoulder")
    assert H36M17.joints[:2] == ("hip", "right_hip")
    assert REP155.joints[14:] == ("l_eye", "r_eye", "l_ear", "r_ear")


def test_itop_knows_its_bone_lengths() -> None:
    lengths = {ITOP15.joints[bone.child]: bone.length for bone in ITOP15.bones}
    assert all(0.15 < length < 0.6 for length in lengths.values())
    assert lengths["left_foot"] == lengths["right_foot"] == pytest.approx(0.487)
    assert all(0 < bone.std < bone.length for bone in ITOP15.bones)
    assert COCO17.bones[0].length == 0.0  # not known


def test_names_are_looked_up() -> None:
    assert get_joint_set("coco17") is COCO17
    assert COCO17.index("left_wrist") == 9
    with pytest.raises(JointSetError, match="'coco18' is unknown; there are coco17, coco23"):
        get_joint_set("coco18")
    with pytest.raises(JointSetError, match="'left_hand' is not in 'coco17': nose"):
        COCO17.index("left_hand")


def test_sets_are_values() -> None:
    assert replace(ITOP15) == ITOP15
    assert hash(replace(ITOP15)) == hash(ITOP15)
