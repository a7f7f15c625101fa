"""Skeletons -> RViz markers: spheres, lines, a body and a label for every person.

Every element keeps its (namespace, id) as long as the person is there, and is deleted by name
when it is not: RViz then neither flickers nor shows ghosts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import compress
from typing import NamedTuple, cast

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from numpy.typing import NDArray
from rclpy.duration import Duration
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from unipose_ros.frame import JointStatus, Skeletons, color_index
from unipose_ros.geometry.covariance import expand
from unipose_ros.joint_frames import quaternions_of
from unipose_ros.joint_sets import JointSet
from unipose_ros.ros.parameters import MarkersConfig
from unipose_ros.ros.prepared import BLANK, BLANK_FLOAT32, Element, ListOf, blank_header
from unipose_ros.visualization.labels import raise_labels
from unipose_ros.visualization.overlay import PEOPLE_COLORS, by_id

FloatArray = NDArray[np.float64]

JOINTS, BONES, LABELS = "joints", "bones", "labels"
BODY, COVARIANCE, VELOCITY = "body", "covariance", "velocity"
#: Namespaces in which a person has more than one marker, up to so many.
_NUMBERED, PARTS = (BODY, COVARIANCE, VELOCITY), 32
_LISTS = (Marker.SPHERE_LIST, Marker.LINE_LIST)

#: How much of its color a joint keeps that was inferred rather than seen, and its opacity.
_PALE, _PALE_ALPHA = 0.45, 0.6
#: m above the highest joint, height of the letters, and width of five of them.
_LABEL_GAP, _LABEL_HEIGHT, _LABEL_WIDTH = 0.25, 0.14, 0.45
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
#: Position and quaternion of a marker whose points are in the frame of the header.
_NO_POSE = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)

_PEOPLE_COLORS = np.array(PEOPLE_COLORS) / 255.0

_MARKERS = ListOf(lambda markers: MarkerArray(markers=markers))


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

    def build(
        self, skeletons: Skeletons, config: MarkersConfig, up: tuple[float, float, float] = (0.0, -1.0, 0.0)
    ) -> bytes | MarkerArray | None:
        """All people of the frame, as :meth:`ListOf.serialize` makes them; ``None`` without any marker.

        Args:
            up: direction in the skeletons' frame, against y in an optical one.
        """
        people = _People.of(skeletons)
        drawn = []
        if config.enabled and people.present.any():
            look = _Look(skeletons.frame_id, config.lifetime)
            drawn.append(_drawn(people, config, look))
            if config.labels:
                drawn.append(_labels(people, look, np.array(up)))
        return self._with_deletions(skeletons, drawn)

    def clear(self, empty: Skeletons) -> bytes | MarkerArray | None:
        """Delete all that is shown.

        Args:
            empty: stamp and frame of the message.
        """
        return self._with_deletions(empty, [])

    def _with_deletions(self, skeletons: Skeletons, drawn: Sequence[_Drawn]) -> bytes | MarkerArray | None:
        elements = [element for part in drawn for element in part.elements]
        now = {(element.message.ns, element.message.id) for element in elements}
        gone = sorted(self._shown - now)
        self._shown = now
        elements += [_deletion(skeletons.frame_id, *name) for name in gone]
        if not elements:
            return None
        none = np.zeros(0)
        doubles = np.concatenate([none, *(part.doubles for part in drawn)])
        colors = np.concatenate([none, *(part.colors for part in drawn)])
        return cast("bytes | MarkerArray", _MARKERS.serialize(elements, skeletons.stamp_ns, doubles, colors))


class _Look(NamedTuple):
    """Frame of all markers, and seconds until RViz forgets them."""

    frame_id: str
    lifetime: float


class _Drawn(NamedTuple):
    """Markers, and the numbers of their blanks."""

    elements: list[Element]
    doubles: FloatArray
    colors: FloatArray


# What RViz shows, as arrays over all people: which markers there are, and their numbers.


class _People(NamedTuple):
    """N people and what several of their markers need.

    Attributes:
        positions: (N, J, 3) meters.
        present, seen: (N, J) bool, which joints have a position, and which were seen at their own pixels.
        colors: (N,) rows of :data:`PEOPLE_COLORS`.
        ends: (N, B, 2, 3) positions of the bones' parents and children.
        plan: what the joint set says.
    """

    skeletons: Skeletons
    positions: FloatArray
    present: NDArray[np.bool_]
    seen: NDArray[np.bool_]
    colors: NDArray[np.intp]
    ends: FloatArray
    plan: _Plan

    @classmethod
    def of(cls, skeletons: Skeletons) -> _People:
        positions, plan = skeletons.positions.astype(np.float64), _plan(skeletons.joint_set)
        present = _finite(positions)
        # An enumeration's member would take NumPy ten times as long as its number.
        seen = skeletons.status == int(JointStatus.MEASURED)
        colors = np.array([color_index(name) for name in skeletons.ids], np.intp)
        return cls(skeletons, positions, present, seen, colors, positions.take(plan.ends, axis=1), plan)


def _finite(vectors: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(..., D) -> (...)."""
    return np.asarray(np.isfinite(vectors).all(axis=-1))


