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

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unipose_ros import joint_frame_loops as loops
from unipose_ros.compiled import compiled
from unipose_ros.frame import Skeletons
from unipose_ros.joint_sets import JointSet

FloatArray = NDArray[np.float64]

#: Joints of a limb from the trunk on, and whether its middle joint bends the far bone forward (1) or backward (-1).
_LIMBS = (("shoulder", "elbow", "wrist", 1.0), ("hip", "knee", "ankle", -1.0))
#: Sine of the angle by which a limb must be bent for its hinge to count at all, and to count alone.
_BENT = (0.17, 0.5)
#: Meters of body around the joints; the crown is farther from the head's joint.
_FLESH = 0.1
#: The axes that follow each axis.
_NEXT, _AFTER = np.array([1, 2, 0]), np.array([2, 0, 1])
_EYE = np.eye(3)


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


@dataclass(frozen=True, eq=False)
class PeopleFrames:
    """:class:`PersonFrames` of N people.

    Attributes:
        known: (N,) bool, who has a body frame.
        origins, rotations: (N, 3) and (N, 3, 3) of the body frames; NaN and the identity for who has none.
        joints, box_centers, box_rotations, box_sizes: (N, ...) of what one person has.
    """

    known: NDArray[np.bool_]
    origins: FloatArray
    rotations: FloatArray
    joints: NDArray[np.float32]
    box_centers: FloatArray
    box_rotations: FloatArray
    box_sizes: FloatArray

    def person(self, index: int) -> PersonFrames:
        """One of the people."""
        return PersonFrames(
            BodyFrame(self.origins[index], self.rotations[index]) if self.known[index] else None,
            self.joints[index],
            self.box_centers[index],
            self.box_rotations[index],
            self.box_sizes[index],
        )


def people_frames(skeletons: Skeletons) -> PeopleFrames:
    """Frames and boxes of all people."""
    positions, plan = np.ascontiguousarray(skeletons.positions), _plan(skeletons.joint_set)
    return PeopleFrames(*_all_frames(positions, plan.body, plan.limbs, (MIN_HEIGHT, MIN_WIDTH, _FLESH), _BENT))


def frames_by_numpy(
    positions: NDArray[np.float32],
    body: _Body,
    limbs: _Limbs,
    lengths: tuple[float, float, float],
    bent: tuple[float, float],
) -> loops.Frames:
    """All people and all their limbs at once: of three numbers each, calls of NumPy take a hundred times as long as
    their arithmetic.

    Args:
        positions: (N, J, 3).
        body, limbs: of the :class:`_Plan`.
        lengths: :data:`MIN_HEIGHT`, :data:`MIN_WIDTH` and :data:`_FLESH`.
        bent: :data:`_BENT`.

    Returns:
        What :class:`PeopleFrames` is made of.
    """
    there = _there(positions)
    known, origins, rotations = _body_frames(there, body, lengths[:2])
    inside = there @ rotations
    bones = rotations[:, None] @ _in_body(inside, limbs, bent)
    axes = np.concatenate([bones, rotations[:, None]], axis=1)
    turns = quaternions_of(axes.reshape(-1, 3, 3)).reshape(*axes.shape[:2], 4)
    joints = turns[:, limbs[2]].astype(np.float32)
    joints[~known[:, None] | np.isnan(there[:, :-1, 0])] = np.nan
    low, high = np.fmin.reduce(inside, axis=1) - lengths[2], np.fmax.reduce(inside, axis=1) + lengths[2]
    centers = (rotations @ ((low + high) / 2)[..., None])[..., 0]
    return known, origins, rotations, joints, centers, turns[:, -1], high - low


_SMALL, _PLACES, _NUMBERS = "f8[:,::1]", "i8[:,::1]", "f8[:,::1]"
_all_frames = compiled(
    frames_by_numpy,
    f"Tuple((b1[::1],{_SMALL},f8[:,:,::1],f4[:,:,::1],{_SMALL},{_SMALL},{_SMALL}))"
    f"(f4[:,:,::1],Tuple(({_PLACES},{_NUMBERS})),Tuple(({_PLACES},{_NUMBERS},i8[::1])),"
    "UniTuple(f8,3),UniTuple(f8,2))",
)(loops.frames)


def _there(positions: NDArray[np.floating]) -> FloatArray:
    """(N, J, 3) joints -> (N, J + 1, 3): NaN where one is missing; the last row is for what a set does not have."""
    there = np.empty((len(positions), positions.shape[1] + 1, 3))
    there[:, :-1], there[:, -1] = positions, np.nan
    there[~np.isfinite(there.sum(axis=2))] = np.nan
    return there


