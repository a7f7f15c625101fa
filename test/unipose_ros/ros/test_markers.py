"""Every person's markers keep their names, and are deleted by name."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rclpy.serialization import deserialize_message
from ros_samples import FRAME, HEAD, LEFT_HAND, RIGHT_HAND, people
from visualization_msgs.msg import Marker, MarkerArray

from unipose_ros.frame import Skeletons
from unipose_ros.joint_sets import ITOP15
from unipose_ros.msg import Skeleton, SkeletonArray
from unipose_ros.ros.markers import MarkerBuilder, marker_id
from unipose_ros.ros.parameters import MarkersConfig

pytestmark = pytest.mark.ros
CONFIG = MarkersConfig(bodies=False)
ROOT = Path(__file__).resolve().parents[3]


def markers_of(message: Any) -> list[Marker]:
    """Those of a message as it is published."""
    return list(deserialize_message(message, MarkerArray).markers)


def names(markers: list[Marker], action: int) -> set[tuple[str, int]]:
    return {(marker.ns, marker.id) for marker in markers if marker.action == action}


def test_ids_become_numbers_that_differ_and_fit() -> None:
    assert len({marker_id(name) for name in ("aaaaa", "aaaab", "baaaa", "zzzzz")}) == 4
    assert marker_id("zzzzz") < 2**31


def test_three_elements_a_person_with_the_joints_that_are_there() -> None:
    skeletons = people("abcde", "fghij")
    markers = markers_of(MarkerBuilder().build(skeletons, CONFIG))
    assert len(names(markers, Marker.ADD)) == len(markers) == 6
    (joints, bones), label = markers[:2], markers[4]
    assert (joints.type, bones.type, label.type) == (Marker.SPHERE_LIST, Marker.LINE_LIST, Marker.TEXT_VIEW_FACING)
    assert len(joints.points) == len(joints.colors) == 14
    touching = sum(LEFT_HAND in (bone.parent, bone.child) for bone in ITOP15.bones)
    assert len(bones.points) == len(bones.colors) == 2 * (len(ITOP15.bones) - touching)
    assert label.text == "abcde"
    assert label.pose.position.y < skeletons.positions[0, HEAD, 1]  # y points down
    assert {marker.header.frame_id for marker in markers} == {FRAME}
    assert all(np.isfinite([point.x, point.y, point.z]).all() for m in markers for point in m.points)
    assert joints.lifetime.sec == 2


def test_labels_of_people_beside_each_other_lie_apart_and_stay_where_they_are() -> None:
    close = people("aaaaa", "bbbbb")
    positions = close.positions.copy()
    positions[1] = positions[0] + np.float32([0.1, 0, 0.2])
    heights = {}
    for ids in (("aaaaa", "bbbbb"), ("bbbbb", "aaaaa")):  # in whatever order they come
        markers = markers_of(MarkerBuilder().build(replace(close, positions=positions, ids=ids), CONFIG))
        heights[ids] = {m.text: m.pose.position.y for m in markers if m.ns == "labels"}
    for found in heights.values():
        assert found["aaaaa"] - found["bbbbb"] > 0.14  # y points down: the second one is above
    apart = {m.text: m.pose.position.y for m in markers_of(MarkerBuilder().build(close, CONFIG)) if m.ns == "labels"}
    assert apart["aaaaa"] == pytest.approx(apart["bbbbb"])


def test_an_inferred_joint_is_paler_than_its_mirror() -> None:
    joints = markers_of(MarkerBuilder().build(people("abcde"), CONFIG))[0]
    inferred = joints.colors[RIGHT_HAND]
    elbow = joints.colors[ITOP15.index("right_elbow")]
    assert inferred.a < elbow.a == 1.0
    assert inferred.r + inferred.g + inferred.b > elbow.r + elbow.g + elbow.b


def test_who_leaves_is_deleted_once() -> None:
    builder = MarkerBuilder()
    shown = names(markers_of(builder.build(people("abcde", "fghij"), CONFIG)), Marker.ADD)
    second = markers_of(builder.build(people("abcde"), CONFIG))
    stays = names(second, Marker.ADD)
    assert names(second, Marker.DELETE) == shown - stays
    assert names(markers_of(builder.build(people(), CONFIG)), Marker.DELETE) == stays
    assert builder.build(people(), CONFIG) is None


def test_clearing_and_switching_off_delete_what_is_shown() -> None:
    builder = MarkerBuilder()
    shown = names(markers_of(builder.build(people("abcde"), CONFIG)), Marker.ADD)
    off = markers_of(builder.build(people("abcde"), MarkersConfig(enabled=False)))
    assert names(off, Marker.DELETE) == shown
    builder.build(people("abcde"), CONFIG)
    assert names(markers_of(builder.clear(people())), Marker.DELETE) == shown
    assert MarkerBuilder().clear(people()) is None


def test_a_person_without_any_position_has_no_markers() -> None:
    nowhere = people("abcde", positions=np.full((1, 15, 3), np.nan, np.float32))
    assert MarkerBuilder().build(nowhere, CONFIG) is None


def of(namespace: str, config: MarkersConfig, skeletons: Skeletons) -> list[Marker]:
    return [marker for marker in markers_of(MarkerBuilder().build(skeletons, config)) if marker.ns == namespace]


def test_a_capsule_leads_from_joint_to_joint_and_is_as_opaque_as_it_is_certain() -> None:
    skeletons = people("abcde")
    skeletons = replace(skeletons, confidences=np.full_like(skeletons.confidences, 0.9))
    made = of("body", MarkersConfig(), skeletons)
    present = np.isfinite(skeletons.positions[0]).all(axis=1)
    bones = [bone for bone in ITOP15.bones if present[bone.parent] and present[bone.child]]
    assert len(made) == len(bones)
    assert len({marker.id for marker in made}) == len(made)
    for marker, bone in zip(made, bones, strict=True):
        q, at = marker.pose.orientation, marker.pose.position
        x, y, z, w = q.x, q.y, q.z, q.w
        along = np.array([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
        end = np.array([at.x, at.y, at.z]) + along * marker.scale.z / 2
        np.testing.assert_allclose(end, skeletons.positions[0, bone.child], atol=1e-4)
    uncertain = replace(skeletons, confidences=np.full_like(skeletons.confidences, 0.1))
    assert of("body", MarkersConfig(), uncertain)[0].color.a < made[0].color.a


def test_an_ellipsoid_holds_95_percent() -> None:
    skeletons = people("abcde")
    covariances = np.tile(np.array([0.01, 0, 0, 0.04, 0, 0.0001], np.float32), (1, len(ITOP15), 1))
    skeletons = replace(skeletons, covariances=covariances)
    assert of("covariance", MarkersConfig(), skeletons) == []
    (first, *_) = of("covariance", MarkersConfig(covariances=True), skeletons)
    axes = sorted((first.scale.x, first.scale.y, first.scale.z))
    np.testing.assert_allclose(axes, 2 * 2.795 * np.array([0.01, 0.1, 0.2]), rtol=1e-3)


def test_the_arrow_ends_where_the_person_will_be() -> None:
    skeletons = people("abcde")
    assert of("velocity", MarkersConfig(velocities=True), skeletons) == []
    skeletons = replace(skeletons, velocities=np.array([[1.0, 0.0, 0.5]], np.float32))
    (arrow,) = of("velocity", MarkersConfig(velocities=True), skeletons)
    start, end = arrow.points
    np.testing.assert_allclose([end.x - start.x, end.y - start.y, end.z - start.z], [1.0, 0.0, 0.5], atol=1e-6)


def test_rviz_shows_every_namespace_and_opens_on_the_scene() -> None:
    layout = yaml.safe_load((ROOT / "rviz" / "unipose.rviz").read_text())
    assert [panel["Class"] for panel in layout["Panels"]] == ["rviz_common/Displays"]
    displays = {display["Name"]: display for display in layout["Visualization Manager"]["Displays"]}
    everything = MarkersConfig(covariances=True)
    shown = {marker.ns for marker in markers_of(MarkerBuilder().build(people("abcde"), everything))} | {"velocity"}
    assert shown | {"covariance"} == set(displays["People"]["Namespaces"])
    assert displays["Depth image"]["Class"] == "rviz_default_plugins/DepthCloud"


def test_foxglove_shows_topics_and_fields_that_there_are() -> None:
    layout = json.loads((ROOT / "config" / "foxglove_layout.json").read_text())
    panels = layout["configById"]

    def placed(part: str | dict[str, Any]) -> list[str]:
        return [part] if isinstance(part, str) else placed(part["first"]) + placed(part["second"])

    assert sorted(placed(layout["layout"])) == sorted(panels)
    source = (ROOT / "unipose_ros" / "ros" / "publishers.py").read_text()
    published = {f"/unipose/{topic}" for topic in re.findall(r'advertise\(\w+, "([\w/]+)"', source)}
    camera = yaml.safe_load((ROOT / "config" / "cameras" / "realsense.yaml").read_text())
    shown = {*panels["3D!scene"]["topics"], panels["Image!debug"]["imageMode"]["imageTopic"]}
    # The driver's cloud, in the namespace in which the preset has its images.
    cloud = camera["color_topic"].rpartition("/color/")[0] + "/depth/color/points"
    assert shown - {cloud} <= published
    assert cloud in shown
    assert "/unipose/markers" in shown
    for path in panels["Plot!confidence"]["paths"]:
        topic, first, second = path["value"].split(".")
        assert topic == "/unipose/skeletons"
        assert first.partition("[")[0] in SkeletonArray.get_fields_and_field_types()
        field, _, index = second.partition("[")
        assert field in Skeleton.get_fields_and_field_types()
        if index:
            assert ITOP15.joints[int(index.rstrip("]"))] == path["label"]
