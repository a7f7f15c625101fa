"""Motions of the DeepMimic humanoid, as the ``pybullet`` wheel carries them (zlib license).

A clip is a JSON text with rows ``[duration, root x y z, root quaternion wxyz, joints...]`` in the
order chest, neck, right hip, right knee, right ankle, right shoulder, right elbow, left hip, ...;
knees and elbows are one angle about the body's z axis. Source frame: x forward, y up, z to the
right. Format: xbpeng/DeepMimic, ``data/characters/humanoid3d.txt``.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from unipose_training.datasets.errors import DAMAGED, reading
from unipose_training.synthetic.errors import SyntheticError
from unipose_training.synthetic.motion import Motion

CLIP_FOLDER = "pybullet_data/data/motions"
#: Source axes -> world: forward is -y, up is z, right is -x.
_AXES = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
_ROW_LENGTH = 44
#: Joint -> parent and columns in a row; one column is a hinge about z.
_JOINTS: dict[str, tuple[str, slice]] = {
    "chest": ("root", slice(8, 12)),
    "neck": ("chest", slice(12, 16)),
    "right_hip": ("root", slice(16, 20)),
    "right_knee": ("right_hip", slice(20, 21)),
    "right_ankle": ("right_knee", slice(21, 25)),
    "right_shoulder": ("chest", slice(25, 29)),
    "right_elbow": ("right_shoulder", slice(29, 30)),
    "left_hip": ("root", slice(30, 34)),
    "left_knee": ("left_hip", slice(34, 35)),
    "left_ankle": ("left_knee", slice(35, 39)),
    "left_shoulder": ("chest", slice(39, 43)),
    "left_elbow": ("left_shoulder", slice(43, 44)),
}
_TRUNK = {
    "Hips": "root", "LHipJoint": "root", "RHipJoint": "root", "LowerBack": "root", "Spine": "chest",
    "Spine1": "chest", "LeftShoulder": "chest", "RightShoulder": "chest", "Neck": "neck", "Neck1": "neck",
    "Head": "neck",
}  # fmt: skip
_LIMBS = {
    "UpLeg": "hip", "Leg": "knee", "Foot": "ankle", "ToeBase": "ankle", "Arm": "shoulder", "ForeArm": "elbow",
    "Hand": "elbow", "FingerBase": "elbow", "HandFinger1": "elbow",
}  # fmt: skip
_BONES: dict[str, str] = (
    _TRUNK
    | {f"{side}{bone}": f"{side.lower()}_{joint}" for side in ("Left", "Right") for bone, joint in _LIMBS.items()}
    | {"LThumb": "left_elbow", "RThumb": "right_elbow"}
)
#: The humanoid rests with arms and legs hanging straight down.
_HANGING = ("Arm", "ForeArm", "UpLeg", "Leg")


def read_deepmimic(source: Path, clip: str) -> Motion:
    """Read a clip, e.g. ``walk``.

    Args:
        source: the ``pybullet`` wheel, or a folder with ``humanoid3d_<clip>.txt``.

    Raises:
        SyntheticError: the clip is not there or its rows are not DeepMimic's.
    """
    with reading(source, "download it again", f"clip '{clip}' {DAMAGED}", refusal=SyntheticError):
        return _motion(source, clip, json.loads(_text(source, f"humanoid3d_{clip}.txt")))


def _motion(source: Path, clip: str, document: dict[str, Any]) -> Motion:
    rows = np.asarray(document["Frames"], np.float64)
    if rows.ndim != 2 or rows.shape[1] != _ROW_LENGTH:
        raise SyntheticError(
            f"{source}: '{clip}' has rows of shape {rows.shape[1:]}, the humanoid's have {_ROW_LENGTH}"
        )
    turns = _forward_kinematics(rows)
    bones = tuple(_BONES)
    down = np.array([0.0, 0.0, -1.0])
    return Motion(
        name=clip,
        bones=bones,
        rotations=np.stack([_AXES @ turns[_BONES[bone]].as_matrix() @ _AXES.T for bone in bones], axis=1),
        rest_directions=np.stack([down if _hangs(bone) else np.full(3, np.nan) for bone in bones]),
        root=rows[:, 1:4] @ _AXES.T,
        period_s=float(rows[0, 0]),
        cyclic=document.get("Loop") == "wrap",
    )


def _hangs(bone: str) -> bool:
    return any(bone in (f"Left{part}", f"Right{part}") for part in _HANGING)


def _forward_kinematics(rows: NDArray[np.float64]) -> dict[str, Rotation]:
    turns = {"root": _from_wxyz(rows[:, 4:8])}
    for joint, (parent, columns) in _JOINTS.items():
        values = rows[:, columns]
        local = Rotation.from_rotvec(values * [0, 0, 1]) if values.shape[1] == 1 else _from_wxyz(values)
        turns[joint] = turns[parent] * local
    return turns


def _from_wxyz(quaternions: NDArray[np.float64]) -> Rotation:
    return Rotation.from_quat(np.roll(quaternions, -1, axis=1))


def _text(source: Path, name: str) -> bytes:
    try:
        if source.is_dir():
            return (source / name).read_bytes()
        with zipfile.ZipFile(source) as archive:
            return archive.read(f"{CLIP_FOLDER}/{name}")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise SyntheticError(
            f"{source}: no DeepMimic clip '{name}' in it ({error}); give the file that "
            "'pip download pybullet==3.2.7 --no-deps' leaves, or a folder with its clips"
        ) from error