class _Plan(NamedTuple):
    """Of J joints and B bones.

    Attributes:
        joint_colors: (2, J, 4) in those of left, right and middle, where not seen at their own pixels and where seen.
        bone_colors: (C, 2, B, 4) of people, darker on the right side of the body, so that left and right can be told.
        ends: (B, 2) parent and child.
        diameters: (B,) of capsules, meters.
    """

    joint_colors: FloatArray
    bone_colors: FloatArray
    ends: NDArray[np.intp]
    diameters: FloatArray


@cache
def _plan(joint_set: JointSet) -> _Plan:
    ends = [(bone.parent, bone.child) for bone in joint_set.bones]
    trunk = [{joint_set.joints[end] for end in both} <= _TRUNK for both in ends]
    diameters = [2 * (_TRUNK_RADIUS if within else _LIMB_RADIUS) for within in trunk]
    shades = [[0.7] if joint_set.sides[child] == "right" else [1.0] for _, child in ends]
    return _Plan(
        _by_status(joint_set.colors / 255.0),
        _by_status(_PEOPLE_COLORS[:, None] * np.reshape(shades, (-1, 1))),
        np.array(ends, np.intp).reshape(-1, 2),
        np.array(diameters),
    )


def _by_status(rgb: FloatArray) -> FloatArray:
    """(..., K, 3) -> (..., 2, K, 4): what was not seen at its own pixel is paler and lets the background through."""
    colors = np.ones((*rgb.shape[:-2], 2, rgb.shape[-2], 4))
    colors[..., 0, :, :3], colors[..., 0, :, 3] = _PALE * rgb + (1 - _PALE), _PALE_ALPHA
    colors[..., 1, :, :3] = rgb
    return colors


class _Layer(NamedTuple):
    """What a namespace shows of N people: M markers of each, or one marker of each that is a list of M - 1 points.

    Attributes:
        namespace, kind: of the markers.
        shown: (N, M) bool; of a list the marker, and its points.
        doubles: (N, D) of each marker pose, scale and points that it always has; behind those of a list, its points.
        colors: (N, M, 4) red, green, blue and alpha.
        widths: how many of the D each of the M has.
    """

    namespace: str
    kind: int
    shown: NDArray[np.bool_]
    doubles: FloatArray
    colors: FloatArray
    widths: list[int]


def _drawn(people: _People, config: MarkersConfig, look: _Look) -> _Drawn:
    """One person after the other, layer by layer."""
    layers = [_joints(people, config), _bones(people, config)]
    if config.bodies:
        layers.append(_capsules(people))
    if config.covariances and people.skeletons.covariances is not None:
        layers.append(_ellipsoids(people, people.skeletons.covariances))
    if config.velocities and people.skeletons.velocities is not None:
        layers.append(_arrows(people, people.skeletons.velocities))
    shown = np.concatenate([layer.shown for layer in layers], axis=1)
    doubles = np.concatenate([layer.doubles for layer in layers], axis=1)
    colors = np.concatenate([layer.colors for layer in layers], axis=1)
    widths = [width for layer in layers for width in layer.widths]
    elements = list(_shown(people.skeletons.ids, layers, look))
    return _Drawn(elements, doubles[np.repeat(shown, widths, axis=1)], colors[shown].ravel())


def _shown(ids: Sequence[str], layers: Sequence[_Layer], look: _Look) -> Iterator[Element]:
    rows = [layer.shown.tolist() for layer in layers]
    for index, person in enumerate(ids):
        for layer, of_all in zip(layers, rows, strict=True):
            row = of_all[index]
            if layer.kind not in _LISTS:
                yield from compress(_elements(look, layer.namespace, layer.kind, person, len(row)), row)
            elif row[0]:
                yield from _elements(look, layer.namespace, layer.kind, person, 1, sum(row) - 1)


