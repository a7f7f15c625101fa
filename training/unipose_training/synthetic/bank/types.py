"""What a bank holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.materials import Material
from unipose_training.synthetic.poses.kinematics import BONES, ENDS, FOLLOWERS

Array = NDArray[np.float64]


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


# Hundreds of bodies in a few MB: outfits share one mesh, and its wearers are a short sum of shapes.
#
# The rest vertices of a body model are linear in its blend shapes, and so is everything that is tied to
# them: garments, decimated vertices, bones and the points of joints. The wearers of one outfit therefore lie
# close to a plane of few dimensions, which principal component analysis finds.


@dataclass(frozen=True, eq=False)
class ShapeBasis:
    """W shapes of N numbers: ``mean + coefficients @ components``.

    Attributes:
        mean: (N,).
        components: (C, N) scaled so that no coefficient is beyond 1.
        coefficients: (W, C).

    Raises:
        SyntheticError: shapes disagree.
    """

    mean: Floats
    components: Floats
    coefficients: Floats

    def __post_init__(self) -> None:
        if self.components.shape != (self.coefficients.shape[1], len(self.mean)):
            raise SyntheticError(
                f"shape basis: {self.components.shape} components do not fit {self.coefficients.shape} coefficients"
            )

    def shapes(self, coefficients: Floats | None = None) -> Floats:
        """(W, N) all shapes, or those of other coefficients."""
        chosen = self.coefficients if coefficients is None else coefficients
        return np.asarray(self.mean + chosen @ self.components, np.float32)


def shape_basis(shapes: Array, tolerance: float, most: int) -> ShapeBasis:
    """Principal components of (W, N) shapes, as few as leave an error of ``tolerance`` (root mean square over
    the worst shape), but not more than ``most``."""
    mean = shapes.mean(axis=0)
    u, s, v = np.linalg.svd(shapes - mean, full_matrices=False)
    left = shapes - mean
    count = 0
    for count in range(min(most, len(s)) + 1):
        if np.sqrt((left**2).mean(axis=1)).max() <= tolerance or count == min(most, len(s)):
            break
        left = left - np.outer(u[:, count] * s[count], v[count])
    coefficients = u[:, :count] * s[:count]
    scale = np.maximum(np.abs(coefficients).max(axis=0, initial=0.0), 1e-12)
    return ShapeBasis(
        mean.astype(np.float32),
        (v[:count] * scale[:, None]).astype(np.float32),
        (coefficients / scale).astype(np.float32),
    )


@dataclass(frozen=True, eq=False)
class Template:
    """One outfit's mesh and its W wearers.

    Attributes:
        faces, look, bones, weights: as in :class:`~unipose_training.synthetic.bank.LightPerson`.
        vertices: basis of the 3 V numbers of the vertices.
    """

    faces: Integers
    look: Integers
    bones: Integers
    weights: Floats
    vertices: ShapeBasis


@dataclass(frozen=True, eq=False)
class Crowd:
    """P people, outfit by outfit.

    Attributes:
        templates: their wearers are the people, in this order.
        skeletons: basis of bones and joints of all people: 3 B numbers of ``heads``, then those of
            ``joint_points`` that are named by ``carried``.
        carried: (K, 2) joints and the bones that carry them; the rest of ``joint_points`` is zero.
        joints: how many there are.
        bones, parents: names of the B bones, and -1 for the root.
        rests: (S, B, 3) rest directions of the sources of motion.
        materials: of each person.
    """

    templates: tuple[Template, ...]
    skeletons: ShapeBasis
    carried: Integers
    joints: int
    bones: tuple[str, ...]
    parents: tuple[int, ...]
    rests: Array
    materials: tuple[tuple[Material, ...], ...]

    def people(self) -> tuple[LightPerson, ...]:
        """All people; what wearers of one outfit share is shared in memory."""
        skeletons = self.skeletons.shapes()
        bones = len(self.bones)
        heads = skeletons[:, : 3 * bones].reshape(-1, bones, 3)
        alignments = alignment_quaternions(self.rests, self.bones, self.parents, heads)
        people: list[LightPerson] = []
        for template in self.templates:
            for vertices in template.vertices.shapes():
                number = len(people)
                points = np.zeros((self.joints, bones, 3), np.float32)
                points[self.carried[:, 0], self.carried[:, 1]] = skeletons[number, 3 * bones :].reshape(-1, 3)
                people.append(
                    LightPerson(
                        vertices=vertices.reshape(-1, 3),
                        faces=template.faces,
                        look=template.look,
                        bones=template.bones,
                        weights=template.weights,
                        heads=heads[number],
                        alignments=alignments[number],
                        joint_points=points,
                        materials=self.materials[number],
                    )
                )
        return tuple(people)


def pack_skeletons(heads: Array, joint_points: Array, carried: Integers) -> Array:
    """(P, B, 3) and (P, J, B, 3) -> (P, N) numbers of a skeleton."""
    chosen = joint_points[:, carried[:, 0], carried[:, 1]]
    return np.concatenate([heads.reshape(len(heads), -1), chosen.reshape(len(heads), -1)], axis=1)


def wearers_of(templates: Sequence[Template]) -> NDArray[np.int64]:
    """(P,) number of the template that each person wears."""
    return np.repeat(np.arange(len(templates)), [len(each.vertices.coefficients) for each in templates])


# What lays a body's bones on the rest pose of a source of motion, for many bodies at once.


def alignment_quaternions(rests: Array, bones: Sequence[str], parents: Sequence[int], heads: Floats) -> Floats:
    """As :func:`unipose_training.synthetic.bank.bake.alignments` from the places of bones alone.

    Args:
        rests: (S, B, 3) unit rest directions of the sources; NaN for bones that keep the body's.
        heads: (P, B, 3) meters, where each bone of each body begins.

    Returns:
        (P, S, B, 4) quaternions xyzw.
    """
    people, count = len(heads), len(bones)
    turns = np.zeros((people, len(rests), count, 4))
    turns[..., 3] = 1.0
    for bone, name in enumerate(bones):
        for source, wanted in enumerate(rests[:, bone]):
            if np.isfinite(wanted).all() and name in ENDS:
                own = np.asarray(heads[:, bones.index(ENDS[name])], np.float64) - heads[:, bone]
                turns[:, source, bone] = _between(own, wanted)
            elif name.endswith(FOLLOWERS):
                turns[:, source, bone] = turns[:, source, parents[bone]]
    return turns.astype(np.float32)


def _between(start: Array, end: Array) -> Array:
    """(P, 4) smallest turn from (P, 3) directions to a unit one; never opposite ones."""
    unit = start / np.linalg.norm(start, axis=1, keepdims=True)
    quaternion = np.concatenate([np.cross(unit, end), 1 + unit @ end[:, None]], axis=1)
    return np.asarray(quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True))
