"""A frame for every joint, and a box around the body: what TF, messages and retargeting have in common.

A joint's frame has its origin in the joint and, at rest (standing, arms hanging), the axes of REP-155's body: x
forward, y to the person's left, z to the head. It turns with the bone that begins in the joint: z points from the
bone's far end to the joint (of the head and the neck: from the neck to the head). Hands and feet, where bones end, are
turned as forearm and shin are, and everything in the trunk as the body is.

How a bone is turned about itself only its joint with the next bone shows: elbow and knee bend about y, the forearm
forward and the shin backward. Of a stretched limb it is not to be seen; it is then taken as turned from the body by
the shortest way. In between the two are mixed by how far the limb is bent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import FrameError, Skeletons
from unipose_ros.joint_sets import JointSet, get_joint_set

FloatArray = NDArray[np.float64]

#: Joints of a limb from the trunk on, and whether its middle joint bends the far bone forward (1) or backward (-1).
_LIMBS = (("shoulder", "elbow", "wrist", 1.0), ("hip", "knee", "ankle", -1.0))
#: Sine of the angle by which a limb must be bent for its hinge to count at all, and to count alone.
_BENT = (0.17, 0.5)
#: Meters of body around the joints; the crown is farther from the head's joint.
_FLESH = 0.1
#: The axes that follow each axis.
_NEXT, _AFTER = [1, 2, 0], [2, 0, 1]


@dataclass(frozen=True, eq=False)
class PersonFrames:
    """How one person and the parts are turned; in the frame of the skeletons.

    Attributes:
        body: REP-155's; ``None`` where the joints do not tell.
        joints: (J, 4) quaternions x, y, z, w of the joints' frames; NaN for a MISSING joint and without a body frame.
        box_center: (3,) meters; NaN without any joint.
        box_rotation: (4,) quaternion x, y, z, w: the body's, or none without a body frame.
        box_size: (3,) meters along the box's axes.
    """

    body: BodyFrame | None
    joints: NDArray[np.float32]
    box_center: FloatArray
    box_rotation: FloatArray
    box_size: FloatArray


def person_frames(skeletons: Skeletons, person: int) -> PersonFrames:
    """Frames and box of one of the people."""
    positions = skeletons.positions[person].astype(np.float64)
    body = body_frame(positions, skeletons.joint_set)
    rotation = np.eye(3) if body is None else body.rotation
    quaternions = np.full((len(positions), 4), np.nan, np.float32)
    upright = quaternions_of(rotation[None])[0]
    if body is not None:
        present = np.isfinite(positions).all(axis=1)
        axes = body.rotation @ _in_body(positions @ body.rotation, skeletons.joint_set)
        quaternions[present] = quaternions_of(axes[present])
    center, size = _box(positions, rotation)
    return PersonFrames(body, quaternions, center, upright, size)


def quaternions_of(rotations: FloatArray) -> FloatArray:
    """(K, 3, 3) rotations -> (K, 4) quaternions x, y, z, w, with the signs that SciPy gives them.

    SciPy looks first whether they are rotations, which takes many times as long for the few of a person. By the largest
    of the four numbers (Markley, Journal of Guidance, Control, and Dynamics, 2008).
    """
    m = rotations
    trace = m[:, 0, 0] + m[:, 1, 1] + m[:, 2, 2]
    # Rows of 4 q q^T: each is a multiple of the quaternion, and that of its largest number is the exact one.
    rows = np.empty((len(m), 4, 4))
    for axis in range(3):
        after, last = _NEXT[axis], _AFTER[axis]
        rows[:, axis, axis] = 1 - trace + 2 * m[:, axis, axis]
        rows[:, axis, after] = rows[:, after, axis] = m[:, after, axis] + m[:, axis, after]
        rows[:, axis, 3] = rows[:, 3, axis] = m[:, last, after] - m[:, after, last]
    rows[:, 3, 3] = 1 + trace
    largest = np.concatenate([m[:, [0, 1, 2], [0, 1, 2]], trace[:, None]], axis=1).argmax(axis=1)
    chosen = rows[np.arange(len(m)), largest]
    return np.asarray(chosen / np.sqrt((chosen * chosen).sum(axis=1, keepdims=True)))


def turned_back(quaternion: FloatArray, others: NDArray[np.floating]) -> FloatArray:
    """(K, 4) rotations x, y, z, w as they are after the inverse of another one (4,): its conjugate times each.

    Args:
        others: of any length but 0.
    """
    exact = np.asarray(others, np.float64)
    x, y, z, w = (exact / np.sqrt((exact * exact).sum(axis=1, keepdims=True))).T
    a, b, c, d = (-quaternion[0], -quaternion[1], -quaternion[2], quaternion[3])
    return np.stack(
        [
            d * x + a * w + b * z - c * y,
            d * y - a * z + b * w + c * x,
            d * z + a * y - b * x + c * w,
            d * w - a * x - b * y - c * z,
        ],
        axis=1,
    )


def _box(positions: FloatArray, rotation: FloatArray) -> tuple[FloatArray, FloatArray]:
    inside = positions[np.isfinite(positions).all(axis=1)] @ rotation
    if not len(inside):
        return np.full(3, np.nan), np.full(3, np.nan)
    low, high = inside.min(axis=0) - _FLESH, inside.max(axis=0) + _FLESH
    return rotation @ ((low + high) / 2), high - low


def _in_body(positions: FloatArray, joint_set: JointSet) -> FloatArray:
    """(J, 3) joints along the body's axes -> (J, 3, 3) rotations against the body; columns are the joints' axes.

    All limbs at once: of three numbers each, calls of NumPy would take a hundred times as long as their arithmetic.
    """
    plan = _limbs(joint_set)
    turned = np.broadcast_to(np.eye(3), (len(positions), 3, 3)).copy()
    there = np.concatenate([positions, np.full((1, 3), np.nan)])  # the last row stands for a joint that is absent
    first, middle, last = there[plan.joints[:, 0]], there[plan.joints[:, 1]], there[plan.joints[:, 2]]
    near, far = first - middle, middle - last
    hinge = plan.bends[:, None] * _cross(near, -far)
    lengths = _norm(near) * _norm(far)
    with np.errstate(invalid="ignore", divide="ignore"):
        bent = np.where(lengths > 0, _norm(hinge) / lengths, 0.0)
    share = np.nan_to_num(np.clip((bent - _BENT[0]) / (_BENT[1] - _BENT[0]), 0, 1))
    known = np.isfinite(far).all(axis=1)
    none = np.zeros(len(plan.spine))
    up = np.concatenate([near, far, there[plan.spine[:, 0]] - there[plan.spine[:, 1]]])
    left = np.concatenate([hinge, hinge, np.zeros((len(plan.spine), 3))])
    axes = _frames(up, left, np.concatenate([share, share, none]))
    upper, lower, spine = np.split(axes, [len(near), 2 * len(near)])
    lower = np.where(known[:, None, None], lower, upper)
    turned[plan.joints[:, 0]] = upper
    turned[plan.joints[:, 1]] = lower
    ends = plan.joints[:, 2] < len(positions)
    turned[plan.joints[ends, 2]] = lower[ends]
    for joint in range(2):
        turned[plan.spine[:, joint]] = spine
    return turned


@dataclass(frozen=True, eq=False)
class _Limbs:
    """Which joints of a set are those of limbs and of the spine.

    Attributes:
        joints: (L, 3) first, middle and last; the number of all joints where there is no last one.
        bends: (L,) as in :data:`_LIMBS`.
        spine: (S, 2) head and neck; S is 0 or 1.
    """

    joints: NDArray[np.intp]
    bends: FloatArray
    spine: NDArray[np.intp]


@cache
def _limbs(joint_set: JointSet) -> _Limbs:
    at = {landmark: joint for joint, landmark in enumerate(joint_set.landmarks)}
    rows, bends = [], []
    for side in ("left", "right"):
        for first, middle, last, bend in _LIMBS:
            names = [f"{side}_{part}" for part in (first, middle, last)]
            if all(name in at for name in names[:2]):
                rows.append([at[names[0]], at[names[1]], at.get(names[2], len(joint_set))])
                bends.append(bend)
    spine = [[at["head"], at["neck"]]] if "head" in at and "neck" in at else []
    return _Limbs(np.array(rows, np.intp).reshape(-1, 3), np.array(bends), np.array(spine, np.intp).reshape(-1, 2))


def _frames(up: FloatArray, left: FloatArray, share: FloatArray) -> FloatArray:
    """(K, 3, 3) axes with z along ``up``; y is mixed of ``left``, by ``share``, and of that of the shortest turn from
    upright. Upright where ``up`` is not known.
    """
    length = _norm(up)
    known = length > 0  # False for NaN
    top = np.where(known[:, None], up, [0.0, 0.0, 1.0]) / np.where(known, length, 1.0)[:, None]
    x, y, z = top.T
    # The second column of the shortest rotation of (0, 0, 1) to (x, y, z).
    across = np.stack([-x * y, (1 + z) - y * y, -y * (1 + z)], axis=1)
    across[z <= -1 + 1e-6] = (0.0, 1.0, 0.0)
    side = across / _norm(across)[:, None]
    bent = share > 0
    hinge = np.where(bent[:, None], left, side)
    mixed = share[:, None] * hinge / _norm(hinge)[:, None] + (1 - share[:, None]) * side
    # The bent limb says the opposite of the shortest turn: there is no way between, so the limb is believed.
    mixed = np.where((_norm(mixed) > 1e-3)[:, None], mixed, hinge)
    side = np.where(bent[:, None], mixed, side)
    side = side - (side * top).sum(axis=1, keepdims=True) * top
    side /= _norm(side)[:, None]
    axes = np.stack([_cross(side, top), side, top], axis=-1)
    axes[~known] = np.eye(3)
    return axes


def _norm(vectors: FloatArray) -> FloatArray:
    """(K, 3) -> (K,) lengths."""
    return np.asarray(np.sqrt((vectors * vectors).sum(axis=-1)))


def _cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """(K, 3) cross products; for few vectors ten times as fast as ``np.cross``."""
    return np.asarray(a[:, _NEXT] * b[:, _AFTER] - a[:, _AFTER] * b[:, _NEXT])


# REP-155's body frame from the joints of one person.

#: Below these lengths in meters an axis is noise: the trunk's height, and its width across that.
MIN_HEIGHT = 0.10
MIN_WIDTH = 0.03


@dataclass(frozen=True, eq=False)
class BodyFrame:
    """Pose of a body in the camera's optical frame.

    Attributes:
        origin: (3,) middle of the hips, meters.
        rotation: (3, 3) turns body into camera coordinates; its columns are the body's axes in
            the camera frame: x forward out of the chest, y to the person's left, z to the head.
    """

    origin: NDArray[np.float64]
    rotation: NDArray[np.float64]


def body_frame(positions: NDArray[np.floating], joint_set: JointSet) -> BodyFrame | None:
    """The body frame of REP-155 (origin mid-hips, x forward, z to the head, right-handed).

    Each part is taken from the first of these that the joints allow:

    * origin: middle of the hips; the set's own pelvis; as far below the torso as the neck is above it.
    * up: origin to the middle of the shoulders; to the neck; to the torso.
    * left: right to left across hips and shoulders together; across either alone.

    Up is kept and left is made perpendicular to it.

    Args:
        positions: (J, 3) meters, NaN for a missing joint.
        joint_set: names of the J joints.

    Returns:
        ``None`` when a part cannot be had or the axes are too short or too parallel to tell.
    """
    points = _Points(positions, joint_set)
    origin = _first(points.middle("hip"), points["pelvis"], 2 * points["torso"] - points["neck"])
    up = _first(points.middle("shoulder") - origin, points["neck"] - origin, points["torso"] - origin)
    hips, shoulders = points.across("hip"), points.across("shoulder")
    left = _first(hips + shoulders, hips, shoulders)
    height = np.linalg.norm(up)
    if not height >= MIN_HEIGHT:
        return None
    z = up / height
    sideways = left - (left @ z) * z
    width = np.linalg.norm(sideways)
    if not width >= MIN_WIDTH:
        return None
    y = sideways / width
    return BodyFrame(origin, np.stack([_cross(y[None], z[None])[0], y, z], axis=1))


class _Points:
    """Joints by landmark; NaN for one that is missing, in this frame or in the whole set."""

    def __init__(self, positions: NDArray[np.floating], joint_set: JointSet) -> None:
        self._positions = np.asarray(positions, np.float64)
        self._landmarks = joint_set.landmarks

    def __getitem__(self, landmark: str) -> NDArray[np.float64]:
        if landmark not in self._landmarks:
            return np.full(3, np.nan)
        return np.asarray(self._positions[self._landmarks.index(landmark)])

    def middle(self, part: str) -> NDArray[np.float64]:
        """Between left and right."""
        return 0.5 * (self[f"left_{part}"] + self[f"right_{part}"])

    def across(self, part: str) -> NDArray[np.float64]:
        """From right to left."""
        return self[f"left_{part}"] - self[f"right_{part}"]


def _first(*candidates: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first vector without NaN; the last one if all have some."""
    return next((vector for vector in candidates if np.isfinite(vector).all()), candidates[-1])


