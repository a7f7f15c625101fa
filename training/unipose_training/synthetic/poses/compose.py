"""Arms of one kind on bodies of another: drawn, checked against the body and the floor, and the best kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.poses.gestures import GESTURES, Arms, Landmarks, beyond_limits
from unipose_training.synthetic.poses.kinematics import ARM_BONES, BONES, about, arm_bone
from unipose_training.synthetic.poses.skeletons import Skeletons

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
#: A right arm is a left one mirrored.
_FLIPS = np.array([[1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])
_BONE = {name: number for number, name in enumerate(BONES)}
_SIDES = ("Left", "Right")
#: Radii of limbs and head in lengths of an arm (0.55 m in an adult).
_HEAD, _UPPER, _FORE, _HAND, _THIGH, _SHIN = 0.20, 0.075, 0.06, 0.05, 0.14, 0.09
#: A hand reaches beyond the wrist by this fraction of the arm.
_FINGERS = 0.30
#: Meters that arms may sink into the body: flesh and cloth give way.
_SOFT = 0.02
#: Bad enough to be drawn again, and bad enough to be refused: meters of penetration plus degrees / 300.
_GOOD, _REFUSED = 0.02, 0.06
#: How many copies are tried at a time, and of which gesture instead of the wanted one.
_TRIES = ((1, ""), (3, ""), (6, ""), (3, "free"), (4, "working"))


@dataclass(frozen=True, eq=False)
class Base:
    """N bodies that need arms.

    Attributes:
        body: (N,) number of the skeleton.
        turns: (N, B, 3, 3) of all bones from the body's own rest; those of the arms are kept where none fits.
        floor: (N,) meters, height of the floor seen from the root.
        towards: (N, 3) meters from the root to what may be pointed at.
    """

    body: Integers
    turns: Array
    floor: Array
    towards: Array


@dataclass(frozen=True, eq=False)
class Armed:
    """Bodies with arms.

    Attributes:
        turns: (N, B, 3, 3).
        gestures: (N, 2) names of the left and right arm's gestures; empty where the old arms are kept.
        bad: (N,) how far arms are in the body or the floor, or beyond their limits, in meters.
    """

    turns: Array
    gestures: NDArray[np.str_]
    bad: Array


def draw_gestures(rng: np.random.Generator, pairs: Sequence[tuple[str, str, float]], count: int) -> NDArray[np.str_]:
    """(N, 2) what left and right arms do; either way round.

    Args:
        pairs: see :data:`~unipose_training.synthetic.poses.gestures.PAIRS`.
    """
    weights = np.array([weight for *_, weight in pairs])
    kinds = np.array([names[:2] for names in pairs])[rng.choice(len(pairs), count, p=weights / weights.sum())]
    return np.where((rng.random(count) < 0.5)[:, None], kinds, kinds[:, ::-1])


def with_arms(rng: np.random.Generator, skeletons: Skeletons, base: Base, kinds: NDArray[np.str_]) -> Armed:
    """Give arms to all people; of several tries the first good one is kept.

    A gesture that does not fit is tried again before it is exchanged for another one, so that hard ones are not rarer.

    Args:
        kinds: (N, 2) gestures of left and right arms.
    """
    people = len(base.body)
    turns, gestures = base.turns.copy(), np.full((people, 2), "", dtype="<U24")
    bad = np.full(people, np.inf)
    left = np.arange(people)
    for copies, instead in _TRIES:
        rows = np.repeat(left, copies)
        some = Base(base.body[rows], base.turns[rows], base.floor[rows], base.towards[rows])
        chosen = np.full((len(rows), 2), instead) if instead else kinds[rows]
        tried, badness = _try(rng, skeletons, some, chosen)
        best = badness.reshape(-1, copies).argmin(axis=1) + copies * np.arange(len(left))
        best = best[badness[best] < bad[left]]
        turns[rows[best]], bad[rows[best]], gestures[rows[best]] = tried[best], badness[best], chosen[best]
        left = left[bad[left] > _GOOD]
        if not len(left):
            break
    refused = bad > _REFUSED
    turns[refused], gestures[refused] = base.turns[refused], ""
    return Armed(turns, gestures, bad)


def _try(rng: np.random.Generator, skeletons: Skeletons, base: Base, kinds: NDArray[np.str_]) -> tuple[Array, Array]:
    """One try: (N, B, 3, 3) turns, and (N,) how bad they are."""
    people = len(base.body)
    places = skeletons.joints(base.body, base.turns)
    shared = np.tile(rng.random((people, 4)), (2, 1))
    seed = int(rng.integers(2**63))
    # Left arms, then right arms.
    wanted = kinds.T.reshape(-1)
    shoulder = np.concatenate([places[:, _BONE[f"{side}Arm"]] for side in _SIDES])
    arms = _drawn(seed, _landmarks(skeletons, base, places, shoulder, shared), wanted)
    # The shoulder moves with the arm: the same again from where it is then.
    shoulder = _moved_shoulders(skeletons, base, places, arms)
    arms = _drawn(seed, _landmarks(skeletons, base, places, shoulder, shared), wanted)
    turns = _put(rng, skeletons, base, arms)
    beyond = beyond_limits(arms).reshape(2, people).max(axis=0) / 300
    return turns, np.maximum(beyond, penetration(skeletons, base, turns))


def _drawn(seed: int, marks: Landmarks, kinds: NDArray[np.str_]) -> Arms:
    """Arms of N kinds."""
    parts, rows = [], []
    for number, kind in enumerate(GESTURES):
        here = np.flatnonzero(kinds == kind)
        if len(here):
            parts.append(GESTURES[kind](np.random.default_rng((seed, number)), marks[here]))
            rows.append(here)
    order = np.argsort(np.concatenate(rows))
    names = ("shoulder", "upper", "forearm", "hand")
    return Arms(*(np.concatenate([getattr(part, name) for part in parts])[order] for name in names))


def _landmarks(skeletons: Skeletons, base: Base, places: Array, shoulder: Array, shared: Array) -> Landmarks:
    """What all left arms, then all right arms find about them, in the chest's frame as a left arm sees it.

    Args:
        shoulder: (2 N, 3) where the arms begin.
    """
    body = base.body
    into_chest = np.tile(base.turns[:, _BONE["Spine1"]], (2, 1, 1))
    flip = np.repeat(_FLIPS, len(body), axis=0)

    def both(name: str, swapped: bool = False) -> Array:
        sides = _SIDES[::-1] if swapped else _SIDES
        return np.concatenate([places[:, _BONE[f"{side}{name}"]] for side in sides])

    def seen(place: Array) -> Array:
        return np.asarray(np.einsum("nij,ni->nj", into_chest, place - shoulder) * flip)

    away = seen(np.tile(base.towards, (2, 1)))
    return Landmarks(
        lengths=np.tile(skeletons.arms[body], (2, 1)),
        head=seen(np.tile(_head(skeletons, body, places, base.turns), (2, 1))),
        hip=seen(both("UpLeg")),
        knee=seen(both("Leg")),
        other=seen(both("Arm", swapped=True)),
        girth=np.tile(skeletons.girth[body], (2, 1)),
        towards=away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9),
        shared=shared,
    )


def _head(skeletons: Skeletons, body: Integers, places: Array, turns: Array) -> Array:
    """(N, 3) middle of the heads: a little above and before where the head's bone begins."""
    offset = np.array([0.0, -0.05, 0.20]) * skeletons.size[body][:, None]
    return np.asarray(places[:, _BONE["Head"]] + np.einsum("nij,nj->ni", turns[:, _BONE["Head"]], offset))


