"""Every person's markers keep their names, and are deleted by name."""

from __future__ import annotations

import numpy as np
import pytest
from ros_samples import FRAME, HEAD, LEFT_HAND, RIGHT_HAND, people
from visualization_msgs.msg import Marker

from unipose_ros.joint_sets import ITOP15
from unipose_ros.ros.markers import MarkerBuilder, marker_id
from unipose_ros.ros.messages import header
from unipose_ros.ros.parameters import MarkersConfig

pytestmark = pytest.mark.ros
CONFIG = MarkersConfig()


def names(markers: list[Marker], action: int) -> set[tuple[str, int]]:
    return {(marker.ns, marker.id) for marker in markers if marker.action == action}


def test_ids_become_numbers_that_differ_and_fit() -> None:
    assert len({marker_id(name) for name in ("aaaaa", "aaaab", "baaaa", "zzzzz")}) == 4
    assert marker_id("zzzzz") < 2**31


def test_three_elements_a_person_with_the_joints_that_are_there() -> None:
    skeletons = people("abcde", "fghij")
    markers = MarkerBuilder().build(skeletons, CONFIG).markers
    assert len(names(markers, Marker.ADD)) == len(markers) == 6
    joints, bones, label = markers[:3]
    assert (joints.type, bones.type, label.type) == (Marker.SPHERE_LIST, Marker.LINE_LIST, Marker.TEXT_VIEW_FACING)
    assert len(joints.points) == len(joints.colors) == 14
    touching = sum(LEFT_HAND in (bone.parent, bone.child) for bone in ITOP15.bones)
    assert len(bones.points) == len(bones.colors) == 2 * (len(ITOP15.bones) - touching)
    assert label.text == "abcde"
    assert label.pose.position.y < skeletons.positions[0, HEAD, 1]  # y points down
    assert {marker.header.frame_id for marker in markers} == {FRAME}
    assert all(np.isfinite([point.x, point.y, point.z]).all() for m in markers for point in m.points)
    assert joints.lifetime.sec == 2


def test_an_inferred_joint_is_paler_than_its_mirror() -> None:
    joints = MarkerBuilder().build(people("abcde"), CONFIG).markers[0]
    inferred = joints.colors[RIGHT_HAND]
    elbow = joints.colors[ITOP15.index("right_elbow")]
    assert inferred.a < elbow.a == 1.0
    assert inferred.r + inferred.g + inferred.b > elbow.r + elbow.g + elbow.b


def test_who_leaves_is_deleted_once() -> None:
    builder = MarkerBuilder()
    shown = names(builder.build(people("abcde", "fghij"), CONFIG).markers, Marker.ADD)
    second = builder.build(people("abcde"), CONFIG).markers
    stays = names(second, Marker.ADD)
    assert names(second, Marker.DELETE) == shown - stays
    assert names(builder.build(people(), CONFIG).markers, Marker.DELETE) == stays
    assert builder.build(people(), CONFIG).markers == []


def test_clearing_and_switching_off_delete_what_is_shown() -> None:
    builder = MarkerBuilder()
    shown = names(builder.build(people("abcde"), CONFIG).markers, Marker.ADD)
    off = builder.build(people("abcde"), MarkersConfig(enabled=False)).markers
    assert names(off, Marker.DELETE) == shown
    builder.build(people("abcde"), CONFIG)
    assert names(builder.clear(header(people())).markers, Marker.DELETE) == shown
    assert MarkerBuilder().clear(header(people())).markers == []


def test_somebody_without_any_position_has_no_markers() -> None:
    nowhere = people("abcde", positions=np.full((1, 15, 3), np.nan, np.float32))
    assert MarkerBuilder().build(nowhere, CONFIG).markers == []
