"""What REP-155 (ROS4HRI) says of people: kinematic model with the person's own lengths, and place in the image.

Names and tree are the REP's; at rest (standing, arms hanging) all links have the body's axes and all angles are 0.
Signs are those of human_description: an elbow bends to positive angles, a knee to negative ones. Angles come from
:mod:`unipose_ros.joint_frames`. The body frame lies along the trunk, so ``waist`` is 0, and where a head looks is not
known, so ``y_head`` is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from unipose_ros.camera import Camera, project
from unipose_ros.frame import JointStatus, Skeletons, TrackState
from unipose_ros.joint_frames import PersonFrames, people_frames
from unipose_ros.joint_sets import ITOP15, REP155, JointSet, convert_joints

FloatArray = NDArray[np.float64]
_SIDES = (("l", "left", 1.0), ("r", "right", -1.0))
#: Meters, of an adult (as :data:`unipose_ros.joint_sets.ITOP15`), and the landmarks in between.
_LENGTHS: Mapping[str, tuple[float, tuple[tuple[str, str], ...]]] = {
    "trunk": (0.50, ()),
    "shoulder": (0.18, ()),
    "hip": (0.115, ()),
    "head": (0.25, (("neck", "head"),)),
    "upper_arm": (0.32, (("left_shoulder", "left_elbow"), ("right_shoulder", "right_elbow"))),
    "forearm": (0.33, (("left_elbow", "left_wrist"), ("right_elbow", "right_wrist"))),
    "thigh": (0.50, (("left_hip", "left_knee"), ("right_hip", "right_knee"))),
    "shin": (0.49, (("left_knee", "left_ankle"), ("right_knee", "right_ankle"))),
}
LENGTHS = tuple(_LENGTHS)
#: Meters; the cylinders of the URDF, and its head.
_LIMB_RADIUS, _HEAD_RADIUS = 0.03, 0.11
#: Below this sine of the angle between an upper arm and the trunk, turning it forward and about itself are the same.
_ALONG = 1e-3
_DOWN, _UP, _PI = (0.0, 0.0, -1.0), (0.0, 0.0, 1.0), 3.1416


@dataclass(frozen=True)
class ModelJoint:
    """One joint of the model.

    Attributes:
        name, parent, child: of joint and links, without the id.
        axis: it turns about, in the axes of the parent; ``None`` for a fixed one.
        limits: of the angle, radians; wider than human_description's, where people are.
        length, direction: the child's origin in the parent's axes: one of :data:`LENGTHS` along a direction.
        landmark: at the child's origin; empty where it is the parent's.
    """

    name: str
    parent: str
    child: str
    axis: tuple[float, float, float] | None
    limits: tuple[float, float] = (-_PI, _PI)
    length: str = ""
    direction: tuple[float, float, float] = _UP
    landmark: str = ""


def _limbs(short: str, side: str, left: float) -> tuple[ModelJoint, ...]:
    def arm(part: str) -> str:
        return f"{short}_{part}"

    aside, elbow, knee = (0.0, left, 0.0), (-0.1, _PI), (-_PI, 0.1)
    bend, out = (0.0, -1.0, 0.0), (left, 0.0, 0.0)
    return (
        ModelJoint(arm("y_shoulder"), "torso", arm("y_shoulder"), (0, 0, -left), (-_PI, _PI), "shoulder", aside,
                   f"{side}_shoulder"),
        ModelJoint(arm("p_shoulder"), arm("y_shoulder"), arm("p_shoulder"), out),
        ModelJoint(arm("r_shoulder"), arm("p_shoulder"), arm("shoulder"), (0, 0, left)),
        ModelJoint(arm("elbow"), arm("shoulder"), arm("elbow"), bend, elbow, "upper_arm", _DOWN, f"{side}_elbow"),
        ModelJoint(arm("wrist"), arm("elbow"), arm("wrist"), None, (0, 0), "forearm", _DOWN, f"{side}_wrist"),
        ModelJoint(arm("y_hip"), "body", arm("y_hip"), (0, 0, -1.0), (-_PI, _PI), "hip", aside, f"{side}_hip"),
        ModelJoint(arm("p_hip"), arm("y_hip"), arm("p_hip"), out),
        ModelJoint(arm("r_hip"), arm("p_hip"), arm("hip"), bend),
        ModelJoint(arm("knee"), arm("hip"), arm("knee"), bend, knee, "thigh", _DOWN, f"{side}_knee"),
        ModelJoint(arm("ankle"), arm("knee"), arm("ankle"), None, (0, 0), "shin", _DOWN, f"{side}_ankle"),
    )  # fmt: skip


#: Parents before children.
MODEL: tuple[ModelJoint, ...] = (
    ModelJoint("waist", "body", "waist", (0, 1.0, 0)),
    ModelJoint("torso", "waist", "torso", None, (0, 0), "trunk", _UP, "neck"),
    ModelJoint("r_head", "torso", "r_head", (1.0, 0, 0)),
    ModelJoint("y_head", "r_head", "y_head", (0, 0, 1.0)),
    ModelJoint("p_head", "y_head", "p_head", (0, -1.0, 0)),
    ModelJoint("head", "p_head", "head", None, (0, 0), "head", _UP, "head"),
    *(joint for side in _SIDES for joint in _limbs(*side)),
)


@dataclass(frozen=True, eq=False)
class Link:
    """Pose of a link in ``body_<id>``: (3,) meters, and a quaternion x, y, z, w."""

    place: FloatArray
    turn: FloatArray


def joint_angles(frames: PersonFrames, joint_set: JointSet) -> dict[str, float]:
    """The angle of every movable joint that the person's joints tell, in radians."""
    if frames.body is None:
        return {}
    turned = _in_body(frames, joint_set)
    angles = {"waist": 0.0}
    if (head := turned.get("head")) is not None:
        x, y, z = head[:, 2]
        angles |= {"r_head": _atan2(-y, z), "y_head": 0.0, "p_head": float(-np.arcsin(np.clip(x, -1, 1)))}
    for short, side, left in _SIDES:
        upper, lower = turned.get(f"{side}_shoulder"), turned.get(f"{side}_elbow")
        if upper is not None:
            yaw, pitch, roll = _shoulder(upper, left)
            angles |= {f"{short}_y_shoulder": yaw, f"{short}_p_shoulder": pitch, f"{short}_r_shoulder": roll}
            if lower is not None:
                angles[f"{short}_elbow"] = _bend(upper, lower)
        thigh, shin = turned.get(f"{side}_hip"), turned.get(f"{side}_knee")
        if thigh is not None:
            # About z, x and y, in this order.
            angles[f"{short}_y_hip"] = _atan2(thigh[0, 1], thigh[1, 1])
            angles[f"{short}_p_hip"] = left * float(np.arcsin(np.clip(thigh[2, 1], -1, 1)))
            angles[f"{short}_r_hip"] = _atan2(thigh[2, 0], thigh[2, 2])
            if shin is not None:
                angles[f"{short}_knee"] = -_bend(thigh, shin)
    return angles


