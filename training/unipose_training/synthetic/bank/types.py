"""What a bank holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.errors import SyntheticError
from unipose_training.synthetic.materials import Material
from unipose_training.synthetic.rig import BONES

if TYPE_CHECKING:
    from unipose_training.synthetic.bank.crowd import Crowd

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
#: Bones that a vertex follows at most.
INFLUENCES = 6


@dataclass(frozen=True, eq=False)
class LightPerson:
    """A clothed person of V vertices, T triangles and B bones, at rest, facing -y.

    Attributes:
        vertices: (V, 3) meters.
        faces: (T, 3).
        look: (T,) index into ``materials``.
        bones, weights: (V, 6) which bones each vertex follows and how much; rows of weights sum to 1.
        heads: (B, 3) meters, where each bone begins.
        alignments: (S, B, 4) unit quaternions xyzw: what lays the bones on the rest pose of each motion source.
        joint_points: (J, B, 3) meters; see :attr:`BodyBank.joint_shares`.
        materials: the looks, looked up at the vertices at rest.

    Raises:
        SyntheticError: shapes or indices disagree.
    """

    vertices: Floats
    faces: Integers
    look: Integers
    bones: Integers
    weights: Floats
    heads: Floats
    alignments: Floats
    joint_points: Floats
    materials: tuple[Material, ...]

    def __post_init__(self) -> None:
        vertices, bones = len(self.vertices), len(self.heads)
        fits = (
            self.bones.shape == self.weights.shape == (vertices, INFLUENCES)
            and self.faces.shape == (len(self.look), 3)
            and self.alignments.shape[1:] == (bones, 4)
            and self.joint_points.shape[1:] == (bones, 3)
        )
        if not fits or not len(self.look) or self.faces.max() >= vertices:
            raise SyntheticError(
                f"light person: {vertices} vertices, {len(self.look)} triangles do not fit; bake again"
            )
        if self.bones.max() >= bones or self.look.max() >= len(self.materials):
            raise SyntheticError("light person: a bone or a look is named that is not there; bake again")


@dataclass(frozen=True, eq=False)
class PoseClips:
    """F poses of B bones in C clips, one after the other.

    Attributes:
        rotations: (F, B, 4) quaternions xyzw, unit up to 1e-4: world turn of each bone from the source's rest pose.
        airborne: (F,) meters between the floor and the lowest point of the body: a jump.
        starts: (C,) first pose of each clip.
        sources: (C,) index of the motion source, see :attr:`LightPerson.alignments`.
        names: of the clips.
        period_s: time between poses of a clip.

    Raises:
        SyntheticError: shapes disagree.
    """

    rotations: Floats
    airborne: Floats
    starts: Integers
    sources: Integers
    names: tuple[str, ...]
    period_s: float

    def __post_init__(self) -> None:
        if len(self.airborne) != len(self) or not len(self.starts) == len(self.sources) == len(self.names):
            raise SyntheticError(f"pose clips: {len(self)} poses in {len(self.names)} clips do not fit; bake again")

    def __len__(self) -> int:
        return len(self.rotations)

    def clip_of_poses(self) -> Integers:
        """(F,) number of the clip that each pose belongs to."""
        return np.asarray(np.searchsorted(self.starts, np.arange(len(self)), side="right") - 1, np.int64)


@dataclass(frozen=True)
class BankRecord:
    """Where a bank comes from.

    Attributes:
        seed: of shapes, outfits and postures.
        split: ``training`` or ``benchmark``: what the people may be used for.
        body, motions, clothes: sources.
        license: of the whole.
        errors_mm: largest deviations from the full model, by name.
        sha256: over all arrays, filled in when saving.
    """

    seed: int
    split: str
    body: str
    motions: str
    clothes: str
    license: str
    errors_mm: Mapping[str, float] = field(default_factory=dict)
    sha256: str = ""


@dataclass(frozen=True, eq=False)
class BodyBank:
    """People and poses that go with each other.

    Attributes:
        joint_shares: (J, B) how much of each joint (COCO23) each bone carries. A joint is a sum of vertices and
            a vertex a sum over bones, so with ``T`` the motion of bone b from rest, joint j is exactly
            ``sum_b T_b.rotation @ joint_points[j, b] + joint_shares[j, b] * T_b.translation``.
        parents: (B,) -1 for the root; a parent comes before its children.
        bones: names of the bones.
        crowd: what the people are made from where they share meshes; None where each has a mesh of their own.
    """

    record: BankRecord
    people: tuple[LightPerson, ...]
    poses: PoseClips
    joint_shares: Floats
    parents: Integers
    bones: tuple[str, ...] = BONES
    crowd: Crowd | None = None

    def __post_init__(self) -> None:
        bones = len(self.parents)
        if len(self.bones) != bones:
            raise SyntheticError(f"body bank: {len(self.bones)} names for {bones} bones; bake again")
        if not self.people or any(len(person.heads) != bones for person in self.people):
            raise SyntheticError(f"body bank: no people, or not all of them have {bones} bones; bake again")
        if self.poses.rotations.shape[1:] != (bones, 4) or self.joint_shares.shape[1] != bones:
            raise SyntheticError(f"body bank: poses and joints are not for {bones} bones; bake again")
        if len(self.poses.sources) and self.poses.sources.max() >= len(self.people[0].alignments):
            raise SyntheticError("body bank: a clip's motion source has no alignment; bake again")
