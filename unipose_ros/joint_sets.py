"""Joint sets as data, and the converter between them.

A joint set is an ordered list of published joint names. Each joint names the anatomical
*landmark* it marks, so that ``left_hand`` of ITOP and ``left_wrist`` of COCO are known to be
the same place. Converting is then one rule for every pair of sets: a landmark that the source
has is copied; one it lacks is an affine mixture of others (:data:`MIXTURES`) or MISSING.

Sources: ITOP order and the identities neck = mid-shoulders, torso = middle of neck and
mid-hips, head = 0.25 m above the neck on the spine: measured on the ITOP labels
(zhangboshen/A2J); COCO: cocodataset.org; Panoptic-19: CMU panoptic-toolbox; NTU-25 parents:
shahroudy/NTURGB-D; H36M-17: the VideoPose3D selection; REP-155: hri_msgs/Skeleton2D.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

#: Weights of source landmarks; they sum to 1, so a mixture moves with the body.
Mixture = Mapping[str, float]


class JointSetError(ValueError):
    """An unknown joint set or joint was named."""


@dataclass(frozen=True)
class Bone:
    """A rigid part between two joints.

    Attributes:
        parent, child: joint indices.
        length, std: population mean and standard deviation in meters; 0 where unknown.
    """

    parent: int
    child: int
    length: float = 0.0
    std: float = 0.0


@dataclass(frozen=True)
class JointSet:
    """Names and structure of a skeleton with J joints.

    Attributes:
        name: what messages carry in ``joint_set``.
        joints: J published names, lower case.
        landmarks: J anatomical places, shared by all sets.
        parents: J parent indices, -1 for the root.
        lengths: bone mean and standard deviation in meters by child joint name.
    """

    name: str
    joints: tuple[str, ...]
    landmarks: tuple[str, ...]
    parents: tuple[int, ...]
    lengths: Mapping[str, tuple[float, float]] = field(default_factory=dict, hash=False, compare=False)

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Position of a joint by its published name.

        Raises:
            JointSetError: the set has no such joint.
        """
        if joint not in self.joints:
            raise JointSetError(f"joint '{joint}' is not in '{self.name}': {', '.join(self.joints)}")
        return self.joints.index(joint)

    @cached_property
    def bones(self) -> tuple[Bone, ...]:
        """All parent-child pairs."""
        return tuple(
            Bone(parent, child, *self.lengths.get(self.joints[child], (0.0, 0.0)))
            for child, parent in enumerate(self.parents)
            if parent >= 0
        )

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """Permutation that exchanges left and right; a joint in the middle maps to itself."""
        swapped = {"left": "right", "right": "left", "l": "r", "r": "l"}

        def other(joint: str) -> str:
            side, _, rest = joint.partition("_")
            return f"{swapped[side]}_{rest}" if side in swapped else joint

        return tuple(self.joints.index(other(joint)) for joint in self.joints)

    @cached_property
    def sides(self) -> tuple[str, ...]:
        """``left``, ``right`` or ``middle`` for every joint."""
        names = {"left": "left", "l": "left", "right": "right", "r": "right"}
        return tuple(names.get(joint.partition("_")[0], "middle") for joint in self.joints)

    @cached_property
    def colors(self) -> NDArray[np.uint8]:
        """(J, 3) RGB: left green, right orange, middle blue, as most COCO viewers have it."""
        palette = {"left": (60, 200, 90), "right": (255, 140, 40), "middle": (80, 150, 255)}
        return np.array([palette[side] for side in self.sides], np.uint8)


def _make(
    name: str,
    joints: str,
    parents: Mapping[str, str],
    landmarks: Mapping[str, str] | None = None,
    lengths: Mapping[str, tuple[float, float]] | None = None,
) -> JointSet:
    names = tuple(joints.split())
    landmark_of = landmarks or {}
    return JointSet(
        name=name,
        joints=names,
        landmarks=tuple(landmark_of.get(joint, joint) for joint in names),
        parents=tuple(names.index(parents[joint]) if joint in parents else -1 for joint in names),
        lengths=lengths or {},
    )


def _both(**pairs: str) -> dict[str, str]:
    """``elbow='shoulder'`` -> the same for the left and the right side.

    A parent without a side is written with a leading ``=``: ``hip='=torso'``.
    """
    return {
        f"{side}_{child}": parent[1:] if parent.startswith("=") else f"{side}_{parent}"
        for side in ("left", "right")
        for child, parent in pairs.items()
    }


def _both_lengths(**pairs: tuple[float, float]) -> dict[str, tuple[float, float]]:
    return {f"{side}_{child}": value for side in ("left", "right") for child, value in pairs.items()}


