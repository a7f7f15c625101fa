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
    """(J, 3) joints along the body's axes -> (J, 3, 3) rotations against the body; columns are the joints' axes."""
    at = {landmark: positions[joint] for joint, landmark in enumerate(joint_set.landmarks)}
    turned: dict[str, FloatArray] = {}
    for side in ("left", "right"):
        for first, middle, last, bends in _LIMBS:
            names = [f"{side}_{part}" for part in (first, middle, last)]
            if all(name in at for name in names[:2]):
                far = at.get(names[2], np.full(3, np.nan))
                turned |= zip(names, _limb(at[names[0]], at[names[1]], far, bends), strict=True)
    if "head" in at and "neck" in at:
        turned["head"] = turned["neck"] = _frame(at["head"] - at["neck"], None, 0.0)
    return np.stack([turned.get(landmark, np.eye(3)) for landmark in joint_set.landmarks])


def _limb(first: FloatArray, middle: FloatArray, last: FloatArray, bends: float) -> tuple[FloatArray, ...]:
    """(3, 3) of a limb's three joints."""
    near, far = first - middle, middle - last
    hinge = bends * np.cross(near, -far)
    length = np.linalg.norm(near) * np.linalg.norm(far)
    bent = float(np.linalg.norm(hinge) / length) if length > 0 else 0.0
    share = 0.0 if np.isnan(bent) else float(np.clip((bent - _BENT[0]) / (_BENT[1] - _BENT[0]), 0, 1))
    upper = _frame(near, hinge, share)
    lower = _frame(far, hinge, share) if np.isfinite(far).all() else upper
    return upper, lower, lower


def _frame(up: FloatArray, left: FloatArray | None, share: float) -> FloatArray:
    """(3, 3) axes with z along ``up``; y is mixed of ``left`` and of that of the shortest turn from upright.

    Upright where ``up`` is not known.
    """
    length = np.linalg.norm(up)
    if not length > 0:
        return np.eye(3)
    x, y, z = up / length
    # The second column of the shortest rotation of (0, 0, 1) to (x, y, z).
    across = np.array([-x * y, (1 + z) - y * y, -y * (1 + z)]) if z > -1 + 1e-6 else np.array([0.0, 1.0, 0.0])
    side = across / np.linalg.norm(across)
    if left is not None and share > 0:
        mixed = share * left / np.linalg.norm(left) + (1 - share) * side
        # The bent limb says the opposite of the shortest turn: there is no way between, so the limb is believed.
        side = mixed if np.linalg.norm(mixed) > 1e-3 else left
    top = np.array([x, y, z])
    side = side - (side @ top) * top
    side /= np.linalg.norm(side)
    return np.column_stack([np.cross(side, top), side, top])
