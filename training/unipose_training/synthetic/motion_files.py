"""Motion captured by others: CMU's ASF/AMC and DeepMimic's files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from unipose_training.errors import DAMAGED, SyntheticError, reading
from unipose_training.synthetic.motion import Motion

# Motion capture of the CMU Graphics Lab (mocap.cs.cmu.edu) in Acclaim's ASF and AMC formats.
#
# The skeleton (ASF) gives each bone a direction, a length and the axes of its joint; the motion
# (AMC) gives degrees per joint for each frame. World turn of a bone: that of its parent, times
# ``axis * euler * axis^-1``. Lengths are in units of 1/0.45 inch. Source frame: y up, z forward.

#: Source axes -> world: forward is -y, up is z.
_AXES = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
_METERS = 0.0254 / 0.45
_CHANNELS = ("rx", "ry", "rz")
_SPINE = {
    "Hips": "root", "LowerBack": "lowerback", "Spine": "upperback", "Spine1": "thorax", "Neck": "lowerneck",
    "Neck1": "upperneck", "Head": "head",
}  # fmt: skip
_LIMBS = {
    "UpLeg": "femur", "Leg": "tibia", "Foot": "foot", "ToeBase": "toes", "Shoulder": "clavicle", "Arm": "humerus",
    "ForeArm": "radius", "Hand": "wrist", "FingerBase": "hand", "HandFinger1": "fingers",
}  # fmt: skip
_BONES: dict[str, str] = (
    _SPINE
    | {f"{side}{bone}": f"{side[0].lower()}{part}" for side in ("Left", "Right") for bone, part in _LIMBS.items()}
    | {
        f"{side}{bone}": f"{side.lower()}{part}"
        for side in "LR"
        for bone, part in (("HipJoint", "hipjoint"), ("Thumb", "thumb"))
    }
)
#: Bones whose direction is the performer's; the others keep the shape of the body that is dressed with the motion.
_DIRECTED = ("UpLeg", "Leg", "Arm", "ForeArm", "Hand", "FingerBase")


@dataclass(frozen=True, eq=False)
class AsfBone:
    """A bone of the skeleton: unit direction and joint axes at rest, and the channels of its joint."""

    parent: str
    direction: NDArray[np.float64]
    axis: Rotation
    channels: tuple[str, ...]


def read_cmu(skeleton: Path, motion: Path, rate_hz: float) -> Motion:
    """Read one trial.

    Args:
        skeleton, motion: ``SS.asf`` and ``SS_TT.amc``.
        rate_hz: frames per second; 120 as published.

    Raises:
        SyntheticError: a file is absent, incomplete, or the two do not fit.
    """
    both = Path(f"{motion} with {skeleton}")
    with reading(both, "download both again", "not a CMU trial and its skeleton", "check the folder", SyntheticError):
        bones = _parse_asf(skeleton.read_text(encoding="utf-8", errors="replace").splitlines())
        frames = _parse_amc(motion.read_text(encoding="utf-8", errors="replace").splitlines())
        turns = _forward_kinematics(bones, frames)
        root = np.array([frame["root"][:3] for frame in frames])
        names = tuple(_BONES)
        return Motion(
            name=motion.stem,
            bones=names,
            rotations=np.stack([_AXES @ turns[_BONES[name]].as_matrix() @ _AXES.T for name in names], axis=1),
            rest_directions=np.stack([_direction(bones, name) for name in names]),
            root=root @ _AXES.T * _METERS,
            period_s=1.0 / rate_hz,
        )


def _direction(bones: dict[str, AsfBone], name: str) -> NDArray[np.float64]:
    if not any(name in (f"Left{part}", f"Right{part}") for part in _DIRECTED):
        return np.full(3, np.nan)
    return np.asarray(_AXES @ bones[_BONES[name]].direction)


def _parse_asf(lines: Iterable[str]) -> dict[str, AsfBone]:
    section = ""
    current: dict[str, list[str]] = {}
    described: dict[str, dict[str, list[str]]] = {}
    parents: dict[str, str] = {}
    for words in (line.split() for line in lines):
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith(":"):
            section = words[0]
        elif section == ":bonedata":
            current = {} if words[0] == "begin" else current
            if words[0] == "end":
                described[current["name"][0]] = current
            else:
                current[words[0]] = words[1:]
        elif section == ":hierarchy" and words[0] not in ("begin", "end"):
            parents.update(dict.fromkeys(words[1:], words[0]))
    return {name: _bone(parents[name], described[name]) for name in described}


def _bone(parent: str, words: dict[str, list[str]]) -> AsfBone:
    direction = np.array([float(word) for word in words["direction"][:3]])
    axis = Rotation.from_euler("xyz", [float(word) for word in words["axis"][:3]], degrees=True)
    return AsfBone(parent, direction / np.linalg.norm(direction), axis, tuple(words.get("dof", ())))


def _parse_amc(lines: Iterable[str]) -> list[dict[str, list[float]]]:
    frames: list[dict[str, list[float]]] = []
    for words in (line.split() for line in lines):
        if len(words) == 1 and words[0].isdigit():
            frames.append({})
        elif frames and len(words) > 1:
            frames[-1][words[0]] = [float(word) for word in words[1:]]
    return frames


def _forward_kinematics(bones: dict[str, AsfBone], frames: list[dict[str, list[float]]]) -> dict[str, Rotation]:
    turns = {"root": Rotation.from_euler("xyz", [frame["root"][3:6] for frame in frames], degrees=True)}
    for name, bone in _parents_first(bones):
        degrees = np.zeros((len(frames), 3))
        for column, channel in enumerate(bone.channels):
            degrees[:, _CHANNELS.index(channel)] = [frame[name][column] for frame in frames]
        local = Rotation.from_euler("xyz", degrees, degrees=True)
        turns[name] = turns[bone.parent] * bone.axis * local * bone.axis.inv()
    return turns


def _parents_first(bones: dict[str, AsfBone]) -> list[tuple[str, AsfBone]]:
    done = {"root"}
    ordered: list[tuple[str, AsfBone]] = []
    while len(ordered) < len(bones):
        ready = [(name, bone) for name, bone in bones.items() if name not in done and bone.parent in done]
        if not ready:
            raise ValueError(f"the bones {sorted(set(bones) - done)} hang on none")
        ordered += ready
        done |= {name for name, _ in ready}
    return ordered


# Motions of the DeepMimic humanoid, as the ``pybullet`` wheel carries them (zlib license).
#
# A clip is a JSON text with rows ``[duration, root x y z, root quaternion wxyz, joints...]`` in the
# order chest, neck, right hip, right knee, right ankle, right shoulder, right elbow, left hip, ...;
# knees and elbows are one angle about the body's z axis. Source frame: x forward, y up, z to the
# right. Format: xbpeng/DeepMimic, ``data/characters/humanoid3d.txt``.

CLIP_FOLDER = "pybullet_data/data/motions"
#: Source axes -> world: forward is -y, up is z, right is -x.
_DEEPMIMIC_AXES = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
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
_DEEPMIMIC_LIMBS = {
    "UpLeg": "hip", "Leg": "knee", "Foot": "ankle", "ToeBase": "ankle", "Arm": "shoulder", "ForeArm": "elbow",
    "Hand": "elbow", "FingerBase": "elbow", "HandFinger1": "elbow",
}  # fmt: skip
_DEEPMIMIC_BONES: dict[str, str] = (
    _TRUNK
    | {
        f"{side}{bone}": f"{side.lower()}_{joint}"
        for side in ("Left", "Right")
        for bone, joint in _DEEPMIMIC_LIMBS.items()
    }
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
    turns = _deepmimic_forward_kinematics(rows)
    bones = tuple(_DEEPMIMIC_BONES)
    down = np.array([0.0, 0.0, -1.0])
    return Motion(
        name=clip,
        bones=bones,
        rotations=np.stack(
            [_DEEPMIMIC_AXES @ turns[_DEEPMIMIC_BONES[bone]].as_matrix() @ _DEEPMIMIC_AXES.T for bone in bones], axis=1
        ),
        rest_directions=np.stack([down if _hangs(bone) else np.full(3, np.nan) for bone in bones]),
        root=rows[:, 1:4] @ _DEEPMIMIC_AXES.T,
        period_s=float(rows[0, 0]),
        cyclic=document.get("Loop") == "wrap",
    )


def _hangs(bone: str) -> bool:
    return any(bone in (f"Left{part}", f"Right{part}") for part in _HANGING)


def _deepmimic_forward_kinematics(rows: NDArray[np.float64]) -> dict[str, Rotation]:
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