def quaternions_of(rotations: FloatArray) -> FloatArray:
    """(K, 3, 3) rotations -> (K, 4) quaternions x, y, z, w, with the signs that SciPy gives them.

    SciPy looks first whether they are rotations, which takes many times as long for the few of a person. By the largest
    of the four numbers (Markley, Journal of Guidance, Control, and Dynamics, 2008).
    """
    entries = rotations.reshape(-1, 9)
    # Each row of 4 q q^T is a multiple of the quaternion, and that of its largest number is the exact one.
    rows = (entries @ _outer_product() + np.eye(4).ravel()).reshape(-1, 4, 4)
    diagonal = entries[:, ::4]
    largest = np.concatenate([diagonal, diagonal.sum(axis=1, keepdims=True)], axis=1).argmax(axis=1)
    chosen = rows[np.arange(len(rows)), largest]
    return np.asarray(chosen / _norm(chosen)[:, None])


@cache
def _outer_product() -> FloatArray:
    """(9, 16) from the entries of a rotation to those of 4 q q^T - I, which are linear in them."""
    m = np.eye(9).reshape(9, 3, 3)
    trace = np.trace(m, axis1=1, axis2=2)
    rows = np.empty((9, 4, 4))
    for axis in range(3):
        after, last = _NEXT[axis], _AFTER[axis]
        rows[:, axis, axis] = 2 * m[:, axis, axis] - trace
        rows[:, axis, after] = rows[:, after, axis] = m[:, after, axis] + m[:, axis, after]
        rows[:, axis, 3] = rows[:, 3, axis] = m[:, last, after] - m[:, after, last]
    rows[:, 3, 3] = trace
    return rows.reshape(9, 16)


#: Which number of a quaternion, and with which sign, its conjugate adds to a product; see :func:`turned_back`.
_PARTS = np.array([[3, 2, 1, 0], [2, 3, 0, 1], [1, 0, 3, 2], [0, 1, 2, 3]])
_SIGNS = np.array([[1, -1, 1, 1], [1, 1, -1, 1], [-1, 1, 1, 1], [-1, -1, -1, 1]])


def turned_back(quaternions: FloatArray, others: NDArray[np.floating]) -> FloatArray:
    """(N, K, 4) rotations x, y, z, w as they are after the inverses of (N, 4): the conjugate of each times its others.

    Args:
        others: of any length but 0.
    """
    exact = np.asarray(others, np.float64)
    return np.asarray((exact / _norm(exact)[..., None]) @ (_SIGNS * quaternions[:, _PARTS]))


def _in_body(positions: FloatArray, limbs: _Limbs, bent: tuple[float, float]) -> FloatArray:
    """(N, J + 1, 3) joints along the bodies' axes -> (N, 2L, 3, 3) how their bones are turned; columns are axes."""
    joints = positions[:, limbs[0]]
    bones = joints[:, :, :2] - joints[:, :, 1:]
    near, far = bones[:, :, 0], bones[:, :, 1]
    np.copyto(far, near, where=np.isnan(far))  # without a far bone its joints are turned as the near one
    hinges, lengths = limbs[1] * _cross(far, near), _norm(bones)
    with np.errstate(invalid="ignore", divide="ignore"):
        sines = _norm(hinges) / lengths.prod(axis=2)
        # Of a length of 0 the sine is NaN, which fmax leaves out.
        shares = np.fmin(np.fmax((sines - bent[0]) / (bent[1] - bent[0]), 0), 1)
        axes = _frames(bones, lengths, hinges[:, :, None], shares[:, :, None, None])
    return axes.reshape(len(axes), 2 * len(limbs[0]), 3, 3)


#: Where the joints of a set are; what it does not have is at the number of all joints.
#: Of the body (8, 2) landmarks as in :data:`_BODY`, and their (8, 2) weights.
_Body = tuple[NDArray[np.intp], FloatArray]
#: Of the limbs (L, 3) first, middle and last joint, (L, 1) bends as in :data:`_LIMBS`, and (J,) which of the bones, two
#: for each limb, a joint is turned as; the one after them is the body. The spine is a limb, of head and neck.
_Limbs = tuple[NDArray[np.intp], FloatArray, NDArray[np.intp]]


class _Plan(NamedTuple):
    """What of a joint set the frames are made of."""

    body: _Body
    limbs: _Limbs


@cache
def _plan(joint_set: JointSet) -> _Plan:
    at = {landmark: joint for joint, landmark in enumerate(joint_set.landmarks)}
    absent = len(joint_set)
    wanted = [
        (f"{side}_{first}", f"{side}_{middle}", f"{side}_{last}", bend)
        for side in ("left", "right")
        for first, middle, last, bend in _LIMBS
    ]
    limbs, bends = [], []
    for first, middle, last, bend in [*wanted, ("head", "neck", "", 1.0)]:
        if first in at and middle in at:
            limbs.append((at[first], at[middle], at.get(last, absent)))
            bends.append((bend,))
    turned_as = np.full(absent + 1, 2 * len(limbs))
    for limb, joints in enumerate(limbs):
        turned_as[list(joints)] = 2 * limb, 2 * limb + 1, 2 * limb + 1
    body = np.array([[at.get(landmark, absent) for landmark in source[:2]] for source in _BODY])
    parts, factors = np.array(limbs, np.intp).reshape(-1, 3), np.array(bends).reshape(-1, 1)
    return _Plan((body, np.array([source[2:] for source in _BODY])), (parts, factors, turned_as[:-1]))


