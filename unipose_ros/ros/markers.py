"""Skeletons -> RViz markers: spheres, lines, a body and a label for every person.

Every element keeps its (namespace, id) as long as the person is there, and is deleted by name
when it is not: RViz then neither flickers nor shows ghosts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from builtin_interfaces.msg import Duration as DurationMessage
from geometry_msgs.msg import Point, Quaternion
from numpy.typing import NDArray
from rclpy.duration import Duration
from std_msgs.msg import ColorRGBA, Header
from tf_transformations import quaternion_from_matrix
from visualization_msgs.msg import Marker, MarkerArray

from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.geometry.covariance import expand
from unipose_ros.joint_sets import JointSet
from unipose_ros.ros.messages import MessagePool, header, point, quaternion
from unipose_ros.ros.parameters import MarkersConfig
from unipose_ros.visualization.labels import raise_labels
from unipose_ros.visualization.overlay import by_id, person_color

JOINTS, BONES, LABELS = "joints", "bones", "labels"

#: How much of its color a joint keeps that was inferred rather than seen, and its opacity.
_PALE, _PALE_ALPHA = 0.45, 0.6
#: m above the highest joint, height of the letters, and width of five of them.
_LABEL_GAP, _LABEL_HEIGHT, _LABEL_WIDTH = 0.25, 0.14, 0.45


def marker_id(person_id: str) -> int:
    """Five letters as a number of base 26: unique and below 2^31."""
    number = 0
    for letter in person_id:
        number = number * 26 + (ord(letter) - ord("a")) % 26
    return number


class MarkerBuilder:
    """Builds the markers of a frame, and the deletions of what the last one showed and this one does not."""

    def __init__(self) -> None:
        self._shown: set[tuple[str, int]] = set()
        self._capsules: MessagePool[Marker] = MessagePool(new_capsule)
        self._points: MessagePool[Point] = MessagePool(Point)

    def build(
        self, skeletons: Skeletons, config: MarkersConfig, up: tuple[float, float, float] = (0.0, -1.0, 0.0)
    ) -> MarkerArray:
        """All people of the frame; good until the next frame's are built.

        Args:
            up: direction in the skeletons' frame, against y in an optical one.
        """
        self._capsules.begin()
        self._points.begin()
        common = _Common(header(skeletons), Duration(seconds=config.lifetime).to_msg(), self._points)
        shown = list(skeletons) if config.enabled else []
        people = [m for i in shown for m in _person(skeletons, i, config, common, self._capsules)]
        labels = _labels(skeletons, common, np.array(up)) if config.labels and shown else []
        return self._with_deletions(common.header, people + labels)

    def clear(self, stamp: Header) -> MarkerArray:
        """Delete all that is shown."""
        return self._with_deletions(stamp, [])

    def _with_deletions(self, stamp: Header, markers: list[Marker]) -> MarkerArray:
        now = {(marker.ns, marker.id) for marker in markers}
        gone = sorted(self._shown - now)
        self._shown = now
        deletions = [Marker(header=stamp, ns=ns, id=number, action=Marker.DELETE) for ns, number in gone]
        return MarkerArray(markers=[*markers, *deletions])


class _Common(NamedTuple):
    """What the markers of a frame share.

    Attributes:
        header, lifetime: of all.
        points: to fill.
    """

    header: Header
    lifetime: DurationMessage
    points: MessagePool[Point]


def _person(
    skeletons: Skeletons, index: int, config: MarkersConfig, common: _Common, pool: MessagePool[Marker]
) -> list[Marker]:
    present = np.isfinite(skeletons.positions[index]).all(axis=1)
    if not present.any():
        return []
    # Each place is one message, in as many lists as it is needed for.
    places: dict[int, Point] = {}
    positions = skeletons.positions[index].tolist()
    for joint in np.flatnonzero(present).tolist():
        place = places[joint] = common.points.take()
        place.x, place.y, place.z = positions[joint]
    markers = [_joints(skeletons, index, places, config, common)]
    if any(bone.parent in places and bone.child in places for bone in skeletons.joint_set.bones):
        markers.append(_bones(skeletons, index, places, config, common))
    template = _marker(skeletons, index, "", Marker.ARROW, common)
    if config.bodies:
        markers += capsules(skeletons, index, template, pool)
    if config.covariances:
        markers += ellipsoids(skeletons, index, template)
    if config.velocities:
        markers += arrow(skeletons, index, template)
    return markers


def _joints(
    skeletons: Skeletons, index: int, places: Mapping[int, Point], config: MarkersConfig, common: _Common
) -> Marker:
    """Spheres in the colors of left, right and middle."""
    marker = _marker(skeletons, index, JOINTS, Marker.SPHERE_LIST, common)
    marker.scale.x = marker.scale.y = marker.scale.z = config.joint_diameter
    seen = (skeletons.status[index] == JointStatus.MEASURED).tolist()
    colors = _joint_colors(skeletons.joint_set)
    for joint, place in places.items():
        marker.points.append(place)
        marker.colors.append(_color(colors[joint], seen[joint]))
    return marker


@cache
def _joint_colors(joint_set: JointSet) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(color) for color in (joint_set.colors / 255.0).tolist())


def _bones(
    skeletons: Skeletons, index: int, places: Mapping[int, Point], config: MarkersConfig, common: _Common
) -> Marker:
    """Lines in the person's color, darker on the right side of the body, so that left and right can be told."""
    marker = _marker(skeletons, index, BONES, Marker.LINE_LIST, common)
    marker.scale.x = config.bone_width
    seen = (skeletons.status[index] == JointStatus.MEASURED).tolist()
    light = tuple(channel / 255.0 for channel in person_color(skeletons.ids[index]))
    dark = tuple(0.7 * channel for channel in light)
    sides = skeletons.joint_set.sides
    for bone in skeletons.joint_set.bones:
        if not (bone.parent in places and bone.child in places):
            continue
        shade = dark if sides[bone.child] == "right" else light
        color = _color(shade, seen[bone.parent] and seen[bone.child])
        marker.points.extend((places[bone.parent], places[bone.child]))
        marker.colors.extend((color, color))
    return marker