def _joints(people: _People, config: MarkersConfig) -> _Layer:
    """Spheres in the colors of left, right and middle."""
    colors = people.plan.joint_colors[people.seen.view(np.uint8), np.arange(people.seen.shape[1])]
    scale = (config.joint_diameter,) * 3
    return _list(JOINTS, Marker.SPHERE_LIST, scale, people.positions, colors, people.present)


def _bones(people: _People, config: MarkersConfig) -> _Layer:
    """Lines in the person's color."""
    ends = people.plan.ends
    seen = np.asarray(people.seen.take(ends, axis=1).all(axis=2))
    colors = people.plan.bone_colors[people.colors[:, None], seen.view(np.uint8), np.arange(len(ends))]
    shown = np.asarray(people.present.take(ends, axis=1).all(axis=2))
    # Each end of a line is a point.
    points, colors, shown = people.ends.reshape(len(shown), -1, 3), colors.repeat(2, axis=1), shown.repeat(2, axis=1)
    return _list(BONES, Marker.LINE_LIST, (config.bone_width, 0.0, 0.0), points, colors, shown)


def _list(
    namespace: str,
    kind: int,
    scale: tuple[float, float, float],
    points: FloatArray,
    colors: FloatArray,
    shown: NDArray[np.bool_],
) -> _Layer:
    """One marker for each of N people.

    Args:
        points, colors, shown: (N, P, 3), (N, P, 4) and (N, P).
    """
    people, count = shown.shape
    doubles = np.empty((people, 10 + 3 * count))
    doubles[:, :10], doubles[:, 10:] = (*_NO_POSE, *scale), points.reshape(people, -1)
    slots = np.empty((people, 1 + count), np.bool_)
    slots[:, 0], slots[:, 1:] = shown.any(axis=1), shown
    own_and_points = np.empty((people, 1 + count, 4))
    own_and_points[:, 0], own_and_points[:, 1:] = 1.0, colors
    return _Layer(namespace, kind, slots, doubles, own_and_points, [10, *[3] * count])


def _capsules(people: _People) -> _Layer:
    """A cylinder for each bone whose ends are known, as opaque as its less certain end is confident."""
    parents, children = people.ends[:, :, 0], people.ends[:, :, 1]
    along = children - parents
    lengths = np.sqrt((along * along).sum(axis=2))
    shown = lengths > 0  # NaN compares false
    doubles, colors = np.empty((*shown.shape, 10)), np.empty((*shown.shape, 4))
    doubles[..., :3] = (parents + children) / 2
    with np.errstate(invalid="ignore"):
        along /= lengths[..., None]
    doubles[..., 3:7] = _turns(along)
    doubles[..., 7:9], doubles[..., 9] = people.plan.diameters[:, None], lengths
    certain = people.skeletons.confidences.take(people.plan.ends, axis=1).min(axis=2)
    colors[..., :3] = _PEOPLE_COLORS[people.colors][:, None]
    colors[..., 3] = _FAINT + (_SOLID - _FAINT) * certain
    return _Layer(BODY, Marker.CYLINDER, shown, doubles.reshape(len(shown), -1), colors, [10] * shown.shape[1])


def _turns(directions: FloatArray) -> FloatArray:
    """(..., 4) quaternions x, y, z, w of the shortest rotations that turn the z axis along unit vectors (..., 3)."""
    x, y, z = directions[..., 0], directions[..., 1], directions[..., 2]
    turns = np.zeros((*z.shape, 4))
    turns[..., 0], turns[..., 1], turns[..., 3] = -y, x, 1 + z
    turns[z < -1 + 1e-9] = (1.0, 0.0, 0.0, 0.0)  # half a turn, about any axis across
    turns /= np.sqrt((turns * turns).sum(axis=-1, keepdims=True))
    return turns


