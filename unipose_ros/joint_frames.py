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

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from unipose_ros.body_frame import BodyFrame, body_frame
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
    if body is not None:
        present = np.isfinite(positions).all(axis=1)
        axes = body.rotation @ _in_body(positions @ body.rotation, skeletons.joint_set)
        quaternions[present] = Rotation.from_matrix(axes[present]).as_quat()
    center, size = _box(positions, rotation)
    return PersonFrames(body, quaternions, center, Rotation.from_matrix(rotation).as_quat(), size)


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