def _in_body(frames: PersonFrames, joint_set: JointSet) -> dict[str, FloatArray]:
    """Landmark -> (3, 3) how its joint's frame is turned against the body."""
    assert frames.body is not None
    known = np.flatnonzero(np.isfinite(frames.joints).all(axis=1))
    if not len(known):
        return {}
    axes = frames.body.rotation.T @ Rotation.from_quat(frames.joints[known]).as_matrix()
    return {joint_set.landmarks[joint]: axes[row] for row, joint in enumerate(known.tolist())}


def _shoulder(upper: FloatArray, left: float) -> tuple[float, float, float]:
    """About z, x and z, in this order; of the two solutions the one that lifts the arm away from the trunk."""
    pitch = float(np.arccos(np.clip(upper[2, 2], -1, 1)))
    if np.hypot(upper[0, 2], upper[1, 2]) < _ALONG:
        return 0.0, pitch, left * _atan2(np.copysign(upper[1, 0], upper[1, 0] * upper[2, 2]), upper[0, 0])
    yaw = _atan2(left * upper[0, 2], -left * upper[1, 2])
    return -left * yaw, pitch, left * _atan2(left * upper[2, 0], left * upper[2, 1])


def _bend(near: FloatArray, far: FloatArray) -> float:
    return float(np.arccos(np.clip(near[:, 2] @ far[:, 2], -1, 1)))


def _atan2(y: float, x: float) -> float:
    return float(np.arctan2(y, x))


def link_frames(angles: Mapping[str, float], places: Mapping[str, FloatArray]) -> dict[str, Link]:
    """Where the links are: turned by the angles, and with their origins where the joints were found.

    Args:
        angles: as from :func:`joint_angles`.
        places: landmark -> (3,) meters in the body's axes; what is not known is left out.
    """
    links = {"body": Link(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]))}
    for joint in MODEL:
        parent, place = links.get(joint.parent), places.get(joint.landmark)
        if parent is None or (joint.landmark and place is None):
            continue
        turn = parent.turn
        if joint.axis is not None and joint.name in angles:
            turn = _turned(turn, joint.axis, angles[joint.name])
        links[joint.child] = Link(parent.place if place is None else place, turn)
    del links["body"]
    return links


def _turned(turn: FloatArray, axis: tuple[float, float, float], angle: float) -> FloatArray:
    """A quaternion times that of an angle about an axis; by hand, for SciPy takes twenty times as long for one."""
    x, y, z, w = turn.tolist()
    sine, d = np.sin(angle / 2), np.cos(angle / 2)
    a, b, c = (sine * part for part in axis)
    product = (w * a + x * d + y * c - z * b, w * b - x * c + y * d + z * a, w * c + x * b - y * a + z * d)
    return np.array([*product, w * d - x * a - y * b - z * c])