def _frames(up: FloatArray, length: FloatArray, left: FloatArray, share: FloatArray) -> FloatArray:
    """(..., 3, 3) axes with z along ``up``; y is mixed of ``left``, by ``share``, and of that of the shortest turn from
    upright. Upright where ``up`` is not known.

    Args:
        up, left: (..., 3).
        length: (...) of ``up``.
        share: (..., 1) in [0, 1].
    """
    axes = np.empty((*up.shape, 3))
    top, side = axes[..., 2], axes[..., 1]
    np.divide(up, length[..., None], out=top)
    y, z = top[..., 1:2], top[..., 2]
    # The second column of the shortest rotation of (0, 0, 1) to (x, y, z): x, y and 1 + z times -y, and 1 + z.
    across = top * -y
    across[..., 2:] -= y
    across[..., 1] += 1 + z
    across[z <= -1 + 1e-6] = (0.0, 1.0, 0.0)
    across /= _norm(across)[..., None]
    mixed = share * left / _norm(left)[..., None] + (1 - share) * across
    # The bent limb says the opposite of the shortest turn: there is no way between, so the limb is believed.
    mixed = np.where(_norm(mixed)[..., None] > 1e-3, mixed, left)
    mixed = np.where(share > 0, mixed, across)
    mixed -= (mixed * top).sum(axis=-1, keepdims=True) * top
    np.divide(mixed, _norm(mixed)[..., None], out=side)
    axes[..., 0] = _cross(side, top)
    axes[~(length > 0)] = _EYE  # NaN is not
    return axes


def _norm(vectors: FloatArray) -> FloatArray:
    """(..., D) -> (...) lengths."""
    return np.asarray(np.sqrt((vectors * vectors).sum(axis=-1)))


def _cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """(..., 3) cross products; for few vectors ten times as fast as ``np.cross``."""
    return np.asarray(a.take(_NEXT, -1) * b.take(_AFTER, -1) - a.take(_AFTER, -1) * b.take(_NEXT, -1))


# REP-155's body frame from the joints of one person.

#: Below these lengths in meters an axis is noise: the trunk's height, and its width across that.
MIN_HEIGHT = 0.10
MIN_WIDTH = 0.03
#: Two landmarks and their weights: three ways to the origin, three to what is above it, and two from right to left.
_BODY = (
    ("left_hip", "right_hip", 0.5, 0.5), ("pelvis", "pelvis", 1.0, 0.0), ("torso", "neck", 2.0, -1.0),
    ("left_shoulder", "right_shoulder", 0.5, 0.5), ("neck", "neck", 1.0, 0.0), ("torso", "torso", 1.0, 0.0),
    ("left_hip", "right_hip", 1.0, -1.0), ("left_shoulder", "right_shoulder", 1.0, -1.0),
)  # fmt: skip
#: Of origin, what is above it, and left, what to try one after the other; 8 is across hips and shoulders together.
_WAYS, _PARTS_OF_BODY = np.array([[0, 1, 2], [3, 4, 5], [8, 6, 7]]), np.arange(3)


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
    there = _there(positions[None])
    known, origins, rotations = _body_frames(there, _plan(joint_set).body, (MIN_HEIGHT, MIN_WIDTH))
    return BodyFrame(origins[0], rotations[0]) if known[0] else None


def _body_frames(
    there: FloatArray, body: _Body, least: tuple[float, float]
) -> tuple[NDArray[np.bool_], FloatArray, FloatArray]:
    """(N, J + 1, 3) joints -> those of :class:`PeopleFrames`; see :func:`body_frame`."""
    ways = np.empty((len(there), 9, 3))
    ways[:, :8] = (body[1][:, :, None] * there[:, body[0]]).sum(axis=2)
    ways[:, 8] = ways[:, 6] + ways[:, 7]
    # Where no way is known, any is as good.
    first = np.isfinite(ways.sum(axis=2)).take(_WAYS, 1).argmax(axis=2)
    chosen = ways[np.arange(len(ways))[:, None], _WAYS[_PARTS_OF_BODY, first]]
    origins, left = chosen[:, 0], chosen[:, 2]
    up = chosen[:, 1] - origins
    heights = _norm(up)
    rotations = np.empty((len(there), 3, 3))
    y, z = rotations[:, :, 1], rotations[:, :, 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        np.divide(up, heights[:, None], out=z)
        sideways = left - (left * z).sum(axis=1, keepdims=True) * z
        widths = _norm(sideways)
        np.divide(sideways, widths[:, None], out=y)
    rotations[:, :, 0] = _cross(y, z)
    known = (heights >= least[0]) & (widths >= least[1])
    rotations[~known], origins[~known] = _EYE, np.nan
    return known, origins, rotations