# ``Skeletons`` <-> the fields of a ``SkeletonArray``, whatever makes the messages: rclpy on a robot, rosbags offline.
#
# Stamps and ages are split as ``builtin_interfaces`` has them; arrays are flat, as in ``msg/Skeleton.msg``.

SECOND = 1_000_000_000
_UNKNOWN = (float("nan"),) * 3
#: Meters.
_FARTHEST = 1e5


@dataclass(frozen=True, eq=False)
class PersonFields:
    """The fields of one ``Skeleton`` message, by their names there.

    Attributes:
        id, state, score: of the track.
        age: (seconds, nanoseconds) since the track was first seen.
        positions: (3J,) float32 meters; NaN missing.
        confidences: (J,) float32.
        status: (J,) uint8.
        covariances: (6J,) float32 square meters, or (0,).
        orientations: (4J,) float32 quaternions; NaN missing.
        velocity: (3,) meters a second; NaN where not known.
        box_pose: (3,) meters and (4,) quaternion.
        box_size: (3,) meters.
    """

    id: str
    state: int
    score: float
    age: tuple[int, int]
    positions: NDArray[np.float32]
    confidences: NDArray[np.float32]
    status: NDArray[np.uint8]
    covariances: NDArray[np.float32]
    orientations: NDArray[np.float32]
    velocity: Sequence[float]
    box_pose: tuple[Sequence[float], Sequence[float]]
    box_size: Sequence[float]


