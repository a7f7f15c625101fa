"""Poses of a bank: motion capture, and families of trunks and legs laid on the floor as their weight lays them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from unipose_training.synthetic.bank.posing import BankTensors, pose_by_turns, to_tensors
from unipose_training.synthetic.bank.types import BodyBank, PoseClips
from unipose_training.synthetic.poses.bodies import RESTING, SEATED, draw_bodies
from unipose_training.synthetic.poses.compose import Base, draw_gestures, with_arms
from unipose_training.synthetic.poses.gestures import LOW_PAIRS, PAIRS
from unipose_training.synthetic.poses.kinematics import bone_turns
from unipose_training.synthetic.poses.rotations import to_quaternions
from unipose_training.synthetic.poses.settle import settled
from unipose_training.synthetic.poses.skeletons import Skeletons, skeletons_of

Array = NDArray[np.float64]
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
    from unipose_training.synthetic.rig import BONES

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
