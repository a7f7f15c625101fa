"""What the sampler of poses needs of a bank's bodies: bones, lengths and girths, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.bank.types import BodyBank, LightPerson
from unipose_training.synthetic.poses.kinematics import BONES, about_vector

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


# Bodies as a few dozen spheres: fast tests of whether bodies intersect each other or a wall.

_BONE = {name: number for number, name in enumerate(BONES)}
#: Between two bones' heads: how far along, and the radius in lengths of an arm.
_LIMBS: tuple[tuple[str, str, float, float], ...] = tuple(
    (f"{side}{start}", f"{side}{end}", at, radius)
    for side in ("Left", "Right")
    for start, end, at, radius in (
        ("Arm", "ForeArm", 0.1, 0.11), ("Arm", "ForeArm", 0.5, 0.09), ("Arm", "ForeArm", 1.0, 0.08),
        ("ForeArm", "Hand", 0.5, 0.07), ("ForeArm", "Hand", 1.0, 0.06), ("Hand", "HandFinger1", 1.0, 0.07),
        ("UpLeg", "Leg", 0.1, 0.17), ("UpLeg", "Leg", 0.5, 0.15), ("UpLeg", "Leg", 1.0, 0.11),
        ("Leg", "Foot", 0.5, 0.10), ("Leg", "Foot", 1.0, 0.08), ("Foot", "ToeBase", 1.0, 0.08),
    )
)  # fmt: skip
#: Trunk: a bone, how far to either side in half widths, and the radius in half depths.
_TRUNK_SPHERES: tuple[tuple[str, float], ...] = tuple(
    (bone, side) for bone in ("Hips", "Spine", "Spine1") for side in (-0.55, 0.0, 0.55)
)


def body_spheres(skeletons: Skeletons, body: Integers, turns: Array) -> tuple[Array, Array]:
    """(N, S, 3) middles in meters from the root, and (N, S) radii."""
    places, size, girth = skeletons.joints(body, turns), skeletons.size[body], skeletons.girth[body]
    middles, radii = [], []
    for start, end, at, radius in _LIMBS:
        first, last = places[:, _BONE[start]], places[:, _BONE[end]]
        middles.append(first + at * (last - first))
        radii.append(radius * size)
    for bone, side in _TRUNK_SPHERES:
        offset = np.stack([side * girth[:, 0], np.zeros(len(body)), np.zeros(len(body))], 1)
        middles.append(places[:, _BONE[bone]] + np.einsum("nij,nj->ni", turns[:, _BONE[bone]], offset))
        radii.append(np.maximum(0.95 * girth[:, 1], 0.16 * size))
    head = np.array([0.0, -0.05, 0.20]) * size[:, None]
    middles.append(places[:, _BONE["Head"]] + np.einsum("nij,nj->ni", turns[:, _BONE["Head"]], head))
    radii.append(0.22 * size)
    return np.stack(middles, 1), np.stack(radii, 1)


def turned(points: Array, heading: Array) -> Array:
    """(N, S, 3) points turned about the vertical by (N,) radians."""
    c, s = np.cos(heading)[:, None], np.sin(heading)[:, None]
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack([c * x - s * y, s * x + c * y, z], axis=-1)


def overlap(first: tuple[Array, Array], second: tuple[Array, Array]) -> float:
    """Meters by which two bodies are in each other at the worst place; each (S, 3) middles and (S,) radii."""
    away = np.linalg.norm(first[0][:, None] - second[0][None], axis=-1)
    return float((first[1][:, None] + second[1][None] - away).max())


# Bodies laid to rest on the floor by their weight: a body that sits, kneels or lies tips until it holds.

#: Meters above the lowest point that still touch: flesh gives way.
_TOUCHING = 0.012
_STEPS, _LARGEST_STEP = 40, 4.0


def settled(vertices: Array, masses: Array) -> tuple[Array, float]:
    """Tip a rigid body about its edges until its center of mass is above what it stands on.

    Args:
        vertices: (V, 3) meters, anywhere.
        masses: (V,) weights of the vertices.

    Returns:
        (3, 3) the rotation that was needed, and its angle in degrees.
    """
    whole, points = np.eye(3), vertices.copy()
    for _ in range(_STEPS):
        center = masses @ points / masses.sum()
        low = points[:, 2].min()
        touching = points[points[:, 2] < low + _TOUCHING]
        support = _nearest_in_hull(touching[:, :2], center[:2])
        off = center[:2] - support
        distance = float(np.linalg.norm(off))
        if distance < 0.005:
            break
        # About the horizontal axis across the way from the support to the center of mass.
        axis = np.array([-off[1], off[0], 0.0]) / distance
        pivot = np.array([*support, low])
        angle = min(_first_touch(points - pivot, off / distance), _LARGEST_STEP)
        turn = about_vector(axis[None], np.array([max(angle, 0.15)]))[0]
        points = (points - pivot) @ turn.T + pivot
        whole = turn @ whole
    angle = np.degrees(np.arccos(np.clip((np.trace(whole) - 1) / 2, -1, 1)))
    return whole, float(angle)


def _first_touch(points: Array, direction: Array) -> float:
    """Degrees of tipping towards a direction until the next point touches the floor."""
    ahead, height = points[:, :2] @ direction, points[:, 2]
    falling = (ahead > 0.01) & (height > _TOUCHING)
    if not falling.any():
        return _LARGEST_STEP
    return float(np.degrees(np.arctan2(height[falling] - 0.5 * _TOUCHING, ahead[falling]).min()))


def _nearest_in_hull(points: Array, place: Array) -> Array:
    """The place in the convex hull of (N, 2) points that is nearest to a place (Frank-Wolfe: a few steps do)."""
    best = points[np.argmin(((points - place) ** 2).sum(axis=1))].copy()
    for _ in range(60):
        gradient = best - place
        corner = points[np.argmin(points @ gradient)]
        way = corner - best
        gain = -(gradient @ way)
        if gain < 1e-8:
            break
        best = best + np.clip(gain / max(way @ way, 1e-12), 0, 1) * way
    return np.asarray(best)
