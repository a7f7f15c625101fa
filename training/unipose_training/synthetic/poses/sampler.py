"""Poses that no other person has: trunk and legs of a bank's pose, jittered and mirrored, with arms of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.bank.types import BodyBank
from unipose_training.synthetic.poses.bodies import RESTING, SEATED
from unipose_training.synthetic.poses.compose import Base, draw_gestures, with_arms
from unipose_training.synthetic.poses.gestures import LOW_PAIRS, PAIRS
from unipose_training.synthetic.poses.kinematics import BONES, arm_bone, mirrored_turns, random_turns
from unipose_training.synthetic.poses.skeletons import Skeletons, matrices, skeletons_of

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
_PREFIX = "body_"
#: How often each family is drawn; ``motion`` stands for all clips that are not of a family.
MIX: Mapping[str, float] = {
    "standing": 0.22, "gait": 0.10, "motion": 0.12, "kick": 0.06, "step_over": 0.05, "lunge": 0.05,
    "half_kneeling": 0.03, "kneeling": 0.03, "crouching": 0.05, "bending": 0.06, "seated": 0.10, "perched": 0.02,
    "floor_sitting": 0.06, "lying": 0.05, "reclining": 0.02, "anyhow": 0.06,
}  # fmt: skip
#: Degrees of jitter (standard deviation) of thighs, shins, trunk and head; of people who rest on the floor a quarter.
_JITTER = {"UpLeg": 3.5, "Leg": 3.5, "trunk": 3.0, "head": 5.0}
_BONE = {name: number for number, name in enumerate(BONES)}
_UPPER = [
    n
    for n, name in enumerate(BONES)
    if not name.endswith(("Leg", "Foot", "ToeBase", "HipJoint")) and name not in ("Hips", "LowerBack")
]
_HEAD = [_BONE[name] for name in ("Neck1", "Head")]
#: Vertices that stand for the body when the floor of a pose is looked for.
_FEW = 6


@dataclass(frozen=True, eq=False)
class Drawn:
    """N poses.

    Attributes:
        poses: (N,) numbers in the bank.
        families: (N,) names.
        turns: (N, B, 3, 3) of each bone from the body's own rest, facing -y.
        gestures: (N, 2) of the left and right arm; empty where the pose's own arms were kept.
        floor: (N,) meters, height of the floor seen from the root; good to some centimeters.
    """

    poses: Integers
    families: NDArray[np.str_]
    turns: Array
    gestures: NDArray[np.str_]
    floor: Array


class PoseSampler:
    """Draws poses for bodies of one bank."""

    def __init__(self, bank: BodyBank) -> None:
        """Keep what is needed of a bank."""
        self.skeletons: Skeletons = skeletons_of(bank)
        clips = bank.poses.clip_of_poses()
        names = np.array([n[len(_PREFIX) :] if n.startswith(_PREFIX) else "motion" for n in bank.poses.names])
        self._family = names[clips]
        self._sources = bank.poses.sources[clips]
        self._rotations = matrices(bank.poses.rotations.astype(np.float64))
        self._airborne = bank.poses.airborne
        self._leg = _leg_lengths(self.skeletons)
        self._floor = _floors(bank, self._rotations, self._sources, self.skeletons)

    def families(self, mix: Mapping[str, float]) -> tuple[list[str], Array]:
        """Those families of a mix that the bank has, and how often they are drawn."""
        there = [name for name in mix if (self._family == name).any() and mix[name] > 0]
        weights = np.array([mix[name] for name in there])
        if not there:
            there, weights = sorted(set(self._family.tolist())), np.ones(len(set(self._family.tolist())))
        return there, weights / weights.sum()

    def draw(
        self,
        rng: np.random.Generator,
        body: Integers,
        towards: Array,
        mix: Mapping[str, float] | Sequence[Mapping[str, float]] = MIX,
        pairs: Mapping[int, Sequence[tuple[str, str, float]]] | None = None,
        arms: float = 0.75,
    ) -> Drawn:
        """Poses for N bodies.

        Args:
            body: (N,) numbers of the people.
            towards: (N, 3) meters from the hips to what may be pointed at, in the person's own frame.
            mix: how often each family is drawn; one mix for all people or one for each.
            pairs: rows whose arms have to do something particular -> what.
            arms: fraction of captured motion whose arms are drawn anew; those of families always are.
        """
        count = len(body)
        poses = np.zeros(count, np.int64)
        mixes = [mix] * count if isinstance(mix, Mapping) else list(mix)
        for kind in {id(each): each for each in mixes}.values():
            rows = np.flatnonzero([each is kind for each in mixes])
            names, weights = self.families(kind)
            for name, row in zip(rng.choice(names, len(rows), p=weights), rows, strict=True):
                here = np.flatnonzero(self._family == name)
                poses[row] = here[rng.integers(len(here))]
        families = self._family[poses]
        turns = self._turned(rng, body, poses, families)
        floor = self._floor[poses] * self._leg[body] / self._leg[0]
        low = np.isin(families, [*RESTING, *SEATED, "crouching", "bending"])
        kinds = np.where(low[:, None], draw_gestures(rng, LOW_PAIRS, count), draw_gestures(rng, PAIRS, count))
        renewed = (families != "motion") | (rng.random(count) < arms)
        for number, wanted in (pairs or {}).items():
            kinds[number], renewed[number] = draw_gestures(rng, wanted, 1)[0], True
        gestures = np.full((count, 2), "", dtype="<U24")
        rows = np.flatnonzero(renewed)
        if len(rows):
            base = Base(body[rows], turns[rows], floor[rows], towards[rows])
            armed = with_arms(rng, self.skeletons, base, kinds[rows])
            turns[rows], gestures[rows] = armed.turns, armed.gestures
        return Drawn(poses, families, turns, gestures, floor)

    def _turned(self, rng: np.random.Generator, body: Integers, poses: Integers, families: NDArray[np.str_]) -> Array:
        """(N, B, 3, 3) from the bodies' rest: mirrored and jittered."""
        turns = self._rotations[poses]
        turns = np.where((rng.random(len(poses)) < 0.5)[:, None, None, None], mirrored_turns(turns), turns)
        scale = np.where(np.isin(families, RESTING), 0.25, 1.0)
        for side in ("Left", "Right"):
            for bones, name in (((f"{side}UpLeg",), "UpLeg"), ((f"{side}Leg", f"{side}Foot", f"{side}ToeBase"), "Leg")):
                jitter = random_turns(rng, len(poses), _JITTER[name] * scale)
                rows = [_BONE[bone] for bone in bones]
                turns[:, rows] = jitter[:, None] @ turns[:, rows]
        for rows, name in ((_UPPER, "trunk"), (_HEAD, "head")):
            turns[:, rows] = random_turns(rng, len(poses), _JITTER[name] * scale)[:, None] @ turns[:, rows]
        return np.asarray(turns @ self.skeletons.alignments[body, self._sources[poses]])


