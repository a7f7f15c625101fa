"""Hundreds of bodies in a few MB: outfits share one mesh, and its wearers are a short sum of shapes.

The rest vertices of a body model are linear in its blend shapes, and so is everything that is tied to
them: garments, decimated vertices, bones and the points of joints. The wearers of one outfit therefore lie
close to a plane of few dimensions, which principal component analysis finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.bank.alignments import alignment_quaternions
from unipose_training.synthetic.bank.types import Floats, Integers, LightPerson
from unipose_training.synthetic.errors import SyntheticError
from unipose_training.synthetic.materials import Material

Array = NDArray[np.float64]


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