#: The canonical set: 15 joints in the order of the ITOP data set; bone lengths measured on its labels.
ITOP15 = _make(
    "itop15",
    "head neck right_shoulder left_shoulder right_elbow left_elbow right_hand left_hand torso "
    "right_hip left_hip right_knee left_knee right_foot left_foot",
    {"head": "neck", "neck": "torso"}
    | _both(shoulder="=neck", elbow="shoulder", hand="elbow", hip="=torso", knee="hip", foot="knee"),
    landmarks=_both(hand="wrist", foot="ankle"),
    lengths={"head": (0.250, 0.018), "neck": (0.250, 0.009)}
    | _both_lengths(
        shoulder=(0.181, 0.012),
        elbow=(0.318, 0.042),
        hand=(0.328, 0.036),
        hip=(0.275, 0.010),
        knee=(0.505, 0.020),
        foot=(0.487, 0.024),
    ),
)

_COCO_JOINTS = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
)
# COCO has no joint in the trunk's middle; the trunk hangs on the left shoulder so that the tree is one.
_COCO_PARENTS = {
    "left_eye": "nose",
    "right_eye": "nose",
    "left_ear": "left_eye",
    "right_ear": "right_eye",
    "nose": "left_shoulder",
    "right_shoulder": "left_shoulder",
} | _both(elbow="shoulder", wrist="elbow", hip="shoulder", knee="hip", ankle="knee")

COCO17 = _make("coco17", _COCO_JOINTS, _COCO_PARENTS)

#: COCO-17 with the six foot points of the anny body's regressor.
COCO23 = _make(
    "coco23",
    _COCO_JOINTS + " left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel",
    _COCO_PARENTS | _both(big_toe="ankle", small_toe="ankle", heel="ankle"),
)

PANOPTIC19 = _make(
    "panoptic19",
    "neck nose body_center left_shoulder left_elbow left_wrist left_hip left_knee left_ankle "
    "right_shoulder right_elbow right_wrist right_hip right_knee right_ankle left_eye left_ear right_eye right_ear",
    {"neck": "body_center", "nose": "neck"}
    | _both(
        shoulder="=neck", elbow="shoulder", wrist="elbow", hip="=body_center", knee="hip", ankle="knee",
        eye="=nose", ear="eye",
    ),
    landmarks={"body_center": "pelvis"},
)  # fmt: skip

NTU25 = _make(
    "ntu25",
    "spine_base spine_mid neck head left_shoulder left_elbow left_wrist left_hand right_shoulder right_elbow "
    "right_wrist right_hand left_hip left_knee left_ankle left_foot right_hip right_knee right_ankle right_foot "
    "spine_shoulder left_hand_tip left_thumb right_hand_tip right_thumb",
    {"spine_base": "spine_mid", "spine_mid": "spine_shoulder", "neck": "spine_shoulder", "head": "neck"}
    | _both(
        shoulder="=spine_shoulder", elbow="shoulder", wrist="elbow", hand="wrist", hand_tip="hand", thumb="hand",
        hip="=spine_base", knee="hip", ankle="knee", foot="ankle",
    ),
    # Kinect's "neck" is above the line of the shoulders; its "spine shoulder" is the neck of the others.
    landmarks={"spine_base": "pelvis", "spine_mid": "torso", "neck": "upper_neck", "spine_shoulder": "neck"}
    | _both(hand="hand", foot="big_toe"),
)  # fmt: skip

H36M17 = _make(
    "h36m17",
    "hip right_hip right_knee right_foot left_hip left_knee left_foot spine thorax neck_nose head "
    "left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist",
    {"spine": "hip", "thorax": "spine", "neck_nose": "thorax", "head": "neck_nose"}
    | _both(hip="=hip", knee="hip", foot="knee", shoulder="=thorax", elbow="shoulder", wrist="elbow"),
    landmarks={"hip": "pelvis", "spine": "torso", "thorax": "neck", "neck_nose": "upper_neck", "head": "head_top"}
    | _both(foot="ankle"),
)

#: Order and names of hri_msgs/Skeleton2D with REP-155's side prefixes. Left eye and ear come before right.
REP155 = _make(
    "rep155",
    "nose neck r_shoulder r_elbow r_wrist l_shoulder l_elbow l_wrist r_hip r_knee r_ankle l_hip l_knee l_ankle "
    "l_eye r_eye l_ear r_ear",
    {"nose": "neck"}
    | {
        f"{side}_{child}": parent if parent in ("neck", "nose") else f"{side}_{parent}"
        for side in ("l", "r")
        for child, parent in (
            ("shoulder", "neck"), ("elbow", "shoulder"), ("wrist", "elbow"), ("hip", "neck"), ("knee", "hip"),
            ("ankle", "knee"), ("eye", "nose"), ("ear", "eye"),
        )
    },
    landmarks={
        f"{short}_{part}": f"{side}_{part}"
        for short, side in (("l", "left"), ("r", "right"))
        for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye", "ear")
    },
)  # fmt: skip