def _ellipsoids(people: _People, covariances: NDArray[np.float32]) -> _Layer:
    """What holds each joint with a probability of 95 %, by its covariance."""
    shown = people.present & _finite(covariances)
    doubles, colors = np.empty((*shown.shape, 10)), np.empty((*shown.shape, 4))
    values, axes = np.linalg.eigh(expand(covariances[shown].astype(np.float64)))
    axes[:, :, 0] *= np.sign(np.linalg.det(axes))[:, None]
    half = np.minimum(_WITHIN_95 * np.sqrt(np.maximum(values, 0.0)), _LONGEST)
    doubles[..., :3] = people.positions
    doubles[shown, 3:7], doubles[shown, 7:] = quaternions_of(axes), np.maximum(2 * half, 0.002)
    colors[:] = (1.0, 0.9, 0.3, 0.25)
    return _Layer(COVARIANCE, Marker.SPHERE, shown, doubles.reshape(len(shown), -1), colors, [10] * shown.shape[1])


def _arrows(people: _People, velocities: NDArray[np.float32]) -> _Layer:
    """Where a person will be in a second, from the middle of the joints that are known."""
    shown = _finite(velocities) & people.present.any(axis=1)
    doubles, colors = np.empty((len(shown), 16)), np.empty((len(shown), 1, 4))
    count = np.maximum(people.present.sum(axis=1), 1)
    start = np.where(people.present[..., None], people.positions, 0.0).sum(axis=1) / count[:, None]
    doubles[:, :10] = *_NO_POSE, *_ARROW
    doubles[:, 10:13], doubles[:, 13:] = start, start + velocities
    colors[:] = (1.0, 1.0, 1.0, 0.9)
    return _Layer(VELOCITY, Marker.ARROW, shown[:, None], doubles, colors, [16])


def _labels(people: _People, look: _Look, up: FloatArray) -> _Drawn:
    """The id of each person above the highest joint, higher where another label is."""
    known = np.array([index for index in by_id(people.skeletons) if people.present[index].any()], np.intp)
    joints = people.positions[known]
    highest = np.where(people.present[known], joints @ up, -np.inf).argmax(axis=1)
    anchors = joints[np.arange(len(known)), highest] + _LABEL_GAP * up
    doubles = np.empty((len(known), 10))
    doubles[:] = *_NO_POSE, 0.0, 0.0, _LABEL_HEIGHT
    doubles[:, :3] = raise_labels(anchors, up, _LABEL_WIDTH, _LABEL_HEIGHT)
    ids = [people.skeletons.ids[index] for index in known.tolist()]
    elements = [element for name in ids for element in _elements(look, LABELS, Marker.TEXT_VIEW_FACING, name, 1)]
    return _Drawn(elements, doubles.ravel(), np.ones(4 * len(known)))


# The markers themselves, whose numbers are blanks.


@lru_cache(maxsize=2048)
def _elements(
    look: _Look, namespace: str, kind: int, person_id: str, count: int, points: int = 0
) -> tuple[Element, ...]:
    """The markers of a person in a namespace.

    Args:
        points: of each, if it is a list.
    """
    number = marker_id(person_id)
    numbers = range(number * PARTS, number * PARTS + count) if namespace in _NUMBERED else [number]
    return tuple(_element(look, namespace, kind, each, points, person_id) for each in numbers)


def _element(look: _Look, namespace: str, kind: int, number: int, points: int, person_id: str) -> Element:
    marker = Marker(header=blank_header(look.frame_id), ns=namespace, id=number, type=kind, action=Marker.ADD)
    marker.pose = Pose(position=_blank_point(), orientation=Quaternion(x=BLANK, y=BLANK, z=BLANK, w=BLANK))
    marker.scale = Vector3(x=BLANK, y=BLANK, z=BLANK)
    marker.color = _blank_color()
    marker.lifetime = Duration(seconds=look.lifetime).to_msg()
    marker.points = [_blank_point() for _ in range(2 if kind == Marker.ARROW else points)]
    marker.colors = [_blank_color() for _ in range(points)]
    marker.text = person_id if kind == Marker.TEXT_VIEW_FACING else ""
    return _MARKERS.prepare(marker)


def _deletion(frame_id: str, namespace: str, number: int) -> Element:
    return _MARKERS.prepare(Marker(header=blank_header(frame_id), ns=namespace, id=number, action=Marker.DELETE))


def _blank_point() -> Point:
    return Point(x=BLANK, y=BLANK, z=BLANK)


def _blank_color() -> ColorRGBA:
    return ColorRGBA(r=BLANK_FLOAT32, g=BLANK_FLOAT32, b=BLANK_FLOAT32, a=BLANK_FLOAT32)
