"""Joint sets that only data sets have, beside those of :mod:`unipose_ros.joint_sets`.

Sources: MPI-INF-3DHP's test set order and its place in the 28 training joints: the publishers'
joint set 'relevant'; SMPL: the body model's kinematic tree; 18 OpenPose keypoints: the COCO model
of OpenPose.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.joint_sets import JointSet, convert_joints

# Skeletons in the joint set in which they are evaluated.


def in_joint_set(skeletons: Skeletons, joint_set: JointSet) -> Skeletons:
    """The same people in another joint set.

    A joint mixed from others is MEASURED only if all of them are. Covariances are left out: how
    the errors of two joints go together is not known. In its own joint set nothing changes.
    """
    if skeletons.joint_set == joint_set:
        return skeletons
    positions, _ = convert_joints(skeletons.positions, skeletons.joint_set, joint_set)
    missing = np.asarray(np.isnan(skeletons.positions)).any(axis=-1, keepdims=True)
    # What is mixed of wholly measured joints has share 1, whatever the recipe. A missing joint is
    # NaN here too, so that the same recipe is chosen as for the positions.
    marks = np.stack([skeletons.confidences, skeletons.status == JointStatus.MEASURED], axis=-1).astype(np.float32)
    mixed, _ = convert_joints(np.where(missing, np.nan, marks), skeletons.joint_set, joint_set)
    there = np.isfinite(positions).all(axis=-1)
    status = np.where(mixed[..., 1] > 0.99, JointStatus.MEASURED, JointStatus.INFERRED)
    return replace(
        skeletons,
        positions=positions.astype(np.float32),
        confidences=np.where(there, np.clip(mixed[..., 0], 0, 1), 0).astype(np.float32),
        status=np.where(there, status, JointStatus.MISSING).astype(np.uint8),
        covariances=None,
        joint_set=joint_set,
    )


def _tree(name: str, landmarks: dict[str, str], parents: dict[str, str]) -> JointSet:
    joints = tuple(landmarks)
    return JointSet(
        name=name,
        joints=joints,
        landmarks=tuple(landmarks.values()),
        parents=tuple(joints.index(parents[joint]) if joint in parents else -1 for joint in joints),
    )


def _same(text: str, **differ: str) -> dict[str, str]:
    """Joint names to landmarks of the same name, but for some."""
    return {joint: differ.get(joint, joint) for joint in text.split()}


_MPI_PARENTS = {"head_top": "neck", "head": "neck", "neck": "spine", "pelvis": "spine"} | {
    f"{side}_{child}": parent if parent in ("neck", "pelvis") else f"{side}_{parent}"
    for side in ("left", "right")
    for child, parent in (
        ("shoulder", "neck"), ("elbow", "shoulder"), ("wrist", "elbow"),
        ("hip", "pelvis"), ("knee", "hip"), ("ankle", "knee"),
    )
}  # fmt: skip

#: MPI-INF-3DHP as its test set has it. Its ``head`` is the skull's base, lower than that of the others.
MPI17 = _tree(
    "mpi17",
    _same(
        "head_top neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
        "right_hip right_knee right_ankle left_hip left_knee left_ankle pelvis spine head",
        spine="torso",
        head="skull_base",
    ),
    _MPI_PARENTS,
)

_SMPL_PARENTS = {
    "spine1": "pelvis", "spine2": "spine1", "spine3": "spine2", "neck": "spine3", "head": "neck",
} | {
    f"{side}_{child}": parent if parent in ("pelvis", "spine3") else f"{side}_{parent}"
    for side in ("left", "right")
    for child, parent in (
        ("hip", "pelvis"), ("knee", "hip"), ("ankle", "knee"), ("foot", "ankle"), ("collar", "spine3"),
        ("shoulder", "collar"), ("elbow", "shoulder"), ("wrist", "elbow"), ("hand", "wrist"),
    )
}  # fmt: skip

#: SMPL's joints. Neck and head are higher and lower than the others' of these names.
SMPL24 = _tree(
    "smpl24",
    _same(
        "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 left_foot "
        "right_foot neck left_collar right_collar head left_shoulder right_shoulder left_elbow right_elbow "
        "left_wrist right_wrist left_hand right_hand",
        neck="upper_neck",
        head="skull_base",
        left_foot="left_big_toe",
        right_foot="right_big_toe",
    ),
    _SMPL_PARENTS,
)

_OPENPOSE_PARENTS = {
    "nose": "neck", "right_eye": "nose", "left_eye": "nose", "right_ear": "right_eye", "left_ear": "left_eye",
} | {
    f"{side}_{child}": parent if parent == "neck" else f"{side}_{parent}"
    for side in ("left", "right")
    for child, parent in (
        ("shoulder", "neck"), ("elbow", "shoulder"), ("wrist", "elbow"), ("hip", "neck"), ("knee", "hip"),
        ("ankle", "knee"),
    )
}  # fmt: skip

#: OpenPose's COCO model: COCO with a neck between the shoulders, in another order.
OPENPOSE18 = _tree(
    "openpose18",
    _same(
        "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist right_hip right_knee "
        "right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear"
    ),
    _OPENPOSE_PARENTS,
)
