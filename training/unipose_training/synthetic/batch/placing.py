"""People of a batch with poses and places: no two stand in one place, groups touch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.batch.layout import Slot, arms_of
from unipose_training.synthetic.poses.sampler import Drawn, PoseSampler
from unipose_training.synthetic.poses.spheres import body_spheres, overlap, turned

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
#: Meters that people who touch may be in each other: clothes give way. Embracing arms lie close.
_SOFT = {"beside": 0.03, "behind": 0.0, "embrace": 0.08, "": 0.0}
#: Meters between people who have nothing to do with each other.
_APART = 0.05
_PUSHES = 6


@dataclass(frozen=True, eq=False)
class Placed:
    """N people in the world.

    Attributes:
        slots: what they were drawn for.
        frames, body: (N,).
        drawn: their poses.
        places: (N, 2) meters, hips.
        headings: (N,) radians.
        middles: (N, S, 3) spheres of the bodies in the world, above the floor; good to some centimeters.
        radii: (N, S).
    """

    slots: list[Slot]
    frames: Integers
    body: Integers
    drawn: Drawn
    places: Array
    headings: Array
    middles: Array
    radii: Array

    def __len__(self) -> int:
        return len(self.slots)


def place_people(
    rng: np.random.Generator, sampler: PoseSampler, slots: Sequence[Slot], yaws: Array, heights: Array, arms: float
) -> Placed:
    """Draw bodies and poses for all people and put them where they are to be; who fits nowhere is left out.

    Args:
        yaws, heights: (F,) of the cameras.
        arms: see :meth:`~unipose_training.synthetic.poses.sampler.PoseSampler.draw`.
    """
    count = len(slots)
    frames = np.array([slot.frame for slot in slots], np.int64)
    body = rng.integers(len(sampler.skeletons.heads), size=count)
    bearing = np.array([slot.bearing for slot in slots]) + (yaws[frames] if count else 0.0)
    distance = np.array([slot.distance for slot in slots])
    facing = np.array([slot.facing for slot in slots])
    # The camera as each person sees it; hips are about 0.9 m high.
    towards = np.stack([distance * np.sin(facing), -distance * np.cos(facing), _levels(heights, frames)], axis=-1)
    drawn = sampler.draw(rng, body, towards.reshape(count, 3), [slot.mix for slot in slots], arms_of(slots), arms)
    headings = bearing - np.pi / 2 - facing
    places = distance[:, None] * np.stack([np.cos(bearing), np.sin(bearing)], axis=-1).reshape(count, 2)
    middles, radii = body_spheres(sampler.skeletons, body, drawn.turns)
    middles = turned(middles, headings) - np.array([0.0, 0.0, 1.0]) * drawn.floor[:, None, None]
    kept = _separated(rng, slots, frames, places, headings, middles, radii, sampler.skeletons.girth[body])
    middles[..., :2] += places[:, None]
    rows = np.flatnonzero(kept).tolist()
    some = Drawn(drawn.poses[rows], drawn.families[rows], drawn.turns[rows], drawn.gestures[rows], drawn.floor[rows])
    return Placed(
        [slots[row] for row in rows], frames[rows], body[rows], some, places[rows], headings[rows], middles[rows],
        radii[rows],
    )  # fmt: skip


def _levels(heights: Array, frames: Integers) -> Array:
    return heights[frames] - 0.9 if len(frames) else np.zeros(0)


def _separated(
    rng: np.random.Generator, slots: Sequence[Slot], frames: Integers, places: Array, headings: Array, middles: Array,
    radii: Array, girth: Array,
) -> NDArray[np.bool_]:  # fmt: skip
    """(N,) who can stay; moves places in place."""
    kept = np.ones(len(slots), bool)
    for row, slot in enumerate(slots):
        if slot.anchor >= 0 and kept[slot.anchor]:
            places[row] = _beside(rng, slot, places[slot.anchor], headings[slot.anchor], girth[[slot.anchor, row]])
        others = [other for other in range(row) if frames[other] == frames[row] and kept[other]]
        kept[row] = _pushed(slots, row, others, places, middles, radii)
    return kept


def _beside(rng: np.random.Generator, slot: Slot, anchor: Array, heading: float, girth: Array) -> Array:
    """(2,) a first guess of where the second person stands: closer than two bodies fit, to be pushed apart."""
    ahead = np.array([np.sin(heading), -np.cos(heading)])
    if slot.relation == "embrace":
        return np.asarray(anchor + (girth[:, 1].sum() + 0.02) * ahead)
    if slot.relation == "behind":
        away = anchor / max(float(np.linalg.norm(anchor)), 1e-6)
        aside = float(rng.choice([-1.0, 1.0])) * float(rng.uniform(0.08, 0.4))
        return np.asarray(anchor + float(rng.uniform(0.25, 0.9)) * away + aside * np.array([-away[1], away[0]]))
    side = float(rng.choice([-1.0, 1.0])) * np.array([-ahead[1], ahead[0]])
    return np.asarray(anchor + float(rng.uniform(0.26, 0.5)) * side + float(rng.normal(0, 0.06)) * ahead)


def _pushed(
    slots: Sequence[Slot], row: int, others: Sequence[int], places: Array, middles: Array, radii: Array
) -> bool:
    """Push a person away from those who are in the way, in place; whether that was enough."""
    slot = slots[row]
    for _ in range(_PUSHES):
        worst = 0.0
        for other in others:
            close = slot.anchor == other
            if np.linalg.norm(places[row] - places[other]) > 2.6:
                continue
            allowed = _SOFT[slot.relation] if close else -_APART
            here = (middles[row] + [*places[row], 0.0], radii[row])
            there = (middles[other] + [*places[other], 0.0], radii[other])
            into = overlap(here, there) - allowed
            if into > 0.01:
                worst = max(worst, into)
                way = places[row] - places[other]
                if not close:
                    # Strangers make way along the camera's view, not across it.
                    way = way + 0.5 * places[row] / max(float(np.linalg.norm(places[row])), 1e-6)
                places[row] += (into + 0.005) * way / max(float(np.linalg.norm(way)), 1e-6)
        if worst <= 0.02:
            return True
    return worst <= 0.06
