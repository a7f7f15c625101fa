"""Clip plans -> people in motion, and the room they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.bank.types import alignment_quaternions
from unipose_training.synthetic.body import Body, Shape, load_body
from unipose_training.synthetic.materials import Surface
from unipose_training.synthetic.motion import Motion, mirror, retarget, sample, stroll, turn
from unipose_training.synthetic.motion_files import read_cmu, read_deepmimic
from unipose_training.synthetic.poses.bodies import RESTING, draw_bodies
from unipose_training.synthetic.poses.compose import Base, with_arms
from unipose_training.synthetic.poses.kinematics import BONES, HANGING_REST, bone_turns, random_turns
from unipose_training.synthetic.poses.skeletons import Skeletons, matrices, settled
from unipose_training.synthetic.variety.furniture import build_room, chair, placed, stool
from unipose_training.synthetic.variety.plans import Captured, ClipPlan, Posed, Role, Stroll, Struck
from unipose_training.synthetic.variety.postures import Posture, between, with_arms_of
from unipose_training.synthetic.wardrobe import DressedPerson, dress

Array = NDArray[np.float64]


#: Leg length in meters of the DeepMimic humanoid: thigh 0.42, shin 0.41.
_PERFORMER_LEG = 0.83
#: Captured motion stays within this many meters of its place.
_ROAM = 0.45
#: A seat lies this far below the joints of the hips: meters of flesh and cloth.
_SEAT_BELOW_HIPS = 0.10


@dataclass(frozen=True)
class Sources:
    """Where motions and clothes come from.

    Attributes:
        motions: the pybullet wheel, or a folder of its clips.
        clothes: folder of MakeHuman garments; painted clothes without it.
        cmu: folder of CMU motion capture, or None.
        cmu_rate_hz: its frame rate; 120 as published.
    """

    motions: Path
    clothes: Path | None = None
    cmu: Path | None = None
    cmu_rate_hz: float = 120.0

    def cmu_clips(self) -> tuple[str, ...]:
        """Names of the CMU trials."""
        return tuple(sorted(trial.stem for trial in self.cmu.glob("*_*.amc"))) if self.cmu else ()


def perform(plan: ClipPlan, sources: Sources) -> tuple[list[DressedPerson], list[Surface]]:
    """All people in all frames, and the room with the seats they sit on.

    Raises:
        SyntheticError: a motion or a garment cannot be read.
    """
    people = [_perform_role(role, plan, sources) for role in plan.roles]
    room = build_room(plan.room)
    for number, (role, person) in enumerate(zip(plan.roles, people, strict=True)):
        room += _seat(role, person, plan.seed + number)
    return people, room


def _perform_role(role: Role, plan: ClipPlan, sources: Sources) -> DressedPerson:
    body, shape = load_body(), role.person.shape
    skeleton = body.rest_skeleton(shape)
    times = np.arange(plan.frames) / plan.rate_hz
    motion = _motion(role, times, sources, skeleton.leg_length / _PERFORMER_LEG)
    person = dress(body, body.pose(shape, retarget(motion, skeleton)), role.person.outfit, sources.clothes)
    return person.lifted(-person.lowest())


def _motion(role: Role, times: Array, sources: Sources, scale: float) -> Motion:
    act = role.act
    if isinstance(act, Stroll):
        walk = stroll(
            _clip(sources, "walk"), act.path.points(), np.append(times, times[-1] + times[1]), scale, act.phase
        )
        motion = replace(walk, rotations=walk.rotations[:-1], root=walk.root[:-1])
        return _with_arms(motion, act.arms)
    if isinstance(act, Captured):
        motion = _with_arms(_piece(_clip(sources, act.clip), act, times), act.arms)
    elif isinstance(act, Struck):
        motion = struck_motion(act, load_body(), role.person.shape, len(times), float(times[1]))
    else:
        motion = between(act.keys, len(times), float(times[1]))
    roam = motion.root[:, :2] - motion.root[:, :2].mean(axis=0)
    roam *= min(1.0, _ROAM / max(np.linalg.norm(roam, axis=1).max(), 1e-6))
    c, s = np.cos(role.heading), np.sin(role.heading)
    return turn(motion, np.full(len(times), role.heading), roam @ np.array([[c, s], [-s, c]]) + [role.x, role.y])


def _piece(clip: Motion, act: Captured, times: Array) -> Motion:
    spare = max(clip.duration_s - times[-1], 0.0)
    piece = sample(clip, act.start * spare + times)
    return mirror(piece) if act.mirrored else piece


def _with_arms(motion: Motion, arms: Sequence[Posture]) -> Motion:
    return with_arms_of(motion, between(arms, len(motion), motion.period_s)) if arms else motion


@cache
def _clip(sources: Sources, name: str) -> Motion:
    subject = name.split("_")[0]
    if not subject.isdigit():
        return read_deepmimic(sources.motions, name)
    if sources.cmu is None:
        raise SyntheticError(f"clip '{name}' is one of CMU's; name the folder with --cmu")
    return read_cmu(sources.cmu / f"{subject}.asf", sources.cmu / f"{name}.amc", sources.cmu_rate_hz)


def _seat(role: Role, person: DressedPerson, seed: int) -> list[Surface]:
    if not isinstance(role.act, Posed) or not role.act.seat:
        return []
    hips = person.joints[0, [11, 12]].mean(axis=0)
    height = max(float(hips[2]) - _SEAT_BELOW_HIPS, 0.15)
    build = {"chair": chair, "stool": stool}[role.act.seat]
    # The middle of the seat is a little before the hips.
    forward = np.array([np.sin(role.heading), -np.cos(role.heading)])
    x, y = hips[:2] + 0.06 * forward
    return placed(build(np.random.default_rng(seed), height), float(x), float(y), role.heading)


# Families of poses in clips: a person holds trunk and legs, and moves the arms from gesture to gesture.

_BONE = {name: number for number, name in enumerate(BONES)}
#: Meters of cloth around the trunk.
_CLOTH = 0.015
#: Degrees by which people sway from key to key.
_SWAY = 1.5
_TRIES = 30
#: Who would have to tip farther does not hold.
_FARTHEST_TIP = 28.0


def struck_motion(act: Struck, body: Body, shape: Shape, frames: int, period_s: float) -> Motion:
    """What the act is for a body of that shape, facing -y, hips above the origin."""
    rng = np.random.default_rng(act.seed)
    skeletons = _skeleton(body, shape)
    turns, floor = _resting(rng, act, body, shape)
    alignments = skeletons.alignments[0, 0]
    keys = []
    for pair in act.gestures:
        swayed = random_turns(rng, 1, _SWAY)[0] @ turns
        laid = (swayed @ alignments)[None]
        base = Base(np.zeros(1, np.int64), laid, np.array([floor]), np.array([act.towards]))
        armed = with_arms(rng, skeletons, base, np.array([pair]))
        keys.append(armed.turns[0] @ alignments.transpose(0, 2, 1))
    return _between(np.stack(keys), frames, period_s, act.family)


def _skeleton(body: Body, shape: Shape) -> Skeletons:
    rest, heads = body.rest(shape), body.rest_skeleton(shape).heads[None]
    alignments = matrices(
        alignment_quaternions(HANGING_REST[None], body.bones, body.parents, heads.astype(np.float32)).astype(np.float64)
    )
    low, high = heads[0, _BONE["Hips"], 2], heads[0, _BONE["Spine1"], 2]
    strongest = body.skin_weights[body.skin].argmax(axis=1)
    of_trunk = np.isin(strongest, [_BONE[name] for name in ("Hips", "LowerBack", "Spine", "Spine1")])
    trunk = rest[body.skin][of_trunk & (rest[body.skin, 2] > low - 0.05) & (rest[body.skin, 2] < high + 0.1)]
    width = np.percentile(np.abs(trunk[:, 0]), 90)
    depth = np.ptp(np.percentile(trunk[:, 1], [10, 90])) / 2
    arms = np.array([
        np.linalg.norm(heads[0, _BONE[far]] - heads[0, _BONE[near]])
        for near, far in (("LeftArm", "LeftForeArm"), ("LeftForeArm", "LeftHand"))
    ])  # fmt: skip
    girth = np.array([[width + _CLOTH, depth + _CLOTH]])
    return Skeletons(heads, alignments, girth, arms[None], np.array([arms.sum()]), np.array(body.parents), 0)


def _resting(rng: np.random.Generator, act: Struck, body: Body, shape: Shape) -> tuple[Array, float]:
    """(B, 3, 3) turns of trunk and legs that hold, and the floor's height seen from the hips."""
    trunk = body.skin[_arm_weights(body)[body.skin] < 0.4]
    turns = np.zeros((len(BONES), 3, 3))
    floor = 0.0
    for _ in range(_TRIES):
        turns = bone_turns(draw_bodies(rng, act.family, 1))[0]
        points = _vertices(body, shape, turns)[trunk]
        angle = 0.0
        if act.family in RESTING:
            turn, angle = settled(points, np.ones(len(points)))
            turns, points = turn @ turns, points @ turn.T
        floor = float(points[:, 2].min())
        if angle < _FARTHEST_TIP:
            break
    return turns, floor