def body_lengths(places: Mapping[str, FloatArray]) -> dict[str, float]:
    """:data:`LENGTHS` of a person in meters; what the joints do not tell is an adult's in the person's size.

    Args:
        places: as of :func:`link_frames`.
    """
    found = {name: _mean([_apart(places, *ends) for ends in pairs]) for name, (_, pairs) in _LENGTHS.items()}
    found["trunk"] = float(np.linalg.norm(places["neck"])) if "neck" in places else np.nan
    found["shoulder"] = _apart(places, "left_shoulder", "right_shoulder") / 2
    found["hip"] = _apart(places, "left_hip", "right_hip") / 2
    size = _mean([found[name] / usual for name, (usual, _) in _LENGTHS.items()])
    usual_size = 1.0 if np.isnan(size) else size
    return {name: usual_size * usual if np.isnan(found[name]) else found[name] for name, (usual, _) in _LENGTHS.items()}


def _apart(places: Mapping[str, FloatArray], first: str, second: str) -> float:
    return float(np.linalg.norm(places[first] - places[second])) if {first, second} <= places.keys() else np.nan


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan


def urdf(person_id: str, lengths: Mapping[str, float]) -> str:
    """The model as URDF, all names with ``_<id>``.

    Args:
        lengths: all of :data:`LENGTHS`, meters.
    """
    robot = ElementTree.Element("robot", name=f"human_{person_id}")
    for link in ("body", *(joint.child for joint in MODEL)):
        element = ElementTree.SubElement(robot, "link", name=f"{link}_{person_id}")
        for shape, size, origin in _visuals(link, lengths):
            visual = ElementTree.SubElement(element, "visual")
            ElementTree.SubElement(visual, "origin", origin)
            ElementTree.SubElement(ElementTree.SubElement(visual, "geometry"), shape, size)
    for joint in MODEL:
        kind = "fixed" if joint.axis is None else "revolute"
        element = ElementTree.SubElement(robot, "joint", name=f"{joint.name}_{person_id}", type=kind)
        ElementTree.SubElement(element, "parent", link=f"{joint.parent}_{person_id}")
        ElementTree.SubElement(element, "child", link=f"{joint.child}_{person_id}")
        length = lengths[joint.length] if joint.length else 0.0
        ElementTree.SubElement(element, "origin", xyz=_words(length * part for part in joint.direction), rpy="0 0 0")
        if joint.axis is not None:
            low, high = joint.limits
            ElementTree.SubElement(element, "axis", xyz=_words(joint.axis))
            ElementTree.SubElement(
                element, "limit", lower=f"{low:g}", upper=f"{high:g}", effort="1000", velocity="20"
            )  # fmt: skip
    return ElementTree.tostring(robot, encoding="unicode")


@cache
def _limb_of(link: str) -> str:
    """The length of the bone that begins in a link; empty where none does."""
    return next((joint.length for joint in MODEL if joint.parent == link and joint.direction == _DOWN), "")


def _visuals(link: str, lengths: Mapping[str, float]) -> list[tuple[str, dict[str, str], dict[str, str]]]:
    """Shape, its size, and its origin in the link."""

    def cylinder(length: float, xyz: str, rpy: str = "0 0 0") -> tuple[str, dict[str, str], dict[str, str]]:
        return "cylinder", {"length": f"{length:.4f}", "radius": f"{_LIMB_RADIUS:g}"}, {"xyz": xyz, "rpy": rpy}

    if link == "head":
        return [("sphere", {"radius": f"{_HEAD_RADIUS:g}"}, {"xyz": "0 0 0", "rpy": "0 0 0"})]
    if link == "torso":
        trunk = lengths["trunk"]
        return [
            cylinder(trunk, _words((0, 0, -trunk / 2))),
            cylinder(2 * lengths["shoulder"], "0 0 0", _words((_PI / 2, 0, 0))),
        ]
    if link == "body":
        return [cylinder(2 * lengths["hip"], "0 0 0", _words((_PI / 2, 0, 0)))]
    limb = _limb_of(link)
    return [cylinder(lengths[limb], _words((0, 0, -lengths[limb] / 2)))] if limb else []


def _words(numbers: Iterable[float]) -> str:
    return " ".join(f"{number:.5g}" for number in numbers)


# Skeletons -> bodies: regions and keypoints in the image, places, links and angles.

#: A body reaches beyond its joints by this part of their extent.
_MARGIN = 0.12