def _labels(skeletons: Skeletons, common: _Common, up: NDArray[np.float64]) -> list[Marker]:
    """The id of each person above the highest joint, higher where another label is."""
    known = [i for i in by_id(skeletons) if np.isfinite(skeletons.positions[i]).any()]
    positions = [skeletons.positions[i].astype(np.float64) for i in known]
    anchors = np.array([joints[np.nanargmax(joints @ up)] + _LABEL_GAP * up for joints in positions])
    markers = []
    for index, place in zip(known, raise_labels(anchors, up, _LABEL_WIDTH, _LABEL_HEIGHT), strict=True):
        marker = _marker(skeletons, index, LABELS, Marker.TEXT_VIEW_FACING, common)
        marker.pose.position = point(place)
        marker.scale.z = _LABEL_HEIGHT
        marker.color = _color((1.0, 1.0, 1.0), True)
        marker.text = skeletons.ids[index]
        markers.append(marker)
    return markers


def _marker(skeletons: Skeletons, index: int, namespace: str, kind: int, common: _Common) -> Marker:
    marker = Marker(ns=namespace, id=marker_id(skeletons.ids[index]), type=kind, action=Marker.ADD)
    marker.header, marker.lifetime = common.header, common.lifetime
    marker.pose.orientation.w = 1.0
    marker.color = _color((1.0, 1.0, 1.0), True)
    return marker


@lru_cache(maxsize=1024)
def _color(rgb: tuple[float, ...], seen: bool) -> ColorRGBA:
    """A joint that was not seen at its own pixel is paler and lets the background through.

    Messages of one color are one.
    """
    keep, alpha = (1.0, 1.0) if seen else (_PALE, _PALE_ALPHA)
    r, g, b = (keep * channel + (1 - keep) for channel in rgb)
    return ColorRGBA(r=r, g=g, b=b, a=alpha)


# Skeletons -> markers of bodies: capsules, ellipsoids of the covariances, and arrows of the velocities.

BODY, COVARIANCE, VELOCITY = "body", "covariance", "velocity"
#: Markers of one person in a namespace; joints and bones are numbered below it.
PARTS = 32
#: Meters; the trunk is thicker than limbs.
_LIMB_RADIUS, _TRUNK_RADIUS = 0.045, 0.08
_TRUNK = {"torso", "neck", "left_hip", "right_hip", "left_shoulder", "right_shoulder"}
#: Opacity of what is hardly believed, and of what is sure.
_FAINT, _SOLID = 0.12, 0.85
#: Half axes of the ellipsoid that holds 95 %, in standard deviations: the root of the chi-squared quantile for three.
_WITHIN_95 = 2.795
#: Longer half axes than this say nothing more, and hide the scene.
_LONGEST = 1.0
_ARROW = (0.03, 0.07, 0.1)


def new_capsule() -> Marker:
    """What all capsules have in common."""
    return Marker(ns=BODY, type=Marker.CYLINDER, action=Marker.ADD)