def _leg_lengths(skeletons: Skeletons) -> Array:
    hip, knee, foot = (skeletons.heads[:, _BONE[name]] for name in ("LeftUpLeg", "LeftLeg", "LeftFoot"))
    return np.asarray(np.linalg.norm(knee - hip, axis=1) + np.linalg.norm(foot - knee, axis=1))


def _floors(bank: BodyBank, rotations: Array, sources: Integers, skeletons: Skeletons) -> Array:
    """(F,) lowest point of the first body in every pose without its arms, seen from the root."""
    person = bank.people[0]
    arms = [
        n
        for n, name in enumerate(BONES)
        if any(
            n == arm_bone(s, e)
            for s in ("Left", "Right")
            for e in ("Arm", "ForeArm", "Hand", "Thumb", "FingerBase", "HandFinger1")
        )
    ]
    of_arm = (person.weights * np.isin(person.bones, arms)).sum(axis=1) > 0.4
    few = np.flatnonzero(~of_arm)[::_FEW]
    bones = np.take_along_axis(person.bones, person.weights.argmax(axis=1)[:, None], axis=1)[few, 0]
    own = person.vertices[few] - person.heads[bones]
    lowest = np.zeros(len(rotations))
    for rows in np.array_split(np.arange(len(rotations)), max(len(rotations) // 256, 1)):
        turns = rotations[rows] @ skeletons.alignments[0, sources[rows]]
        joints = skeletons.joints(np.zeros(len(rows), np.int64), turns)
        heights = joints[:, bones, 2] + np.einsum("nvj,vj->nv", turns[:, bones, 2], own)
        lowest[rows] = heights.min(axis=1)
    return lowest