@dataclass(frozen=True, eq=False)
class Body:
    """One body.

    Attributes:
        id: as in the skeletons.
        position: (3,) meters, the middle of the hips or, where they are not known, of all joints.
        velocity: (3,) meters a second; NaN where not known.
        links: REP-155's link names without the id, and their poses in ``body_<id>``; none without a body frame.
        angles: of the movable joints that are known, radians, by name without the id.
        lengths: of the model's links in meters; empty without a body frame.
        region: xmin, ymin, xmax, ymax as parts of the image's size; ``None`` for who is not seen in the image now.
        keypoints: (18, 3) x and y as parts of the image's size and confidence, in the order of ``hri_msgs/Skeleton2D``;
            confidence 0 and NaN where there is none. ``None`` with the region.
        score: that this is a person.
    """

    id: str
    position: NDArray[np.float64]
    velocity: NDArray[np.float64]
    links: dict[str, Link]
    angles: dict[str, float]
    lengths: dict[str, float]
    region: tuple[float, float, float, float] | None
    keypoints: NDArray[np.float64] | None
    score: float


def bodies(skeletons: Skeletons, camera: Camera | None) -> list[Body]:
    """All people whose track is confirmed.

    Args:
        camera: of the image that the skeletons' frame is the optical frame of; ``None`` where it is not known.
    """
    frames = people_frames(skeletons)
    confirmed = [k for k in skeletons if skeletons.states[k] != TrackState.NEW]
    return [_body(skeletons, k, frames.person(k), camera) for k in confirmed]


def _body(skeletons: Skeletons, index: int, frames: PersonFrames, camera: Camera | None) -> Body:
    positions = skeletons.positions[index].astype(np.float64)
    places: dict[str, NDArray[np.float64]] = {}
    if frames.body is not None:
        joints, _ = convert_joints(positions, skeletons.joint_set, ITOP15)
        inside = (joints - frames.body.origin) @ frames.body.rotation
        places = {mark: at for mark, at in zip(ITOP15.landmarks, inside, strict=True) if np.isfinite(at).all()}
    angles = joint_angles(frames, skeletons.joint_set)
    velocities = skeletons.velocities
    seen = camera is not None and skeletons.states[index] == TrackState.TRACKED
    region = _region(camera, positions) if seen and camera is not None else None
    return Body(
        id=skeletons.ids[index],
        position=_middle(positions) if frames.body is None else frames.body.origin,
        velocity=np.full(3, np.nan) if velocities is None else velocities[index].astype(np.float64),
        links=link_frames(angles, places) if places else {},
        angles=angles,
        lengths=body_lengths(places) if places else {},
        region=region,
        keypoints=None if region is None or camera is None else _keypoints(skeletons, index, camera),
        score=float(skeletons.scores[index]),
    )


def _middle(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    known = positions[np.isfinite(positions).all(axis=1)]
    return known.mean(axis=0) if len(known) else np.full(3, np.nan)


def _region(camera: Camera, positions: NDArray[np.float64]) -> tuple[float, float, float, float] | None:
    pixels = project(camera, positions)
    pixels = pixels[np.isfinite(pixels).all(axis=1)]
    if not len(pixels):
        return None
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    margin = _MARGIN * float((high - low).max())
    size = np.array([camera.width, camera.height])
    corners = np.clip(np.concatenate([(low - margin) / size, (high + margin) / size]), 0, 1)
    xmin, ymin, xmax, ymax = (float(value) for value in corners)
    return (xmin, ymin, xmax, ymax) if xmin < xmax and ymin < ymax else None


def _keypoints(skeletons: Skeletons, index: int, camera: Camera) -> NDArray[np.float64]:
    """Joints outside of the image have no keypoint: REP-155's coordinates are within [0, 1]."""
    positions = skeletons.positions[index].astype(np.float64)
    confidences = np.where(skeletons.status[index] == JointStatus.MISSING, np.nan, skeletons.confidences[index])
    points, _ = convert_joints(positions, skeletons.joint_set, REP155)
    values, _ = convert_joints(confidences[:, None].astype(np.float64), skeletons.joint_set, REP155)
    pixels = project(camera, points) / [camera.width, camera.height]
    shown = ((pixels >= 0) & (pixels <= 1)).all(axis=1) & np.isfinite(values[:, 0])
    return np.column_stack(
        [np.where(shown[:, None], pixels, np.nan), np.where(shown, np.clip(values[:, 0], 0, 1), 0.0)]
    )


def cropped(image: NDArray[np.uint8], region: tuple[float, float, float, float]) -> NDArray[np.uint8]:
    """The part of an (H, W, 3) image in a region; at least one pixel."""
    height, width = image.shape[:2]
    left, top = min(int(region[0] * width), width - 1), min(int(region[1] * height), height - 1)
    right, bottom = max(int(np.ceil(region[2] * width)), left + 1), max(int(np.ceil(region[3] * height)), top + 1)
    return image[top:bottom, left:right]
