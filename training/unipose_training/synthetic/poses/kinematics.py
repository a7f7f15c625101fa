"""Joint angles -> turns of the rig's bones; arms hang."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.poses.angles import column
from unipose_training.synthetic.poses.rotations import about
from unipose_training.synthetic.rig import BONES, other_side

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
