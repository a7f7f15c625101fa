"""What the sampler of poses needs of a bank's bodies: bones, lengths and girths, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.bank.types import BodyBank, LightPerson
from unipose_training.synthetic.rig import BONES

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
_TRUNK = [BONES.index(name) for name in ("Hips", "LowerBack", "Spine", "Spine1")]


@dataclass(frozen=True, eq=False)
class Skeletons:
    """P bodies of B bones at rest.

    Attributes:
        heads: (P, B, 3) meters, where bones begin.
        alignments: (P, S, B, 3, 3) see :class:`~unipose_training.synthetic.bank.LightPerson`.
        girth: (P, 2) meters, half the width and half the depth of the trunk with its clothes.
        arms: (P, 2) meters of upper arm and forearm.
        size: (P,) their sum.
        parents: (B,) -1 for the root.
        hanging: the source of motion whose limbs hang at rest.
    """

    heads: Array
    alignments: Array
    girth: Array
    arms: Array
    size: Array
    parents: Integers
    hanging: int

    def joints(self, body: Integers, turns: Array) -> Array:
        """(N, B, 3) where the bones of turned bodies begin; the root is at the origin.

        Args:
            turns: (N, B, 3, 3) of each bone from the body's own rest.
        """
        heads = self.heads[body]
        places = np.zeros_like(heads)
        for bone, parent in enumerate(self.parents):
            if parent >= 0:
                step = heads[:, bone] - heads[:, parent]
                places[:, bone] = places[:, parent] + np.einsum("nij,nj->ni", turns[:, parent], step)
        return places


def skeletons_of(bank: BodyBank) -> Skeletons:
    """Bodies of a bank."""
    heads = np.stack([person.heads for person in bank.people]).astype(np.float64)
    alignments = matrices(np.stack([person.alignments for person in bank.people]).astype(np.float64))
    bone = {name: BONES.index(name) for name in BONES}
    upper = np.linalg.norm(heads[:, bone["LeftForeArm"]] - heads[:, bone["LeftArm"]], axis=1)
    fore = np.linalg.norm(heads[:, bone["LeftHand"]] - heads[:, bone["LeftForeArm"]], axis=1)
    return Skeletons(
        heads=heads,
        alignments=alignments,
        girth=np.stack([_girth(person) for person in bank.people]),
        arms=np.stack([upper, fore], 1),
        size=upper + fore,
        parents=bank.parents,
        hanging=_hanging(alignments, heads),
    )


def _girth(person: LightPerson) -> Array:
    """(2,) half the width and depth of the trunk between hips and chest."""
    strongest = np.take_along_axis(person.bones, person.weights.argmax(axis=1)[:, None], axis=1)[:, 0]
    low, high = person.heads[BONES.index("Hips"), 2], person.heads[BONES.index("Spine1"), 2]
    height = person.vertices[:, 2]
    trunk = np.isin(strongest, _TRUNK) & (height > low - 0.05) & (height < high + 0.1)
    if trunk.sum() < 10:
        return np.array([0.16, 0.11])
    points = person.vertices[trunk]
    width = np.percentile(np.abs(points[:, 0]), 90)
    depth = np.percentile(points[:, 1], 90) - np.percentile(points[:, 1], 10)
    return np.array([width, depth / 2], np.float64)


def _hanging(alignments: Array, heads: Array) -> int:
    """The source in which the bodies' upper arms point straight down."""
    arm, elbow = BONES.index("LeftArm"), BONES.index("LeftForeArm")
    own = heads[0, elbow] - heads[0, arm]
    down = np.einsum("sij,j->si", alignments[0, :, arm], own / np.linalg.norm(own))[:, 2]
    return int(np.argmin(down))


def matrices(quaternions: Array) -> Array:
    """(..., 4) quaternions xyzw -> (..., 3, 3)."""
    x, y, z, w = np.moveaxis(quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True), -1, 0)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return np.stack(rows, axis=-1).reshape(*quaternions.shape[:-1], 3, 3)
