"""Clip plans -> people in motion, and the room they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.asf_amc import read_cmu
from unipose_training.synthetic.body import load_body
from unipose_training.synthetic.deepmimic import read_deepmimic
from unipose_training.synthetic.errors import SyntheticError
from unipose_training.synthetic.motion import Motion, mirror, sample, turn
from unipose_training.synthetic.retarget import retarget
from unipose_training.synthetic.strike import struck_motion
from unipose_training.synthetic.stroll import stroll
from unipose_training.synthetic.surfaces import Surface
from unipose_training.synthetic.variety.articulate import between, with_arms_of
from unipose_training.synthetic.variety.furniture import chair, stool
from unipose_training.synthetic.variety.plans import Captured, ClipPlan, Posed, Role, Stroll, Struck
from unipose_training.synthetic.variety.postures import Posture
from unipose_training.synthetic.variety.rooms import build_room
from unipose_training.synthetic.variety.solids import placed
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
