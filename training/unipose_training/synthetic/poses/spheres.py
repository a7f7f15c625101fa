"""Bodies as a few dozen spheres: fast tests of whether bodies intersect each other or a wall."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.poses.skeletons import Skeletons
from unipose_training.synthetic.rig import BONES

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
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
_TRUNK: tuple[tuple[str, float], ...] = tuple(
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
    for bone, side in _TRUNK:
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
