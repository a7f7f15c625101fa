"""Put a motion on a body of other proportions and another rest pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from unipose_training.synthetic.errors import SyntheticError
from unipose_training.synthetic.motion import Motion
from unipose_training.synthetic.rig import ENDS, FOLLOWERS

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RestSkeleton:
    """A body at rest.

    Attributes:
        bones: B names; a parent comes before its children.
        parents: B indices, -1 for the root.
        heads: (B, 3) meters, where each bone begins.
        orientations: (B, 3, 3) of each bone in the world.
    """

    bones: tuple[str, ...]
    parents: tuple[int, ...]
    heads: Array
    orientations: Array

    @property
    def leg_length(self) -> float:
        """Meters from hip joint to ankle."""
        hip, knee, ankle = (self.heads[self.bones.index(name)] for name in ("LeftUpLeg", "LeftLeg", "LeftFoot"))
        return float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))


def retarget(motion: Motion, skeleton: RestSkeleton) -> Array:
    """World pose of every bone in every frame.

    The body's own rest direction of a limb is first laid on that of the motion's source (its
    T-pose or hanging arms); then the source's turn is applied.

    Returns:
        (F, B, 4, 4): orientations for all bones; the translation is only set for the root (hips).

    Raises:
        SyntheticError: the motion lacks a bone of the body.
    """
    if missing := [bone for bone in skeleton.bones if bone not in motion.bones]:
        raise SyntheticError(f"motion '{motion.name}' says nothing of the bones {', '.join(missing)}")
    align = _alignments(motion, skeleton)
    poses = np.tile(np.eye(4), (len(motion), len(skeleton.bones), 1, 1))
    order = [motion.bones.index(bone) for bone in skeleton.bones]
    poses[..., :3, :3] = motion.rotations[:, order] @ align @ skeleton.orientations
    poses[:, 0, :3, 3] = motion.root
    return poses


def _alignments(motion: Motion, skeleton: RestSkeleton) -> Array:
    """(B, 3, 3) rotation from the body's rest direction to the motion's rest direction."""
    align = np.tile(np.eye(3), (len(skeleton.bones), 1, 1))
    for bone, name in enumerate(skeleton.bones):
        wanted = motion.rest_directions[motion.bones.index(name)]
        if np.isfinite(wanted).all() and name in ENDS:
            own = skeleton.heads[skeleton.bones.index(ENDS[name])] - skeleton.heads[bone]
            align[bone] = rotation_between(own, wanted)
        elif name.endswith(FOLLOWERS):
            align[bone] = align[skeleton.parents[bone]]
    return align


def rotation_between(start: Array, end: Array) -> Array:
    """(3, 3) smallest rotation that takes one direction to another."""
    a, b = start / np.linalg.norm(start), end / np.linalg.norm(end)
    axis = np.cross(a, b)
    sine, cosine = np.linalg.norm(axis), float(a @ b)
    if sine > 1e-9:
        return np.asarray(Rotation.from_rotvec(axis / sine * np.arctan2(sine, cosine)).as_matrix())
    if cosine > 0:
        return np.eye(3)
    # Opposite directions: half a turn about any axis across.
    across = np.cross(a, np.eye(3)[np.argmin(np.abs(a))])
    return np.asarray(Rotation.from_rotvec(across / np.linalg.norm(across) * np.pi).as_matrix())