def people_fields(skeletons: Skeletons, frames: Sequence[PersonFrames] | None = None) -> list[PersonFields]:
    """What the message of each person holds.

    Args:
        frames: of all people, where they are known already.
    """
    covariances, velocities = skeletons.covariances, skeletons.velocities
    if frames is None:
        frames = [person_frames(skeletons, person) for person in skeletons]
    return [
        PersonFields(
            id=skeletons.ids[person],
            state=int(skeletons.states[person]),
            score=float(skeletons.scores[person]),
            age=divmod(int(skeletons.ages_ns[person]), SECOND),
            positions=np.ascontiguousarray(skeletons.positions[person], np.float32).ravel(),
            confidences=np.ascontiguousarray(skeletons.confidences[person], np.float32),
            status=np.ascontiguousarray(skeletons.status[person], np.uint8),
            covariances=np.zeros(0, np.float32)
            if covariances is None
            else np.ascontiguousarray(covariances[person], np.float32).ravel(),
            orientations=frames[person].joints.ravel(),
            velocity=_UNKNOWN if velocities is None else velocities[person].tolist(),
            box_pose=(frames[person].box_center.tolist(), frames[person].box_rotation.tolist()),
            box_size=frames[person].box_size.tolist(),
        )
        for person in skeletons
    ]


