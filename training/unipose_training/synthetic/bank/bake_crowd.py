"""Bake many bodies: outfits decimated once, and worn by people of all shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from unipose_training.synthetic.bank.bake import carried_joints, strongest
from unipose_training.synthetic.bank.crowd import Crowd, Template, pack_skeletons, shape_basis
from unipose_training.synthetic.bank.lighten import LightMesh, joined, light_parts, ray_scene
from unipose_training.synthetic.bank.outfits import Cut, stature
from unipose_training.synthetic.bank.people import PersonPlan, Wardrobe, draw_person
from unipose_training.synthetic.bank.population import draw_cut, draw_group, draw_shape
from unipose_training.synthetic.body import Body, Shape
from unipose_training.synthetic.materials import Material
from unipose_training.synthetic.wardrobe import DressedPerson, worn_materials

Array = NDArray[np.float64]
#: Root mean square error in meters of a body's vertices that its basis may leave, and most components of it.
_TOLERANCE, _MOST = 0.0008, 24
#: The same of bones and points of joints, of which there are few.
_BONE_TOLERANCE, _MOST_BONES = 0.0003, 40


@dataclass(frozen=True)
class CrowdSettings:
    """How many bodies.

    Attributes:
        outfits: meshes.
        wearers: people per outfit.
        triangles: of each.
        clothes: folder of MakeHuman garments; painted clothes without it.
        wardrobe: garments that may be used.
        seed: of shapes and outfits.
    """

    outfits: int
    wearers: int
    triangles: int
    clothes: Path | None
    wardrobe: Wardrobe
    seed: int


@dataclass(frozen=True, eq=False)
class _Tie:
    """Where the vertices of a light part lie on the full piece: in triangles, and above them along the normal.

    Attributes:
        corners: (V, 3) vertices of the piece.
        fractions: (V, 3) barycentric.
        above: (V,) meters, per meter of stature.
    """

    piece: int
    corners: NDArray[np.int64]
    fractions: Array
    above: Array

    def vertices(self, piece: Array, tall: float) -> Array:
        """(V, 3) on another body's piece."""
        a, b, c = (piece[self.corners[:, k]] for k in range(3))
        normals = _unit(np.cross(b - a, c - a))
        inside = np.einsum("vk,vkx->vx", self.fractions, piece[self.corners])
        return np.asarray(inside + (tall * self.above)[:, None] * normals)


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def bake_crowd(
    body: Body, settings: CrowdSettings, rests: Array, progress: bool = True
) -> tuple[Crowd, dict[str, float]]:
    """Draw and bake everybody.

    Args:
        rests: (S, B, 3) rest directions of the sources of motion.

    Returns:
        The crowd, and its largest errors in millimeters against the decimated bodies that the bases stand for.

    Raises:
        SyntheticError: a garment cannot be read.
    """
    templates, skeletons, materials = [], [], []
    errors: dict[str, float] = {"vertices_rms": 0.0, "vertices_p99": 0.0}
    shares = np.zeros(0)
    for number in tqdm(range(settings.outfits), desc="baking", unit="outfit", disable=not progress):
        rng = np.random.default_rng((settings.seed, number))
        cut = draw_cut(rng, number, settings.wardrobe)
        plans = [_plan(body, rng, number * settings.wearers + k, cut, settings) for k in range(settings.wearers)]
        template, found = _template(body, cut, plans, settings)
        templates.append(template)
        errors = {name: max(value, found[name]) for name, value in errors.items()}
        for plan in plans:
            rest = body.rest(plan.shape)
            points, shares = carried_joints(body, rest)
            skeletons.append((body.rest_skeleton(plan.shape).heads, points))
            materials.append(_rounded(worn_materials(body, rest, plan.outfit)))
    heads, points = (np.stack([each[k] for each in skeletons]) for k in range(2))
    carried = np.argwhere(np.abs(points).max(axis=(0, 3)) > 0)
    packed = pack_skeletons(heads, points, carried)
    basis = shape_basis(packed, _BONE_TOLERANCE, _MOST_BONES)
    errors["bones_max"] = 1e3 * float(np.abs(basis.shapes() - packed).max())
    crowd = Crowd(tuple(templates), basis, carried, points.shape[1], body.bones, body.parents, rests, tuple(materials))
    del shares
    return crowd, {name: round(value, 3) for name, value in errors.items()}


def _plan(body: Body, rng: np.random.Generator, number: int, cut: Cut, settings: CrowdSettings) -> PersonPlan:
    outfit = draw_person(2 * number + cut.woman, settings.seed, settings.wardrobe).outfit
    shape = draw_shape(rng, draw_group(rng), cut.woman, partial(_stature, body))
    return PersonPlan(shape, outfit)


def _stature(body: Body, shape: Shape) -> float:
    return stature(body, body.rest(shape))


def _template(
    body: Body, cut: Cut, plans: Sequence[PersonPlan], settings: CrowdSettings
) -> tuple[Template, dict[str, float]]:
    """Decimate the outfit on a middling body, and put it on everybody."""
    middling = body.rest(Shape(gender=float(cut.woman), age=0.62, height=0.42))
    worn = cut.dressed(body, middling, plans[0].outfit, settings.clothes)
    parts = light_parts(worn.pieces, settings.triangles)
    ties = [_tie(worn, number, part, stature(body, middling)) for number, part in parts]
    shapes = []
    for plan in plans:
        rest = body.rest(plan.shape)
        pieces = cut.vertices(body, rest, worn.pieces, settings.clothes)
        tall = stature(body, rest)
        shapes.append(np.concatenate([tie.vertices(pieces[tie.piece], tall) for tie in ties]))
    light = joined([part for _, part in parts])
    bones, weights = strongest(light.bone_weights)
    flat = np.stack(shapes).reshape(len(shapes), -1)
    basis = shape_basis(flat, _TOLERANCE, _MOST)
    off = 1e3 * np.linalg.norm((basis.shapes() - flat).reshape(len(shapes), -1, 3), axis=2)
    found = {"vertices_rms": float(np.sqrt((off**2).mean(axis=1)).max()), "vertices_p99": float(np.percentile(off, 99))}
    return Template(light.faces, light.look, bones, weights.astype(np.float32), basis), found


def _tie(worn: DressedPerson, number: int, part: LightMesh, tall: float) -> _Tie:
    piece = worn.pieces[number]
    scene, core = ray_scene(piece.rest, piece.faces)
    met: dict[str, Any] = scene.compute_closest_points(core.Tensor(part.vertices.astype(np.float32)))
    u, v = met["primitive_uvs"].numpy().astype(np.float64).T
    corners = piece.faces[met["primitive_ids"].numpy()]
    tie = _Tie(number, corners, np.stack([1 - u - v, u, v], axis=1), np.zeros(len(u)))
    a, b, c = (piece.rest[corners[:, k]] for k in range(3))
    above = np.einsum("vx,vx->v", part.vertices - tie.vertices(piece.rest, 0.0), _unit(np.cross(b - a, c - a)))
    return _Tie(number, corners, tie.fractions, above / tall)


def _rounded(materials: Sequence[Material]) -> tuple[Material, ...]:
    """Numbers with four decimals, which is finer than anybody sees and takes a quarter of the bytes."""
    from dataclasses import fields, is_dataclass, replace

    def short(value: Any) -> Any:
        if isinstance(value, float):
            return round(value, 4)
        if isinstance(value, tuple):
            return tuple(short(each) for each in value)
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{field.name: short(getattr(value, field.name)) for field in fields(value)})
        return value

    return tuple(short(material) for material in materials)
