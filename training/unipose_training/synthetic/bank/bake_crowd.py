"""Bake many bodies: outfits decimated once, and worn by people of all shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from unipose_training.synthetic.bank.bake import (
    BankSettings,
    bank_origin,
    carried_joints,
    motion_kinds,
    pose_clips,
    strongest,
    with_jumps,
)
from unipose_training.synthetic.bank.lighten import LightMesh, distances_mm, joined, light_parts, ray_scene
from unipose_training.synthetic.bank.outfits import Cut, stature
from unipose_training.synthetic.bank.people import PersonPlan, Wardrobe, draw_cut, draw_group, draw_person, draw_shape
from unipose_training.synthetic.bank.posing import BankTensors, pose_by_turns, to_tensors
from unipose_training.synthetic.bank.store import save_bank
from unipose_training.synthetic.bank.types import (
    BankRecord,
    BodyBank,
    Crowd,
    PoseClips,
    Template,
    pack_skeletons,
    shape_basis,
)
from unipose_training.synthetic.body import Body, Shape, load_body
from unipose_training.synthetic.materials import Material
from unipose_training.synthetic.poses.bodies import RESTING, SEATED, draw_bodies
from unipose_training.synthetic.poses.compose import Base, draw_gestures, with_arms
from unipose_training.synthetic.poses.gestures import LOW_PAIRS, PAIRS
from unipose_training.synthetic.poses.kinematics import bone_turns, to_quaternions
from unipose_training.synthetic.poses.skeletons import Skeletons, settled, skeletons_of
from unipose_training.synthetic.variety.postures import Posture, articulate
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


def bake_crowd_bank(output: Path, settings: BankSettings, progress: bool = True) -> BankRecord:
    """Bake a bank whose people share meshes; the same settings give the same bytes.

    Raises:
        SyntheticError: motions or clothes cannot be read.
    """
    motions = settings.sources.read()
    # Families of trunk and legs are made for limbs that hang at rest; a motion stands for that source.
    kinds, sources = motion_kinds([*motions, articulate([Posture()] * 2, 1.0)])
    body = load_body()
    order = [[kind.bones.index(bone) for bone in body.bones] for kind in kinds]
    rests = np.stack([kind.rest_directions[rows] for kind, rows in zip(kinds, order, strict=True)])
    wardrobe = Wardrobe.in_folder(settings.clothes).within(settings.split.wardrobe)
    plan = CrowdSettings(
        settings.outfits, settings.people // settings.outfits, settings.triangles, settings.clothes, wardrobe,
        settings.seed,
    )  # fmt: skip
    baked = bake_crowd(body, plan, rests, progress)
    poses = pose_clips(motions, sources[: len(motions)], body.bones, settings.rate_hz)
    bank = BodyBank(
        record=replace(bank_origin(settings), errors_mm=baked.errors_mm),
        people=baked.crowd.people(),
        poses=poses,
        joint_shares=baked.joint_shares.astype(np.float32),
        parents=np.array(body.parents),
        crowd=baked.crowd,
    )
    bank = replace(bank, poses=with_jumps(bank, motions))
    return save_bank(output, with_families(bank, _counts(settings.postures), _model(bank, baked.plain), settings.seed))


def _counts(total: int) -> Mapping[str, int]:
    """So many poses of all families together."""
    whole = sum(COUNTS.values())
    return {family: round(count * total / whole) for family, count in COUNTS.items()}


def _model(bank: BodyBank, plain: NDArray[np.bool_]) -> int:
    """Who is laid on the floor for all: an adult of middling build without skirt or long hair."""
    tall = np.array([np.ptp(person.vertices[:, 2]) for person in bank.people])
    off = np.abs(tall - 1.72) + 2 * np.abs(skeletons_of(bank).girth[:, 1] - 0.115) + 9.0 * ~plain
    return int(np.argmin(off))


@dataclass(frozen=True, eq=False)
class Baked:
    """What :func:`bake_crowd` makes.

    Attributes:
        joint_shares: see :attr:`~unipose_training.synthetic.bank.BodyBank.joint_shares`.
        plain: (P,) who wears neither skirt nor coat nor long hair.
        errors_mm: largest errors of the bases against the meshes they stand for (``vertices``, ``bones``), and
            of these against the full surface, of the shortest and the heaviest wearer of each outfit (``surface``).
    """

    crowd: Crowd
    joint_shares: Array
    plain: NDArray[np.bool_]
    errors_mm: dict[str, float]


def bake_crowd(body: Body, settings: CrowdSettings, rests: Array, progress: bool = True) -> Baked:
    """Draw and bake all people.

    Args:
        rests: (S, B, 3) rest directions of the sources of motion.

    Raises:
        SyntheticError: a garment cannot be read.
    """
    templates, heads, points, materials, plain = [], [], [], [], []
    errors: dict[str, float] = {}
    shares = np.zeros(0)
    for number in tqdm(range(settings.outfits), desc="baking", unit="outfit", disable=not progress):
        rng = np.random.default_rng((settings.seed, number))
        cut = draw_cut(rng, number, settings.wardrobe)
        plans = [_plan(body, rng, number * settings.wearers + k, cut, settings) for k in range(settings.wearers)]
        template, found = _template(body, cut, plans, settings)
        templates.append(template)
        plain += [cut.tube is None and not cut.hair] * len(plans)
        errors = {name: max(value, errors.get(name, 0.0)) for name, value in found.items()}
        for plan in plans:
            rest = body.rest(plan.shape)
            carried, shares = carried_joints(body, rest)
            points.append(carried)
            heads.append(body.rest_skeleton(plan.shape).heads)
            materials.append(_rounded(worn_materials(body, rest, plan.outfit)))
    table = np.stack(points)
    carriers = np.argwhere(np.abs(table).max(axis=(0, 3)) > 0)
    packed = pack_skeletons(np.stack(heads), table, carriers)
    basis = shape_basis(packed, _BONE_TOLERANCE, _MOST_BONES)
    errors["bones_max"] = 1e3 * float(np.abs(basis.shapes() - packed).max())
    crowd = Crowd(tuple(templates), basis, carriers, table.shape[1], body.bones, body.parents, rests, tuple(materials))
    return Baked(crowd, shares, np.array(plain), {name: round(value, 3) for name, value in errors.items()})


def _plan(body: Body, rng: np.random.Generator, number: int, cut: Cut, settings: CrowdSettings) -> PersonPlan:
    outfit = draw_person(2 * number + cut.woman, settings.seed, settings.wardrobe).outfit
    shape = draw_shape(rng, draw_group(rng), cut.woman, partial(_stature, body))
    return PersonPlan(shape, outfit)


def _stature(body: Body, shape: Shape) -> float:
    return stature(body, body.rest(shape))


def _template(
    body: Body, cut: Cut, plans: Sequence[PersonPlan], settings: CrowdSettings
) -> tuple[Template, dict[str, float]]:
    """Decimate the outfit on a middling body, and put it on all people."""
    middling = body.rest(Shape(gender=float(cut.woman), age=0.62, height=0.42))
    worn = cut.dressed(body, middling, plans[0].outfit, settings.clothes)
    parts = light_parts(worn.pieces, settings.triangles)
    ties = [_tie(worn, number, part, stature(body, middling)) for number, part in parts]
    shapes, pieces_of = [], []
    for plan in plans:
        rest = body.rest(plan.shape)
        pieces_of.append(cut.vertices(body, rest, worn.pieces, settings.clothes))
        tall = stature(body, rest)
        shapes.append(np.concatenate([tie.vertices(pieces_of[-1][tie.piece], tall) for tie in ties]))
    light = joined([part for _, part in parts])
    bones, weights = strongest(light.bone_weights)
    flat = np.stack(shapes).reshape(len(shapes), -1)
    basis = shape_basis(flat, _TOLERANCE, _MOST)
    off = 1e3 * np.linalg.norm((basis.shapes() - flat).reshape(len(shapes), -1, 3), axis=2)
    found = {"vertices_rms": float(np.sqrt((off**2).mean(axis=1)).max()), "vertices_p99": float(np.percentile(off, 99))}
    extreme = {
        min(range(len(plans)), key=lambda k: np.ptp(shapes[k][:, 2])),
        max(range(len(plans)), key=lambda k: plans[k].shape.weight),
    }
    for number in sorted(extreme):
        pieces = tuple(replace(piece, rest=rest) for piece, rest in zip(worn.pieces, pieces_of[number], strict=True))
        away = distances_mm(replace(light, vertices=shapes[number]), pieces)
        found["surface_mean"] = max(found.get("surface_mean", 0.0), float(away.mean()))
        found["surface_p95"] = max(found.get("surface_p95", 0.0), float(np.percentile(away, 95)))
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
    """Numbers with four decimals, which is finer than the eye sees and takes a quarter of the bytes."""

    def short(value: Any) -> Any:
        if isinstance(value, float):
            return round(value, 4)
        if isinstance(value, tuple):
            return tuple(short(each) for each in value)
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{field.name: short(getattr(value, field.name)) for field in fields(value)})
        return value

    return tuple(short(material) for material in materials)


# Poses of a bank: motion capture, and families of trunks and legs laid on the floor as their weight lays them.

#: Clips of families begin with this.
PREFIX = "body_"
#: How many poses of each family a full bank has.
COUNTS: Mapping[str, int] = {
    "standing": 300, "gait": 300, "kick": 300, "step_over": 240, "lunge": 260, "half_kneeling": 180, "kneeling": 220,
    "crouching": 240, "bending": 300, "seated": 380, "perched": 120, "floor_sitting": 360, "lying": 340,
    "reclining": 140, "anyhow": 320,
}  # fmt: skip
#: About so many poses are a clip.
_PIECE = 12
#: Who would have to tip farther than this many degrees to hold does not hold.
_FARTHEST_TIP = 28.0


def with_families(bank: BodyBank, counts: Mapping[str, int], model: int, seed: int) -> BodyBank:
    """The bank with clips of families beside its own; the clips' poses have nothing to do with each other.

    Args:
        counts: family -> poses.
        model: number of the person that is laid on the floor for all.
    """
    skeletons, tensors = skeletons_of(bank), to_tensors(_only(bank, model))
    drawn = [
        _family(np.random.default_rng((seed, number)), family, count, skeletons, tensors, model)
        for number, (family, count) in enumerate(counts.items())
        if count
    ]
    # Short clips: a division by clips divides every family.
    families = [family for family, count in counts.items() if count]
    pieces = [(family, piece) for family, turns in zip(families, drawn, strict=True) for piece in _pieces(turns)]
    names = [f"{PREFIX}{family}" for family, _ in pieces]
    poses = bank.poses
    lengths = [len(piece) for _, piece in pieces]
    starts = len(poses) + np.cumsum([0, *lengths[:-1]])
    quaternions = to_quaternions(np.concatenate(drawn)).astype(np.float32)
    more = PoseClips(
        rotations=np.concatenate([poses.rotations, quaternions]),
        airborne=np.concatenate([poses.airborne, np.zeros(sum(lengths), np.float32)]),
        starts=np.concatenate([poses.starts, starts]).astype(np.int64),
        sources=np.concatenate([poses.sources, np.full(len(names), skeletons.hanging)]).astype(np.int64),
        names=(*poses.names, *names),
        period_s=poses.period_s,
    )
    return replace(bank, poses=more)


def _pieces(turns: Array) -> list[Array]:
    return np.array_split(turns, max(len(turns) // _PIECE, 1))


def _only(bank: BodyBank, number: int) -> BodyBank:
    return replace(bank, people=(bank.people[number],), crowd=None)


def _family(
    rng: np.random.Generator, family: str, count: int, skeletons: Skeletons, tensors: BankTensors, model: int
) -> Array:
    """(N, B, 3, 3) turns from hanging rest."""
    kept: list[Array] = []
    while sum(len(each) for each in kept) < count:
        turns = bone_turns(draw_bodies(rng, family, count))
        if family in RESTING:
            turns = _at_rest(turns, skeletons, tensors, model)
        kept.append(_armed(rng, family, turns, skeletons, tensors, model))
    return np.concatenate(kept)[:count]


def vertices_of(tensors: BankTensors, turns: Array) -> Array:
    """(N, V, 3) of the one body of a bank, its root at the origin."""
    with torch.no_grad():
        none = torch.zeros(len(turns))
        posed = pose_by_turns(
            tensors, none.long(), torch.from_numpy(turns.astype(np.float32)), none, torch.zeros(len(turns), 3), none
        )
    up = posed.hips[:, None, None] * torch.tensor([0.0, 0.0, 1.0])
    return np.asarray((posed.vertices - up).numpy(), np.float64)


def arm_vertices(tensors: BankTensors, body: int, bones: tuple[str, ...]) -> NDArray[np.bool_]:
    """(V,) which vertices belong to an arm."""
    ends = ("Arm", "ForeArm", "Hand", "Thumb", "FingerBase", "HandFinger1")
    arms = torch.tensor([bone.endswith(ends) for bone in bones])
    return np.asarray((tensors.skin[body][:, arms].sum(dim=1) > 0.4).numpy())


def _at_rest(turns: Array, skeletons: Skeletons, tensors: BankTensors, model: int) -> Array:
    """Poses that hold, tipped so that they do; arms do not count."""
    alignments = skeletons.alignments[model, skeletons.hanging]
    weights = _masses(tensors)
    steady = []
    for pose, vertices in zip(turns, vertices_of(tensors, turns @ alignments), strict=True):
        turn, angle = settled(vertices[weights > 0], weights[weights > 0])
        if angle < _FARTHEST_TIP:
            steady.append(turn @ pose)
    return np.stack(steady) if steady else np.zeros((0, *turns.shape[1:]))


def _masses(tensors: BankTensors) -> Array:
    """(V,) the area about each vertex of the one body, 0 on arms: as good as mass where cloth hides the rest."""
    vertices, faces = tensors.vertices[0].double().numpy(), tensors.faces[0].numpy()
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    masses = np.zeros(len(vertices))
    for corner in range(3):
        np.add.at(masses, faces[:, corner], area)
    from unipose_training.synthetic.poses.kinematics import BONES

    masses[arm_vertices(tensors, 0, BONES)] = 0.0
    return masses


def _armed(
    rng: np.random.Generator, family: str, turns: Array, skeletons: Skeletons, tensors: BankTensors, model: int
) -> Array:
    """The same with arms that are neither in the body nor in the floor, as far as the model goes."""
    if not len(turns):
        return turns
    alignments = skeletons.alignments[model, skeletons.hanging]
    laid = turns @ alignments
    vertices = vertices_of(tensors, laid)
    floor = vertices[:, _masses(tensors) > 0, 2].min(axis=1)
    towards = rng.normal(0, 1, (len(turns), 3)) * [2.0, 2.0, 0.5]
    low = family in (*RESTING, *SEATED, "crouching")
    base = Base(np.full(len(turns), model), laid, floor, towards)
    kinds = draw_gestures(rng, LOW_PAIRS if low else PAIRS, len(turns))
    armed = with_arms(rng, skeletons, base, kinds)
    good = armed.bad < 0.05
    return np.asarray((armed.turns @ alignments.swapaxes(1, 2))[good])
