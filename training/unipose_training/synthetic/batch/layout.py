"""Who is where in a scene: kinds of scenes, groups that touch, and cameras that look at them.

The camera is at x = y = 0; people are placed by distance and bearing from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.poses.gestures import CARRYING_PAIRS, PAIRS
from unipose_training.synthetic.poses.sampler import MIX

Array = NDArray[np.float64]
Rng = np.random.Generator
Pairs = Sequence[tuple[str, str, float]]
#: What may be drawn where people stand close together, sit on chairs, carry things, or are on the floor.
UPRIGHT: Mapping[str, float] = {"standing": 0.7, "gait": 0.2, "anyhow": 0.05, "seated": 0.05}
STANDING: Mapping[str, float] = {"standing": 0.8, "gait": 0.2}
ON_FLOOR: Mapping[str, float] = {
    "floor_sitting": 0.4, "lying": 0.18, "reclining": 0.08, "kneeling": 0.12, "half_kneeling": 0.08, "crouching": 0.14,
}  # fmt: skip
ACTIVE: Mapping[str, float] = {"kick": 0.3, "step_over": 0.2, "lunge": 0.2, "gait": 0.1, "motion": 0.2}
NEAR: Mapping[str, float] = {"standing": 0.6, "gait": 0.05, "seated": 0.15, "bending": 0.1, "anyhow": 0.1}
EMBRACE: Pairs = (("embrace", "embrace", 1.0),)
#: Side by side: arms that stay with their own body, or lie round the neighbor.
BESIDE: Pairs = (
    ("hanging", "hanging", 0.3), ("hanging", "around_neighbor", 0.25), ("crossed_under", "crossed_over", 0.1),
    ("hanging", "face", 0.05), ("hanging", "pocket", 0.1), ("clasped_front", "clasped_front", 0.1), ("akimbo",
    "hanging", 0.1),
)  # fmt: skip


@dataclass
class Slot:
    """A person who is to be drawn.

    Attributes:
        frame: number of the scene.
        distance: meters from the camera to the hips.
        bearing: radians to the left of the camera's axis.
        facing: radians between the person's front and the way to the camera; 0 looks at it.
        mix: families of poses.
        pairs: what the arms do; None for anything.
        anchor: position in the list of the person that this one keeps to, or -1.
        relation: ``beside``, ``embrace``, ``behind`` or empty.
        carries: ``box``, ``bag``, ``backpack``, ``stick`` or empty.
    """

    frame: int
    distance: float
    bearing: float
    facing: float
    mix: Mapping[str, float] = field(default_factory=lambda: MIX)
    pairs: Pairs | None = None
    anchor: int = -1
    relation: str = ""
    carries: str = ""


@dataclass(frozen=True)
class Range:
    """Meters between which people of a kind of scene are."""

    nearest: float
    farthest: float

    def draw(self, rng: Rng) -> float:
        """A distance; near ones as often as far ones."""
        return float(rng.uniform(self.nearest, self.farthest))


@dataclass(frozen=True)
class Ask:
    """What a scene is drawn for: its number, the camera's half field of view, how many people, how far."""

    frame: int
    half_view: float
    people: int
    range: Range


def facing(rng: Rng) -> float:
    """Half of all people look roughly at the camera."""
    return float(rng.normal(0, 0.8)) if rng.random() < 0.45 else float(rng.uniform(-np.pi, np.pi))


def _person(rng: Rng, ask: Ask, distance: float, wide: float = 0.95, mix: Mapping[str, float] = MIX) -> Slot:
    return Slot(ask.frame, distance, ask.half_view * float(rng.uniform(-wide, wide)), facing(rng), mix)


def _open(rng: Rng, ask: Ask) -> list[Slot]:
    return [_person(rng, ask, ask.range.draw(rng)) for _ in range(int(rng.integers(1, ask.people + 1)))]


def _floor(rng: Rng, ask: Ask) -> list[Slot]:
    count = int(rng.integers(1, min(ask.people, 2) + 1))
    near = Range(max(ask.range.nearest, 1.2), max(min(ask.range.farthest, 4.2), 1.3))
    return [_person(rng, ask, near.draw(rng), 0.7, ON_FLOOR) for _ in range(count)]