JOINT_SETS: dict[str, JointSet] = {s.name: s for s in (ITOP15, COCO17, COCO23, PANOPTIC19, NTU25, H36M17, REP155)}

#: What to take, in this order, for a landmark that the source lacks. Extrapolations (negative
#: weights) come last: they amplify noise.
MIXTURES: dict[str, tuple[Mixture, ...]] = {
    "neck": ({"left_shoulder": 0.5, "right_shoulder": 0.5},),
    "pelvis": ({"left_hip": 0.5, "right_hip": 0.5},),
    "torso": (
        {"neck": 0.5, "pelvis": 0.5},
        {"left_shoulder": 0.25, "right_shoulder": 0.25, "left_hip": 0.25, "right_hip": 0.25},
    ),
    "head": (
        {"left_ear": 0.5, "right_ear": 0.5},
        {"upper_neck": 0.5, "head_top": 0.5},
        # ITOP: the head is as far above the neck as the torso is below it.
        {"neck": 2.0, "torso": -1.0},
        {"neck": 1.5, "pelvis": -0.5},
        {"left_shoulder": 0.75, "right_shoulder": 0.75, "left_hip": -0.25, "right_hip": -0.25},
    ),
    "upper_neck": ({"neck": 0.6, "head": 0.4},),
    # The crown is about 0.12 m above the ears, half of the distance from neck to ears.
    "head_top": ({"head": 1.5, "neck": -0.5},),
}


def get_joint_set(name: str) -> JointSet:
    """Look a joint set up by its published name.

    Raises:
        JointSetError: there is none of that name.
    """
    if name not in JOINT_SETS:
        raise JointSetError(f"joint set '{name}' is unknown; there are {', '.join(sorted(JOINT_SETS))}")
    return JOINT_SETS[name]


def convert_joints(
    values: NDArray[np.floating], source: JointSet, target: JointSet
) -> tuple[NDArray[np.floating], NDArray[np.intp]]:
    """Joints of one set -> joints of another.

    Args:
        values: (..., Js, D) coordinates; a missing joint is NaN in every coordinate.

    Returns:
        The (..., Jt, D) coordinates, NaN where nothing suits, and the (..., Jt) number of the
        recipe used: 0 for a copy, k >= 1 for the k-th mixture, -1 for none.
    """
    result = np.full((*values.shape[:-2], len(target), values.shape[-1]), np.nan, values.dtype)
    recipe = np.full(result.shape[:-1], -1, np.intp)
    present = np.isfinite(values).all(axis=-1)
    for j, matrix in enumerate(conversion_weights(source, target)):
        for k, weights in matrix:
            used = np.flatnonzero(weights)
            fits = present[..., used].all(axis=-1) & (recipe[..., j] < 0)
            mixed = np.einsum("s,...sd->...d", weights[used].astype(values.dtype), values[..., used, :])
            result[..., j, :] = np.where(fits[..., None], mixed, result[..., j, :])
            recipe[..., j] = np.where(fits, k, recipe[..., j])
    return result, recipe


@cache
def conversion_weights(source: JointSet, target: JointSet) -> tuple[tuple[tuple[int, NDArray[np.float64]], ...], ...]:
    """For every target joint the usable recipes, best first, as (number, (Js,) weights).

    Number 0 is a copy. The weights of a recipe sum to 1.
    """
    return tuple(tuple(_recipes(source, landmark)) for landmark in target.landmarks)


def _recipes(source: JointSet, landmark: str) -> list[tuple[int, NDArray[np.float64]]]:
    recipes = []
    direct = _weights_of(source, landmark)
    if direct is not None:
        recipes.append((0, direct))
    for number, mixture in enumerate(MIXTURES.get(landmark, ()), start=1):
        weights = _mix(source, mixture)
        if weights is not None:
            recipes.append((number, weights))
    return recipes


def _mix(source: JointSet, mixture: Mixture) -> NDArray[np.float64] | None:
    """A mixture in terms of the source's joints; a part it lacks is made from *its* first mixture."""
    total = np.zeros(len(source))
    for landmark, weight in mixture.items():
        part = _weights_of(source, landmark)
        if part is None and landmark in MIXTURES:
            part = _mix(source, MIXTURES[landmark][0])
        if part is None:
            return None
        total += weight * part
    return total


def _weights_of(source: JointSet, landmark: str) -> NDArray[np.float64] | None:
    if landmark not in source.landmarks:
        return None
    return np.asarray(np.eye(len(source))[source.landmarks.index(landmark)])
