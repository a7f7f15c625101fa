"""Postures -> motions of the body's bones, and arms of one on the body of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from unipose_training.synthetic.motion import Motion
from unipose_training.synthetic.variety.postures import Posture, blend

Array = NDArray[np.float64]
_DOWN = np.array([0.0, 0.0, -1.0])
#: Which part each bone goes with. At rest arms and legs hang straight down.
_TRUNK = {
    "Hips": "pelvis", "LHipJoint": "pelvis", "RHipJoint": "pelvis", "LowerBack": "waist", "Spine": "chest",
    "Spine1": "chest", "LeftShoulder": "chest", "RightShoulder": "chest", "Neck": "neck", "Neck1": "head",
    "Head": "head",
}  # fmt: skip
_LEG_BONES = {"UpLeg": "thigh", "Leg": "shin", "Foot": "foot", "ToeBase": "foot"}
_ARM_BONES = {
    "Arm": "upper_arm", "ForeArm": "forearm", "Hand": "forearm", "FingerBase": "forearm", "HandFinger1": "forearm",
}  # fmt: skip
_ARMS: dict[str, str] = {
    f"{side}{bone}": f"{side.lower()}_{part}" for side in ("Left", "Right") for bone, part in _ARM_BONES.items()
} | {"LThumb": "left_forearm", "RThumb": "right_forearm"}
_BONES: dict[str, str] = (
    _TRUNK
    | {f"{side}{bone}": f"{side.lower()}_{part}" for side in ("Left", "Right") for bone, part in _LEG_BONES.items()}
    | _ARMS
)
_HANGING = ("Arm", "ForeArm", "UpLeg", "Leg")


def articulate(postures: Sequence[Posture], period_s: float, name: str = "postures") -> Motion:
    """One pose per posture, facing -y, hips above the origin.

    The height of the hips is not known from angles; put the body on the floor by its lowest point.
    """
    parts = _parts(np.stack([posture.angles() for posture in postures]))
    bones = tuple(_BONES)
    hanging = [any(bone in (f"Left{end}", f"Right{end}") for end in _HANGING) for bone in bones]
    return Motion(
        name=name,
        bones=bones,
        rotations=np.stack([parts[_BONES[bone]].as_matrix() for bone in bones], axis=1),
        rest_directions=np.stack([_DOWN if hangs else np.full(3, np.nan) for hangs in hanging]),
        root=np.tile([0.0, 0.0, 0.9], (len(postures), 1)),
        period_s=period_s,
    )


def between(keys: Sequence[Posture], frames: int, period_s: float, name: str = "postures") -> Motion:
    """From key to key, slowing down at each, over ``frames`` poses."""
    at = np.linspace(0, len(keys) - 1, frames)
    poses = []
    for place in at:
        first = min(int(place), len(keys) - 2) if len(keys) > 1 else 0
        share = place - first
        following = keys[min(first + 1, len(keys) - 1)]
        poses.append(blend(keys[first], following, float(share * share * (3 - 2 * share))))
    return articulate(poses, period_s, name)


def with_arms_of(motion: Motion, arms: Motion) -> Motion:
    """The motion with the arms of another one of equal length, held as that one holds them to its chest."""
    chest = motion.rotations[:, motion.bones.index("Spine1")]
    from_chest = arms.rotations[:, arms.bones.index("Spine1")].transpose(0, 2, 1)
    rotations, rests = motion.rotations.copy(), motion.rest_directions.copy()
    for bone in _ARMS:
        here, there = motion.bones.index(bone), arms.bones.index(bone)
        rotations[:, here] = chest @ from_chest @ arms.rotations[:, there]
        rests[here] = arms.rest_directions[there]
    return replace(motion, rotations=rotations, rest_directions=rests)


def _parts(degrees: Array) -> dict[str, Rotation]:
    """(F, 22) angles -> world turn of each part from hanging rest."""
    pitch, lean, bend, twist, nod, look = degrees[:, :6].T
    pelvis = _turn("x", pitch)
    # Half of the trunk's motion happens in the waist, the rest above it.
    half = _turn("z", twist / 2) * _turn("y", bend / 2) * _turn("x", lean / 2)
    parts = {"pelvis": pelvis, "waist": pelvis * half, "chest": pelvis * half * half}
    half = _turn("z", look / 2) * _turn("x", nod / 2)
    parts |= {"neck": parts["chest"] * half, "head": parts["chest"] * half * half}
    for number, (side, sign) in enumerate((("left", 1.0), ("right", -1.0))):
        parts |= _arm(side, sign, parts["chest"], degrees[:, 6 + 4 * number :][:, :4])
        parts |= _leg(side, sign, degrees[:, 14 + 4 * number :][:, :4])
    return parts


def _arm(side: str, sign: float, chest: Rotation, degrees: Array) -> dict[str, Rotation]:
    elevation, plane, rotation, elbow = degrees.T
    raised = _turn("z", sign * plane) * _turn("x", -elevation) * _turn("z", -sign * (plane + rotation))
    upper = chest * raised
    return {f"{side}_upper_arm": upper, f"{side}_forearm": upper * _turn("x", -elbow)}


def _leg(side: str, sign: float, degrees: Array) -> dict[str, Rotation]:
    flexion, abduction, spread, knee = degrees.T
    outward = _turn("z", sign * spread)
    # The hip bends from the vertical, not from the pelvis: who tilts the pelvis keeps the feet below.
    thigh = outward * _turn("y", -sign * abduction) * _turn("x", -flexion)
    shin = thigh * _turn("x", knee)
    return {f"{side}_thigh": thigh, f"{side}_shin": shin, f"{side}_foot": outward}


def _turn(axis: str, degrees: Array) -> Rotation:
    return Rotation.from_euler(axis, degrees[:, None], degrees=True)