def _active(rng: Rng, ask: Ask) -> list[Slot]:
    near = Range(max(ask.range.nearest, 1.2), max(min(ask.range.farthest, 4.5), 1.3))
    return [_person(rng, ask, near.draw(rng), 0.7, ACTIVE) for _ in range(int(rng.integers(1, min(ask.people, 3) + 1)))]


def _close(rng: Rng, ask: Ask) -> list[Slot]:
    """Heads and shoulders."""
    first = _person(rng, ask, float(rng.uniform(0.6, 1.1)), 0.6, NEAR)
    if rng.random() < 0.7:
        first.facing = float(rng.normal(0, 0.6))
    if ask.people > 1 and rng.random() < 0.2:
        return [first, _person(rng, ask, float(rng.uniform(1.2, 3.0)))]
    return [first]


def _border(rng: Rng, ask: Ask) -> list[Slot]:
    """The camera is turned so far that the first person is cut; see :func:`aim`."""
    first = _person(rng, ask, float(rng.uniform(0.8, 3.5)), 0.1)
    if ask.people > 1 and rng.random() < 0.3:
        return [first, _person(rng, ask, ask.range.draw(rng))]
    return [first]


def _wall(rng: Rng, ask: Ask) -> list[Slot]:
    near = Range(max(ask.range.nearest, 1.0), max(min(ask.range.farthest, 4.0), 1.1))
    return [_person(rng, ask, near.draw(rng), 0.6) for _ in range(1 + int(ask.people > 1 and rng.random() < 0.25))]


def _touching(rng: Rng, ask: Ask) -> list[Slot]:
    """Two or three people in a group, and now and then another person."""
    distance = float(rng.uniform(max(ask.range.nearest, 1.2), max(min(ask.range.farthest, 4.0), 1.3)))
    first = _person(rng, ask, distance, 0.5, UPRIGHT)
    relation = ("beside", "embrace", "behind")[int(rng.choice(3, p=[0.45, 0.2, 0.35]))]
    group = [first]
    if relation == "embrace":
        first.mix, first.pairs = STANDING, EMBRACE
        group.append(Slot(ask.frame, distance, first.bearing, first.facing + np.pi, STANDING, EMBRACE, 0, relation))
    else:
        for _ in range(1 + int(ask.people > 2 and rng.random() < 0.3)):
            same = relation == "beside" and rng.random() < 0.6
            turned = first.facing + float(rng.normal(0, 0.3)) if same else facing(rng)
            pairs = BESIDE if relation == "beside" else None
            group.append(Slot(ask.frame, distance, first.bearing, turned, UPRIGHT, pairs, len(group) - 1, relation))
        if relation == "beside":
            first.pairs = BESIDE
    if len(group) < ask.people and rng.random() < 0.25:
        group.append(_person(rng, ask, ask.range.draw(rng)))
    return group


def _empty(rng: Rng, ask: Ask) -> list[Slot]:
    del rng, ask
    return []


KINDS_OF_SCENES: dict[str, Callable[[Rng, Ask], list[Slot]]] = {
    "open": _open, "floor": _floor, "active": _active, "close": _close, "border": _border, "wall": _wall,
    "touching": _touching, "empty": _empty,
}  # fmt: skip
_CARRIED = ("box", "bag", "backpack", "stick")


def draw_slots(
    rng: Rng, kinds: NDArray[np.str_], half_views: Array, people: int, reach: Range, carrying: float
) -> list[Slot]:
    """All people of all scenes; the people of one follow each other.

    Args:
        carrying: fraction of people who carry something.
    """
    slots: list[Slot] = []
    for frame, kind in enumerate(kinds):
        new = KINDS_OF_SCENES[str(kind)](rng, Ask(frame, float(half_views[frame]), people, reach))
        for slot in new:
            if slot.anchor >= 0:
                slot.anchor += len(slots)
            if slot.pairs is None and rng.random() < carrying:
                slot.carries = _CARRIED[int(rng.choice(4, p=[0.4, 0.25, 0.25, 0.1]))]
                if slot.carries == "box":
                    slot.mix, slot.pairs = {"standing": 0.6, "gait": 0.3, "step_over": 0.1}, CARRYING_PAIRS
        slots += new
    return slots


def arms_of(slots: Sequence[Slot]) -> dict[int, Pairs]:
    """Rows whose arms do something particular."""
    return {row: slot.pairs for row, slot in enumerate(slots) if slot.pairs is not None and slot.pairs is not PAIRS}
