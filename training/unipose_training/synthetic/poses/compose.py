"""Arms of one kind on bodies of another: drawn, checked against the body and the floor, and the best kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.poses.arms import Arms, beyond_limits
from unipose_training.synthetic.poses.gestures import GESTURES, Landmarks
from unipose_training.synthetic.poses.kinematics import ARM_BONES, arm_bone
from unipose_training.synthetic.poses.rotations import about
from unipose_training.synthetic.poses.skeletons import Skeletons
from unipose_training.synthetic.rig import BONES

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
_FLIP = np.array([-1.0, 1.0, 1.0])
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
        wrists: (N, 2, 3) meters from the root.
    """

    turns: Array
    gestures: NDArray[np.str_]
    bad: Array
    wrists: Array


def with_arms(
    rng: np.random.Generator,
    skeletons: Skeletons,
    base: Base,
    pairs: Sequence[tuple[str, str, float]],
    tries: int = 6,
) -> Armed:
    """Draw arms for everybody; of several tries the first good one is kept.

    Args:
        pairs: what both arms do and how often, see :data:`~unipose_training.synthetic.poses.gestures.PAIRS`.
    """
    people = len(base.body)
    turns, gestures = base.turns.copy(), np.full((people, 2), "", dtype="<U24")
    bad = np.full(people, np.inf)
    weights = np.array([weight for *_, weight in pairs])
    # The gesture is drawn once: a hard one is tried again, not exchanged for an easy one.
    pair = rng.choice(len(pairs), people, p=weights / weights.sum())
    kinds = np.array([names[:2] for names in pairs])[pair]
    kinds = np.where((rng.random(people) < 0.5)[:, None], kinds, kinds[:, ::-1])
    left = np.arange(people)
    for attempt in range(tries):
        some = Base(base.body[left], base.turns[left], base.floor[left], base.towards[left])
        # Who fits no such arms after most tries gets any.
        chosen = kinds[left] if attempt < tries - 1 else np.full((len(left), 2), "free" if attempt % 2 else "working")
        tried, badness = _try(rng, skeletons, some, chosen)
        better = badness < bad[left]
        turns[left[better]], bad[left[better]] = tried[better], badness[better]
        gestures[left[better]] = chosen[better]
        left = left[bad[left] > _GOOD]
        if not len(left):
            break
    refused = bad > _REFUSED
    turns[refused], gestures[refused] = base.turns[refused], ""
    joints = skeletons.joints(base.body, turns)
    return Armed(turns, gestures, bad, joints[:, [_BONE["LeftHand"], _BONE["RightHand"]]])


def _try(rng: np.random.Generator, skeletons: Skeletons, base: Base, kinds: NDArray[np.str_]) -> tuple[Array, Array]:
    chest = base.turns[:, _BONE["Spine1"]]
    places = skeletons.joints(base.body, base.turns)
    shared = rng.random((len(base.body), 4))
    turns, beyond = base.turns.copy(), np.zeros(len(base.body))
    for side in range(2):
        seed = int(rng.integers(2**63))
        shoulder = places[:, _BONE[f"{_SIDES[side]}Arm"]]
        arms = _drawn(seed, _landmarks(skeletons, base, places, shoulder, side, shared), kinds[:, side])
        # The shoulder moves with the arm: the same again from where it is then.
        shoulder = _moved_shoulder(skeletons, base.body, places, chest, arms, side)
        arms = _drawn(seed, _landmarks(skeletons, base, places, shoulder, side, shared), kinds[:, side])
        beyond = np.maximum(beyond, beyond_limits(arms) / 300)
        _put(skeletons, base.body, turns, arms, side, rng)
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


def _landmarks(skeletons: Skeletons, base: Base, places: Array, shoulder: Array, side: int, shared: Array) -> Landmarks:
    """What the arm of a side finds about it, in the chest's frame as a left arm sees it."""
    body, chest = base.body, base.turns[:, _BONE["Spine1"]]
    own, other = _SIDES[side], _SIDES[1 - side]
    flip = _FLIP if side else np.ones(3)

    def seen(place: Array) -> Array:
        return np.asarray(np.einsum("nij,ni->nj", chest, place - shoulder) * flip)

    heads = skeletons.heads[body]
    lengths = [
        np.linalg.norm(heads[:, _BONE[f"{own}{far}"]] - heads[:, _BONE[f"{own}{near}"]], axis=1)
        for near, far in (("Arm", "ForeArm"), ("ForeArm", "Hand"))
    ]
    away = seen(base.towards)
    return Landmarks(
        lengths=np.stack(lengths, 1),
        head=seen(_head(skeletons, body, places, base.turns)),
        hip=seen(places[:, _BONE[f"{own}UpLeg"]]),
        knee=seen(places[:, _BONE[f"{own}Leg"]]),
        other=seen(places[:, _BONE[f"{other}Arm"]]),
        girth=skeletons.girth[body],
        towards=away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9),
        shared=shared,
    )


def _head(skeletons: Skeletons, body: Integers, places: Array, turns: Array) -> Array:
    """(N, 3) middle of the heads: a little above and before where the head's bone begins."""
    offset = np.array([0.0, -0.05, 0.20]) * skeletons.size[body][:, None]
    return np.asarray(places[:, _BONE["Head"]] + np.einsum("nij,nj->ni", turns[:, _BONE["Head"]], offset))


def _moved_shoulder(skeletons: Skeletons, body: Integers, places: Array, chest: Array, arms: Arms, side: int) -> Array:
    own = _SIDES[side]
    start, end = _BONE[f"{own}Shoulder"], _BONE[f"{own}Arm"]
    step = skeletons.heads[body, end] - skeletons.heads[body, start]
    turn = chest @ _sided(arms.shoulder, side)
    return np.asarray(places[:, start] + np.einsum("nij,nj->ni", turn, step))


def _sided(turns: Array, side: int) -> Array:
    """Turns in the frame of a left arm -> in the chest's."""
    return np.asarray(turns * _FLIP[:, None] * _FLIP if side else turns)


def _put(skeletons: Skeletons, body: Integers, turns: Array, arms: Arms, side: int, rng: np.random.Generator) -> None:
    """Set the bones of an arm, in place."""
    chest, own = turns[:, _BONE["Spine1"]], _SIDES[side]
    curl = about("y", (1.0 - 2.0 * side) * rng.choice([8.0, 35.0, 75.0], len(body)))
    hand = _sided(arms.hand, side)
    parts = {"Arm": _sided(arms.upper, side), "ForeArm": _sided(arms.forearm, side), "Hand": hand, "Thumb": hand,
             "FingerBase": hand @ curl, "HandFinger1": hand @ curl @ curl}  # fmt: skip
    turns[:, _BONE[f"{own}Shoulder"]] = chest @ _sided(arms.shoulder, side)
    for name in ARM_BONES:
        bone = arm_bone(own, name)
        turns[:, bone] = chest @ parts[name] @ skeletons.alignments[body, skeletons.hanging, bone]


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
