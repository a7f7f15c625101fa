"""Draw rooms and what stands in them, off the floor that people need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from unipose_training.synthetic.variety.rooms import OCCLUDERS, STYLES, Place, RoomPlan

Rng = np.random.Generator
#: Floor that a person or something takes: x, y and radius in meters.
Circle = tuple[float, float, float]
_T = TypeVar("_T")


def one_of(rng: Rng, things: Sequence[_T]) -> _T:
    """One of them at random."""
    return things[int(rng.integers(len(things)))]


def collide(ones: Sequence[Circle], others: Sequence[Circle]) -> bool:
    """Whether any circle of the one kind cuts any of the other."""
    return any(np.hypot(a - x, b - y) < r + s for a, b, r in ones for x, y, s in others)


def draw_occluders(
    rng: Rng, count: tuple[int, int], people: Sequence[tuple[float, float]], blocked: Sequence[Circle]
) -> tuple[Place, ...]:
    """Things on the way from the camera to people.

    Args:
        count: fewest and most.
        people: x and y, meters.
        blocked: floor that is taken.
    """
    places: list[Place] = []
    for _ in range(int(rng.integers(count[0], count[1] + 1))):
        for _attempt in range(20):
            (across, ahead), share = one_of(rng, people), float(rng.uniform(0.45, 0.85))
            x, y = across * share + float(rng.normal(0, 0.2)), ahead * share
            if not collide([(x, y, 0.25)], [*blocked, *((p.x, p.y, 0.4) for p in places)]):
                kind = one_of(rng, OCCLUDERS)
                places.append(Place(kind, x, y, float(rng.normal(0, 0.5)), int(rng.integers(2**31))))
                break
    return tuple(places)


def draw_room(rng: Rng, styles: Sequence[str], blocked: Sequence[Circle], occluders: tuple[Place, ...]) -> RoomPlan:
    """A room of one of the styles round people and occluders.

    Args:
        blocked: floor that is taken.
    """
    style = one_of(rng, styles)
    spare = (0.2, 0.5) if style == "corridor" else (0.3, 2.2)
    far = max((y + r for _, y, r in blocked), default=3.0)
    left = max((r - x for x, _, r in blocked), default=1.0)
    right = max((x + r for x, _, r in blocked), default=1.0)
    plan = RoomPlan(
        style=style,
        left=max(left, 1.0) + float(rng.uniform(*spare)),
        right=max(right, 1.0) + float(rng.uniform(*spare)),
        back=far + float(rng.uniform(0.5, 2.5)),
        height=float(rng.uniform(2.35, 3.4)),
        seed=int(rng.integers(2**31)),
    )
    furniture = [*occluders, *_along_walls(rng, plan, blocked), *_clutter(rng, plan, blocked)]
    return replace(plan, furniture=tuple(furniture))


def _along_walls(rng: Rng, plan: RoomPlan, blocked: Sequence[Circle]) -> list[Place]:
    kinds, places, x = STYLES[plan.style][0], [], -plan.left + 0.6
    while x < plan.right - 0.6:
        step = float(rng.uniform(1.0, 2.6))
        if rng.random() < 0.75 and not collide([(x, plan.back - 0.4, 0.5)], blocked):
            kind = one_of(rng, kinds)
            places.append(Place(kind, x, plan.back - 0.48, 0.0, int(rng.integers(2**31))))
        x += step
    for side, wall, yaw in ((-1.0, plan.left, np.pi / 2), (1.0, plan.right, -np.pi / 2)):
        y = float(rng.uniform(1.5, plan.back - 0.8))
        at = side * (wall - 0.5)
        if rng.random() < 0.6 and not collide([(at, y, 0.6)], blocked):
            places.append(Place(one_of(rng, kinds), at, y, float(yaw), int(rng.integers(2**31))))
    return places


def _clutter(rng: Rng, plan: RoomPlan, blocked: Sequence[Circle]) -> list[Place]:
    kinds, places = STYLES[plan.style][1], []
    for _ in range(int(rng.integers(0, 5))):
        x, y = float(rng.uniform(0.4 - plan.left, plan.right - 0.4)), float(rng.uniform(1.2, plan.back - 0.4))
        if not collide([(x, y, 0.35)], blocked):
            yaw = float(rng.uniform(-np.pi, np.pi))
            places.append(Place(one_of(rng, kinds), x, y, yaw, int(rng.integers(2**31))))
    return places