def _moved_shoulders(skeletons: Skeletons, base: Base, places: Array, arms: Arms) -> Array:
    """(2 N, 3) where upper arms begin when the shoulders have followed them."""
    turn = np.tile(base.turns[:, _BONE["Spine1"]], (2, 1, 1)) @ _sided(arms.shoulder)
    heads = skeletons.heads[base.body]
    steps = np.concatenate([heads[:, _BONE[f"{side}Arm"]] - heads[:, _BONE[f"{side}Shoulder"]] for side in _SIDES])
    start = np.concatenate([places[:, _BONE[f"{side}Shoulder"]] for side in _SIDES])
    return np.asarray(start + np.einsum("nij,nj->ni", turn, steps))


def _sided(turns: Array) -> Array:
    """(2 N, 3, 3) turns in the frame of a left arm -> in the chest's."""
    flip = np.repeat(_FLIPS, len(turns) // 2, axis=0)
    return np.asarray(turns * flip[:, :, None] * flip[:, None])


def _put(rng: np.random.Generator, skeletons: Skeletons, base: Base, arms: Arms) -> Array:
    """(N, B, 3, 3) turns with the bones of both arms."""
    body, turns = base.body, base.turns.copy()
    chest = turns[:, None, _BONE["Spine1"]]
    upper, forearm, hand, shoulder = (
        _sided(part).reshape(2, len(body), 3, 3).swapaxes(0, 1)
        for part in (arms.upper, arms.forearm, arms.hand, arms.shoulder)
    )
    bend = rng.choice([8.0, 35.0, 75.0], (len(body), 2)) * [1.0, -1.0]
    curl = about("y", bend.reshape(-1)).reshape(-1, 2, 3, 3)
    parts = {"Arm": upper, "ForeArm": forearm, "Hand": hand, "Thumb": hand, "FingerBase": hand @ curl,
             "HandFinger1": hand @ curl @ curl}  # fmt: skip
    turns[:, [_BONE[f"{side}Shoulder"] for side in _SIDES]] = chest @ shoulder
    for name in ARM_BONES:
        bones = [arm_bone(side, name) for side in _SIDES]
        turns[:, bones] = chest @ parts[name] @ skeletons.alignments[body][:, skeletons.hanging, bones]
    return turns


def penetration(skeletons: Skeletons, base: Base, turns: Array) -> Array:
    """(N,) meters by which arms are in the trunk, the head, the legs, each other or the floor."""
    body, size = base.body, skeletons.size[base.body]
    places = skeletons.joints(body, turns)
    limbs = [_arm_points(places, turns, size, side, skeletons, body) for side in range(2)]
    points = np.stack([each[0] for each in limbs], 1)
    radii = np.concatenate([np.full(3, _UPPER), np.full(3, _FORE), np.full(2, _HAND)]) * size[:, None]
    worst = _in_trunk(skeletons, body, places, turns, points, radii)
    head = _head(skeletons, body, places, turns)[:, None, None]
    worst = np.maximum(worst, (_HEAD * size[:, None, None] + 0.6 * radii[:, None] - _far(points - head)).max((1, 2)))
    for side in _SIDES:
        for start, end, radius in (("UpLeg", "Leg", _THIGH), ("Leg", "Foot", _SHIN)):
            near = _to_segment(points, places[:, _BONE[f"{side}{start}"]], places[:, _BONE[f"{side}{end}"]])
            worst = np.maximum(worst, (radius * size[:, None, None] + 0.7 * radii[:, None] - near).max((1, 2)))
    between = _far(points[:, 0, 2:, None] - points[:, 1, None, 2:])
    allowed = 0.7 * (radii[:, 2:, None] + radii[:, None, 2:])
    worst = np.maximum(worst, (allowed - between).max((1, 2)))
    worst = np.maximum(worst, (base.floor[:, None, None] + 0.8 * radii[:, None] - points[..., 2]).max((1, 2)))
    return np.asarray(np.maximum(worst - _SOFT, 0.0))


def _far(vectors: Array) -> Array:
    return np.asarray(np.linalg.norm(vectors, axis=-1))


def _arm_points(
    places: Array, turns: Array, size: Array, side: int, skeletons: Skeletons, body: Integers
) -> tuple[Array, Array]:
    """(N, 8, 3) places along an arm, from the middle of the upper arm to the fingers."""
    own = _SIDES[side]
    arm, elbow, wrist = (places[:, _BONE[f"{own}{name}"]] for name in ("Arm", "ForeArm", "Hand"))
    rest = skeletons.heads[body]
    along = rest[:, _BONE[f"{own}FingerBase"]] - rest[:, _BONE[f"{own}Hand"]]
    along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9) * (_FINGERS * size)[:, None]
    tip = wrist + np.einsum("nij,nj->ni", turns[:, _BONE[f"{own}Hand"]], along)
    points = [arm + t * (elbow - arm) for t in (0.5, 0.75, 1.0)]
    points += [elbow + t * (wrist - elbow) for t in (0.35, 0.7, 1.0)]
    points += [wrist + t * (tip - wrist) for t in (0.5, 0.9)]
    return np.stack(points, 1), tip