def skeletons_of(message: Any) -> Skeletons:
    """The people of a ``SkeletonArray`` of either kind; one that was recorded before there were velocities has none.

    Where only some people have covariances, those of the others are NaN.

    Raises:
        JointSetError: the message's joint set is unknown here.
        FrameError: an array has another length than the joint set asks for.
    """
    joint_set = get_joint_set(message.joint_set)
    people, joints, stamp = message.skeletons, len(joint_set), message.header.stamp
    with_covariances = any(len(person.covariances) for person in people)
    return Skeletons(
        stamp_ns=stamp.sec * SECOND + stamp.nanosec,
        frame_id=message.header.frame_id,
        modality=message.modality,
        positions=_near(_stacked(people, "positions", (joints, 3), np.float32)),
        confidences=_stacked(people, "confidences", (joints,), np.float32),
        status=_stacked(people, "status", (joints,), np.uint8),
        scores=np.array([person.score for person in people], np.float32),
        covariances=_stacked(people, "covariances", (joints, 6), np.float32, True) if with_covariances else None,
        ids=tuple(person.id for person in people),
        states=np.array([person.state for person in people], np.uint8),
        ages_ns=np.array([person.age.sec * SECOND + person.age.nanosec for person in people], np.int64),
        velocities=_velocities(people),
        joint_set=joint_set,
    )


def _near(positions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without what is infinite or farther than any robot sees: such a joint is missing."""
    return np.asarray(np.where(np.abs(positions) < _FARTHEST, positions, np.float32(np.nan)), np.float32)


def _velocities(people: Sequence[Any]) -> NDArray[np.float32] | None:
    given = [getattr(person, "velocity", None) for person in people]
    rows = [_UNKNOWN if v is None else (v.x, v.y, v.z) for v in given]
    with np.errstate(over="ignore"):  # no body is as fast as that: infinite then
        velocities = np.array(rows, np.float32).reshape(len(people), 3)
    return velocities if np.isfinite(velocities).any() else None


def _stacked(
    people: Sequence[Any], name: str, shape: tuple[int, ...], dtype: type, optional: bool = False
) -> NDArray[Any]:
    expected = int(np.prod(shape))
    rows: list[NDArray[Any]] = []
    for person in people:
        values: NDArray[Any] = np.asarray(getattr(person, name), dtype)
        if optional and not values.size:
            values = np.full(expected, np.nan, dtype)
        if values.size != expected:
            raise FrameError(
                f"skeleton '{person.id}': {name} has {values.size} values, {shape[0]} joints need {expected}"
            )
        rows.append(values.reshape(shape))
    return np.stack(rows) if rows else np.zeros((0, *shape), dtype)