def capsules(skeletons: Skeletons, index: int, template: Marker, pool: MessagePool[Marker]) -> Iterator[Marker]:
    """A cylinder for each bone whose ends are known, as opaque as its less certain end is confident.

    Args:
        template: header, lifetime and id (times :data:`PARTS`) of the markers.
        pool: of :func:`new_capsule`.
    """
    positions, confidences = skeletons.positions[index].astype(np.float64), skeletons.confidences[index]
    red, green, blue = (channel / 255.0 for channel in person_color(skeletons.ids[index]))
    parents, children, diameters = _capsule_bones(skeletons.joint_set)
    along = positions[children] - positions[parents]
    lengths = np.sqrt((along * along).sum(axis=1))
    known = np.flatnonzero(lengths > 0)  # NaN compares false
    middles = ((positions[parents] + positions[children]) / 2)[known].tolist()
    turns = _turns(along[known] / lengths[known, None]).tolist()
    certain = np.minimum(confidences[parents], confidences[children])[known]
    alphas = (_FAINT + (_SOLID - _FAINT) * certain).tolist()
    for number, middle, turn, length, alpha in zip(
        known.tolist(), middles, turns, lengths[known].tolist(), alphas, strict=True
    ):
        marker = pool.take()
        marker.header, marker.lifetime, marker.id = template.header, template.lifetime, template.id * PARTS + number
        place, rotation, scale, color = marker.pose.position, marker.pose.orientation, marker.scale, marker.color
        place.x, place.y, place.z = middle
        rotation.x, rotation.y, rotation.z, rotation.w = turn
        scale.x = scale.y = diameters[number]
        scale.z = length
        color.r, color.g, color.b, color.a = red, green, blue, alpha
        yield marker


@cache
def _capsule_bones(joint_set: JointSet) -> tuple[NDArray[np.intp], NDArray[np.intp], list[float]]:
    """Parent and child of each bone, and the diameter of its capsule in meters."""
    bones, names = joint_set.bones, joint_set.joints
    trunk = [{names[bone.parent], names[bone.child]} <= _TRUNK for bone in bones]
    diameters = [2 * (_TRUNK_RADIUS if within else _LIMB_RADIUS) for within in trunk]
    return np.array([b.parent for b in bones], np.intp), np.array([b.child for b in bones], np.intp), diameters


def _turns(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, 4) quaternions x, y, z, w of the shortest rotations that turn the z axis along unit vectors (K, 3)."""
    x, y, z = directions.T
    turns = np.stack([-y, x, np.zeros_like(z), 1 + z], axis=1)
    turns[z < -1 + 1e-9] = (1.0, 0.0, 0.0, 0.0)  # half a turn, about any axis across
    return np.asarray(turns / np.sqrt((turns * turns).sum(axis=1, keepdims=True)))


def ellipsoids(skeletons: Skeletons, index: int, template: Marker) -> Iterator[Marker]:
    """What holds each joint with a probability of 95 %, by its covariance."""
    if skeletons.covariances is None:
        return
    matrices = expand(skeletons.covariances[index].astype(np.float64))
    for joint, matrix in enumerate(matrices):
        if not (np.isfinite(matrix).all() and np.isfinite(skeletons.positions[index, joint]).all()):
            continue
        values, axes = np.linalg.eigh(matrix)
        half = np.minimum(_WITHIN_95 * np.sqrt(np.maximum(values, 0.0)), _LONGEST)
        if np.linalg.det(axes) < 0:
            axes[:, 0] *= -1
        marker = _part(template, COVARIANCE, joint, Marker.SPHERE)
        marker.pose.position = point(skeletons.positions[index, joint])
        marker.pose.orientation = _turn(axes)
        marker.scale.x, marker.scale.y, marker.scale.z = (max(2 * float(axis), 0.002) for axis in half)
        marker.color = _body_color(np.array([1.0, 0.9, 0.3]), 0.25)
        yield marker


def arrow(skeletons: Skeletons, index: int, template: Marker) -> Iterator[Marker]:
    """Where the person will be in a second, from the middle of the joints that are known."""
    velocities = skeletons.velocities
    if velocities is None or not np.isfinite(velocities[index]).all():
        return
    start = np.nanmean(skeletons.positions[index].astype(np.float64), axis=0)
    marker = _part(template, VELOCITY, 0, Marker.ARROW)
    marker.points = [point(start), point(start + velocities[index])]
    marker.scale.x, marker.scale.y, marker.scale.z = _ARROW
    marker.color = _body_color(np.array([1.0, 1.0, 1.0]), 0.9)
    yield marker


def _part(template: Marker, namespace: str, number: int, kind: int) -> Marker:
    marker = Marker(header=template.header, ns=namespace, id=template.id * PARTS + number, type=kind, action=Marker.ADD)
    marker.lifetime = template.lifetime
    marker.pose.orientation.w = 1.0
    return marker


def _turn(rotation: NDArray[np.float64]) -> Quaternion:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    return quaternion(quaternion_from_matrix(matrix))


def _body_color(rgb: NDArray[np.floating], alpha: float) -> ColorRGBA:
    r, g, b = (float(value) for value in rgb)
    return ColorRGBA(r=r, g=g, b=b, a=alpha)