def _to_segment(points: Array, start: Array, end: Array) -> Array:
    """(N, 2, K) meters from points to one segment each."""
    along = (end - start)[:, None, None]
    at = ((points - start[:, None, None]) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-9)
    return _far(points - start[:, None, None] - np.clip(at, 0, 1)[..., None] * along)


def _in_trunk(skeletons: Skeletons, body: Integers, places: Array, turns: Array, points: Array, radii: Array) -> Array:
    """(N,) how deep points are in the trunk: ellipses from the hips to below the shoulders."""
    half = skeletons.girth[body]
    hips, chest = places[:, _BONE["Hips"]], places[:, _BONE["Spine1"]]
    shoulders = (places[:, _BONE["LeftArm"]] + places[:, _BONE["RightArm"]]) / 2
    worst = np.full(len(body), -1.0)
    spine = (chest + shoulders) / 2
    for start, end, frame in ((hips, spine, "Spine"), (spine, shoulders, "Spine1")):
        axis = (end - start)[:, None, None]
        at = ((points - start[:, None, None]) * axis).sum(-1) / np.maximum((axis**2).sum(-1), 1e-9)
        off = points - start[:, None, None] - np.clip(at, 0, 1)[..., None] * axis
        local = np.einsum("nij,nski->nskj", turns[:, _BONE[frame]], off)
        wide = half[:, :1, None] + 0.6 * radii[:, None]
        deep = half[:, 1:, None] + 0.6 * radii[:, None]
        level = np.sqrt((local[..., 0] / wide) ** 2 + (local[..., 1] / deep) ** 2 + (local[..., 2] / deep) ** 2)
        inside = (1 - level) * deep
        # The upper arm leaves the trunk where it begins.
        inside[..., :1] = -1.0
        worst = np.maximum(worst, inside.max((1, 2)))
    return worst