def _arm_weights(body: Body) -> Array:
    ends = ("Arm", "ForeArm", "Hand", "Thumb", "FingerBase", "HandFinger1")
    return np.asarray(body.skin_weights[:, [bone.endswith(ends) for bone in body.bones]].sum(axis=1))


def _vertices(body: Body, shape: Shape, turns: Array) -> Array:
    """(V, 3) of a body, its hips at the origin."""
    still = _from_turns(np.stack([turns, turns]), 1.0, "pose")
    return np.asarray(body.pose(shape, retarget(still, body.rest_skeleton(shape))[:1]).vertices[0])


def _from_turns(turns: Array, period_s: float, name: str) -> Motion:
    return Motion(name, BONES, turns, HANGING_REST, np.zeros((len(turns), 3)), period_s)


def _between(keys: Array, frames: int, period_s: float, name: str) -> Motion:
    """From key to key, slowing down at each."""
    if len(keys) == 1:
        return _from_turns(np.repeat(keys, frames, axis=0), period_s, name)
    at = np.linspace(0, len(keys) - 1, frames)
    first = np.minimum(at.astype(int), len(keys) - 2)
    way = at - first
    smooth = first + way * way * (3 - 2 * way)
    turns = np.empty((frames, len(BONES), 3, 3))
    for bone in range(len(BONES)):
        turns[:, bone] = Slerp(np.arange(len(keys)), Rotation.from_matrix(keys[:, bone]))(smooth).as_matrix()
    return _from_turns(turns, period_s, name)
