"""Things in rooms as groups of boxes: furniture, clutter and what is mistaken for people.

A group stands on the floor about the origin and faces -y. Round and slanted things are stacks of boxes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rng = np.random.Generator
#: A box: middle x, y, z and size x, y, z in meters.
Box = tuple[float, float, float, float, float, float]


def _u(rng: Rng, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def _legs(wide: float, deep: float, high: float, thick: float = 0.04) -> list[Box]:
    return [
        (x * (wide - thick) / 2, y * (deep - thick) / 2, high / 2, thick, thick, high) for x in (-1, 1) for y in (-1, 1)
    ]


def _round(x: float, y: float, low: float, high: float, radius: float) -> list[Box]:
    """Two boxes across each other stand for a cylinder."""
    side = radius * 2
    middle, tall = (low + high) / 2, high - low
    return [(x, y, middle, side * 0.94, side * 0.5, tall), (x, y, middle, side * 0.5, side * 0.94, tall)]


def chair(rng: Rng, seat: float | None = None) -> list[Box]:
    """With a back behind (+y)."""
    wide, deep = _u(rng, 0.38, 0.5), _u(rng, 0.38, 0.5)
    high = _u(rng, 0.42, 0.5) if seat is None else seat
    back = _u(rng, 0.32, 0.6)
    boxes = [(0.0, 0.0, high - 0.03, wide, deep, 0.06), (0.0, deep / 2 - 0.02, high + back / 2, wide, 0.05, back)]
    boxes += (
        _legs(wide, deep, high)
        if rng.random() < 0.7
        else [*_round(0, 0, 0.0, high, 0.04), (0.0, 0.0, 0.04, 0.5, 0.5, 0.05)]
    )
    if rng.random() < 0.35:
        boxes += [(s * wide / 2, 0.0, high + 0.2, 0.05, deep * 0.9, 0.05) for s in (-1, 1)]
        boxes += [(s * wide / 2, -deep * 0.4, high + 0.1, 0.05, 0.05, 0.2) for s in (-1, 1)]
    return boxes


def chair_with_coat(rng: Rng) -> list[Box]:
    """A jacket over the back."""
    boxes = chair(rng)
    high = max(z + c / 2 for _, _, z, _, _, c in boxes)
    wide = _u(rng, 0.42, 0.55)
    boxes += [(0.0, 0.26, high - 0.28, wide, 0.12, 0.56), (0.0, 0.2, high + 0.02, wide * 0.9, 0.16, 0.07)]
    if rng.random() < 0.6:
        boxes += [(s * wide / 2, 0.24, high - 0.32, 0.12, 0.14, 0.5) for s in (-1, 1)]
    return boxes


def office_chair(rng: Rng) -> list[Box]:
    """Five feet, a high back, often a headrest."""
    seat, back = _u(rng, 0.42, 0.55), _u(rng, 0.5, 0.75)
    boxes = [
        (0.0, 0.0, seat, 0.5, 0.48, 0.09),
        (0.0, 0.24, seat + 0.1 + back / 2, 0.46, 0.08, back),
        (0.0, 0.0, seat / 2, 0.07, 0.07, seat),
    ]
    boxes += [(0.0, 0.0, 0.05, 0.6, 0.08, 0.06), (0.0, 0.0, 0.05, 0.08, 0.6, 0.06)]
    boxes += [(s * 0.27, 0.02, seat + 0.22, 0.07, 0.28, 0.04) for s in (-1, 1)]
    boxes += [(s * 0.27, 0.06, seat + 0.1, 0.04, 0.06, 0.22) for s in (-1, 1)]
    if rng.random() < 0.5:
        boxes.append((0.0, 0.24, seat + back + 0.25, 0.28, 0.09, 0.16))
    return boxes


def armchair(rng: Rng) -> list[Box]:
    """Upholstered."""
    wide, deep, seat = _u(rng, 0.7, 0.95), _u(rng, 0.7, 0.9), _u(rng, 0.36, 0.46)
    back = _u(rng, 0.4, 0.75)
    arm = _u(rng, 0.12, 0.2)
    return [
        (0.0, 0.0, seat / 2, wide, deep, seat), (0.0, deep / 2 - 0.1, seat + back / 2, wide, 0.2, back),
        (-wide / 2 + arm / 2, 0.0, seat + 0.1, arm, deep, 0.22), (wide / 2 - arm / 2, 0.0, seat + 0.1, arm, deep, 0.22),
    ]  # fmt: skip


def sofa(rng: Rng) -> list[Box]:
    """For two or three."""
    wide, seat = _u(rng, 1.4, 2.3), _u(rng, 0.36, 0.45)
    return [
        (0.0, 0.0, seat / 2, wide, 0.85, seat), (0.0, 0.33, seat + 0.22, wide, 0.2, 0.45),
        (-wide / 2 + 0.1, 0.0, seat + 0.1, 0.2, 0.85, 0.2), (wide / 2 - 0.1, 0.0, seat + 0.1, 0.2, 0.85, 0.2),
    ]  # fmt: skip


def stool(rng: Rng, seat: float | None = None) -> list[Box]:
    """Low or as high as a bar."""
    high = (_u(rng, 0.42, 0.5) if rng.random() < 0.5 else _u(rng, 0.62, 0.8)) if seat is None else seat
    radius = _u(rng, 0.15, 0.2)
    boxes = _round(0.0, 0.0, high - 0.05, high, radius)
    boxes += (
        _legs(0.28, 0.28, high - 0.05, 0.035)
        if rng.random() < 0.6
        else _round(0, 0, 0.02, high, 0.035) + _round(0, 0, 0, 0.04, 0.2)
    )
    return boxes


def table(rng: Rng) -> list[Box]:
    """With legs, and now and then things on it."""
    wide, deep, high = _u(rng, 0.7, 1.8), _u(rng, 0.5, 0.9), _u(rng, 0.45, 0.8)
    boxes = [(0.0, 0.0, high - 0.02, wide, deep, 0.04), *_legs(wide, deep, high, 0.05)]
    for _ in range(int(rng.integers(0, 4))):
        a, b, c = _u(rng, 0.08, 0.35), _u(rng, 0.08, 0.3), _u(rng, 0.05, 0.4)
        boxes.append((_u(rng, -0.4, 0.4) * (wide - a), _u(rng, -0.4, 0.4) * (deep - b), high + c / 2, a, b, c))
    return boxes


def desk(rng: Rng) -> list[Box]:
    """With a screen: a dark board on a foot."""
    boxes = [(0.0, 0.0, 0.72, 1.4, 0.7, 0.04), *_legs(1.4, 0.7, 0.72, 0.05)]
    for x in (-0.33, 0.33)[: int(rng.integers(1, 3))]:
        boxes += [(x, 0.15, 1.02, 0.56, 0.04, 0.34), (x, 0.17, 0.8, 0.06, 0.05, 0.16)]
    return boxes


def cupboard(rng: Rng) -> list[Box]:
    """Closed."""
    wide, deep, high = _u(rng, 0.5, 1.4), _u(rng, 0.3, 0.6), _u(rng, 0.7, 2.1)
    return [(0.0, 0.0, high / 2, wide, deep, high)]


def shelf(rng: Rng) -> list[Box]:
    """Open, with things in it."""
    wide, deep, high = _u(rng, 0.6, 1.2), _u(rng, 0.25, 0.4), _u(rng, 1.1, 2.1)
    boards = int(rng.integers(3, 6))
    boxes: list[Box] = [(s * wide / 2, 0.0, high / 2, 0.03, deep, high) for s in (-1, 1)]
    step = high / boards
    for number in range(boards):
        boxes.append((0.0, 0.0, 0.02 + number * step, wide, deep, 0.03))
        at = -wide / 2 + 0.05
        while at < wide / 2 - 0.1 and rng.random() < 0.85:
            a, c = _u(rng, 0.05, 0.3), _u(rng, 0.1, 0.85) * step
            a = min(a, wide / 2 - 0.03 - at)
            boxes.append(
                (at + a / 2, _u(rng, -0.05, 0.03), 0.035 + number * step + c / 2, a, deep * _u(rng, 0.4, 0.9), c)
            )
            at += a + _u(rng, 0.0, 0.12)
    return boxes


def carton(rng: Rng) -> list[Box]:
    """One, or a stack as high as a person."""
    boxes: list[Box] = []
    level = 0.0
    for _ in range(int(rng.integers(1, 6))):
        a, b, c = _u(rng, 0.25, 0.6), _u(rng, 0.25, 0.5), _u(rng, 0.2, 0.5)
        boxes.append((_u(rng, -0.05, 0.05), _u(rng, -0.05, 0.05), level + c / 2, a, b, c))
        level += c
        if level > 1.6:
            break
    return boxes


def post(rng: Rng) -> list[Box]:
    """A column, a pipe, or a bollard."""
    return _round(0.0, 0.0, 0.0, _u(rng, 0.7, 2.3), _u(rng, 0.03, 0.16))


def coat_stand(rng: Rng) -> list[Box]:
    """A pole with coats, and a hat on top: as tall as a person, and hung as one stands."""
    high = _u(rng, 1.5, 1.95)
    boxes = [*_round(0, 0, 0, high, 0.025), (0.0, 0.0, 0.03, 0.5, 0.06, 0.05), (0.0, 0.0, 0.03, 0.06, 0.5, 0.05)]
    for _ in range(int(rng.integers(1, 4))):
        angle, long = _u(rng, 0, 2 * np.pi), _u(rng, 0.6, 1.15)
        x, y = 0.14 * np.cos(angle), 0.14 * np.sin(angle)
        top = high - _u(rng, 0.05, 0.25)
        wide = _u(rng, 0.32, 0.5)
        boxes += [(x, y, top - long / 2, wide, 0.16, long), (x, y, top - 0.05, wide * 0.7, 0.2, 0.12)]
        boxes += [(x + s * wide / 2, y, top - long * 0.35, 0.1, 0.13, long * 0.6) for s in (-1, 1)]
    if rng.random() < 0.5:
        boxes += _round(0, 0, high - 0.02, high + 0.14, 0.1)
    return boxes


def clothes_rail(rng: Rng) -> list[Box]:
    """Coats side by side under a bar."""
    wide, high = _u(rng, 0.7, 1.5), _u(rng, 1.3, 1.75)
    boxes: list[Box] = [(0.0, 0.0, high, wide, 0.03, 0.03)]
    boxes += [(s * wide / 2, 0.0, high / 2, 0.03, 0.03, high) for s in (-1, 1)]
    boxes += [(s * wide / 2, 0.0, 0.03, 0.05, 0.45, 0.04) for s in (-1, 1)]
    for x in np.arange(-wide / 2 + 0.1, wide / 2 - 0.05, _u(rng, 0.1, 0.3)):
        long = _u(rng, 0.5, 1.1)
        boxes.append((float(x), 0.0, high - 0.04 - long / 2, _u(rng, 0.04, 0.12), _u(rng, 0.35, 0.5), long))
    return boxes


def tripod(rng: Rng) -> list[Box]:
    """Three legs as stairs of short rods, a column and a camera or a lamp on it."""
    high, spread = _u(rng, 0.9, 1.6), _u(rng, 0.3, 0.5)
    boxes: list[Box] = []
    joint = 0.75 * high
    for angle in np.arange(3) * 2 * np.pi / 3 + _u(rng, 0, 2):
        for step in range(7):
            t = (step + 0.5) / 7
            boxes.append(
                (
                    float(spread * (1 - t) * np.cos(angle)),
                    float(spread * (1 - t) * np.sin(angle)),
                    joint * t,
                    0.045,
                    0.045,
                    joint / 7 + 0.01,
                )
            )
    boxes.append((0.0, 0.0, (joint + high) / 2, 0.05, 0.05, high - joint))
    head = _u(rng, 0.1, 0.28)
    boxes.append((0.0, -0.02, high + head / 2, head * _u(rng, 0.8, 1.6), head, head))
    return boxes


def mannequin(rng: Rng) -> list[Box]:
    """A person of boxes: a robot, a shop's dummy, an armoured suit, a cardboard cut-out."""
    size = _u(rng, 0.75, 1.1)
    flat = 0.35 if rng.random() < 0.25 else 1.0
    hip, chest, neck = 0.86 * size, 1.25 * size, 1.48 * size
    wide = _u(rng, 0.3, 0.44) * size
    boxes: list[Box] = [
        (0.0, 0.0, (hip + neck) / 2, wide, 0.22 * flat, neck - hip), (0.0, 0.0, neck + 0.14 * size, 0.17 * size,
        0.2 * flat, 0.24 * size),
    ]  # fmt: skip
    if rng.random() < 0.8:
        gap = _u(rng, 0.08, 0.14)
        boxes += [(s * gap, 0.0, hip / 2, 0.14, 0.16 * flat, hip) for s in (-1, 1)]
    else:
        boxes += [*_round(0, 0, 0.0, hip, 0.03), (0.0, 0.0, 0.02, 0.4, 0.4, 0.04)]
    arms = rng.random()
    if arms < 0.5:
        boxes += [(s * (wide / 2 + 0.06), 0.0, chest - 0.2 * size, 0.1, 0.12 * flat, 0.6 * size) for s in (-1, 1)]
    elif arms < 0.75:
        boxes += [
            (s * (wide / 2 + 0.28 * size), 0.0, chest + 0.1 * size, 0.56 * size, 0.1 * flat, 0.1) for s in (-1, 1)
        ]
    return boxes


def plant(rng: Rng) -> list[Box]:
    """A pot with a heap of leaves, or a small tree."""
    pot, high = _u(rng, 0.2, 0.4), _u(rng, 0.6, 1.8)
    boxes = _round(0, 0, 0, pot, pot * 0.5)
    boxes += [(0.0, 0.0, (pot + high) / 2, 0.04, 0.04, high - pot)]
    for _ in range(int(rng.integers(6, 14))):
        angle, far = _u(rng, 0, 2 * np.pi), _u(rng, 0.03, 0.3)
        level = _u(rng, pot + 0.3 * (high - pot), high)
        boxes.append(
            (
                far * float(np.cos(angle)),
                far * float(np.sin(angle)),
                level,
                _u(rng, 0.08, 0.3),
                _u(rng, 0.08, 0.3),
                _u(rng, 0.02, 0.2),
            )
        )
    return boxes


def floor_lamp(rng: Rng) -> list[Box]:
    """A rod with a shade: a head on a neck."""
    high = _u(rng, 1.2, 1.75)
    return [
        *_round(0, 0, 0, 0.03, 0.15),
        (0.0, 0.0, high / 2, 0.03, 0.03, high),
        *_round(0, 0, high - 0.05, high + 0.2, _u(rng, 0.1, 0.22)),
    ]


def fan(rng: Rng) -> list[Box]:
    """On a stand."""
    high = _u(rng, 0.9, 1.3)
    return [
        *_round(0, 0, 0, 0.03, 0.2),
        (0.0, 0.0, high / 2, 0.03, 0.03, high),
        (0.0, -0.05, high, 0.4, 0.12, 0.4),
        (0.0, 0.08, high, 0.14, 0.2, 0.14),
    ]


def door(rng: Rng) -> list[Box]:
    """A leaf that stands open, in its frame."""
    wide = _u(rng, 0.75, 0.95)
    return [
        (-wide / 2, 0.0, 1.02, 0.08, 0.12, 2.04),
        (wide / 2, 0.0, 1.02, 0.08, 0.12, 2.04),
        (0.0, 0.0, 2.07, wide + 0.1, 0.12, 0.08),
        (-wide / 2, -wide / 2, 1.0, 0.04, wide, 2.0),
    ]


def wheelchair(rng: Rng) -> list[Box]:
    """Empty."""
    seat = _u(rng, 0.46, 0.54)
    boxes: list[Box] = [(0.0, 0.0, seat, 0.44, 0.44, 0.06), (0.0, 0.22, seat + 0.25, 0.42, 0.05, 0.45)]
    for side in (-1, 1):
        x = side * 0.28
        # A wheel of 0.6 m seen from any side: three boxes across each other.
        boxes += [(x, 0.1, 0.3, 0.04, 0.6, 0.24), (x, 0.1, 0.3, 0.04, 0.24, 0.6), (x, 0.1, 0.3, 0.04, 0.46, 0.46)]
        boxes += [(x * 0.75, -0.32, 0.09, 0.03, 0.16, 0.16), (x * 0.7, -0.42, 0.14, 0.14, 0.16, 0.02)]
        boxes += [(x * 0.9, 0.0, seat + 0.22, 0.05, 0.32, 0.04), (x * 0.85, 0.3, seat + 0.47, 0.04, 0.16, 0.04)]
    return boxes


def walker(rng: Rng) -> list[Box]:
    """A rollator, a shopping or tea trolley."""
    wide, deep, high = _u(rng, 0.45, 0.6), _u(rng, 0.4, 0.8), _u(rng, 0.8, 1.0)
    boxes = [*_legs(wide, deep, high, 0.035), (0.0, deep / 2, high, wide, 0.04, 0.04)]
    boxes += [(0.0, 0.0, level, wide, deep, _u(rng, 0.02, 0.3)) for level in (0.3, 0.6)[: int(rng.integers(1, 3))]]
    return boxes


def bag(rng: Rng) -> list[Box]:
    """A rucksack, suitcase or sack on the floor."""
    a, b, c = _u(rng, 0.25, 0.5), _u(rng, 0.15, 0.3), _u(rng, 0.3, 0.75)
    boxes: list[Box] = [(0.0, 0.0, c / 2, a, b, c), (0.0, -b / 2, c * 0.35, a * 0.7, 0.1, c * 0.4)]
    if rng.random() < 0.4:
        boxes += [(s * a * 0.3, b / 2, c + 0.2, 0.02, 0.02, 0.42) for s in (-1, 1)] + [
            (0.0, b / 2, c + 0.4, a * 0.6, 0.03, 0.03)
        ]
    return boxes


def bin_(rng: Rng) -> list[Box]:
    """Round, closed."""
    high = _u(rng, 0.3, 1.0)
    return _round(0, 0, 0, high, _u(rng, 0.12, 0.28))


def ladder(rng: Rng) -> list[Box]:
    """A step ladder: two slanted sides as stairs."""
    high, deep = _u(rng, 0.9, 1.7), _u(rng, 0.5, 0.8)
    boxes: list[Box] = []
    for step in range(6):
        t = (step + 0.5) / 6
        for end in (-1, 1):
            boxes += [(s * 0.2, end * deep / 2 * (1 - t), high * t, 0.05, 0.06, high / 6 + 0.02) for s in (-1, 1)]
        boxes.append((0.0, -deep / 2 * (1 - t), high * t, 0.4, 0.09, 0.03))
    return boxes


def screen(rng: Rng) -> list[Box]:
    """A whiteboard, a partition, a curtain or a roll-up banner."""
    wide, low, high = _u(rng, 0.6, 1.6), _u(rng, 0.0, 0.9), _u(rng, 1.5, 2.1)
    return [
        (0.0, 0.0, (low + high) / 2, wide, _u(rng, 0.02, 0.1), high - low),
        *[(s * wide * 0.45, 0.0, high / 2, 0.04, 0.4 if low else 0.05, 0.04) for s in (-1, 1)],
    ]


def bed(rng: Rng) -> list[Box]:
    """With a heap of blankets that might be a person."""
    wide = _u(rng, 0.85, 1.6)
    boxes: list[Box] = [
        (0.0, 0.0, 0.24, wide, 2.0, 0.48),
        (0.0, 1.0, 0.5, wide, 0.06, 1.0),
        (0.0, 0.75, 0.53, wide * 0.7, 0.4, 0.12),
    ]
    for _ in range(int(rng.integers(0, 5))):
        boxes.append(
            (_u(rng, -0.2, 0.2), _u(rng, -0.9, 0.5), 0.52, _u(rng, 0.25, 0.7), _u(rng, 0.3, 0.8), _u(rng, 0.05, 0.25))
        )
    return boxes


def pram(rng: Rng) -> list[Box]:
    """A pushchair without a child."""
    return [
        (0.0, 0.0, 0.55, 0.42, 0.7, 0.22), (0.0, 0.25, 0.82, 0.42, 0.25, 0.35), (0.0, 0.55, 0.98, 0.42, 0.04, 0.04),
        *[(s * 0.22, 0.45, 0.75, 0.03, 0.25, 0.45) for s in (-1, 1)], *[(s * 0.24, y, 0.12, 0.05, 0.22,
        0.22) for s in (-1, 1) for y in (-0.3, 0.3)],
    ]  # fmt: skip


OBJECTS: dict[str, Callable[[Rng], list[Box]]] = {
    "chair": chair, "chair_with_coat": chair_with_coat, "office_chair": office_chair, "armchair": armchair,
    "sofa": sofa,
    "stool": stool, "table": table, "desk": desk, "cupboard": cupboard, "shelf": shelf, "carton": carton, "post": post,
    "coat_stand": coat_stand, "clothes_rail": clothes_rail, "tripod": tripod, "mannequin": mannequin, "plant": plant,
    "floor_lamp": floor_lamp, "fan": fan, "door": door, "wheelchair": wheelchair, "walker": walker, "bag": bag,
    "bin": bin_,
    "ladder": ladder, "screen": screen, "bed": bed, "pram": pram,
}  # fmt: skip
#: Things that are mistaken for people, and that are drawn more often for it.
LIKE_PEOPLE = (
    "chair", "chair_with_coat", "office_chair", "armchair", "coat_stand", "clothes_rail", "tripod", "mannequin",
    "plant",
    "floor_lamp", "wheelchair", "shelf", "ladder", "pram",
)  # fmt: skip


def draw_object(rng: Rng, kind: str) -> Array:
    """(K, 6) boxes of a thing, about the origin."""
    return np.asarray(OBJECTS[kind](rng), np.float64).reshape(-1, 6)


def placed_boxes(boxes: Array, x: float, y: float, yaw: float) -> tuple[Array, Array, Array]:
    """Middles, sizes (K, 3) and yaws (K,) of boxes turned about the vertical and moved to a place."""
    c, s = np.cos(yaw), np.sin(yaw)
    turned = boxes[:, :2] @ np.array([[c, s], [-s, c]]) + [x, y]
    return np.column_stack([turned, boxes[:, 2]]), boxes[:, 3:], np.full(len(boxes), yaw)


def footprint(boxes: Array) -> float:
    """Meters from the origin to the farthest corner, on the floor."""
    return float(np.linalg.norm(np.abs(boxes[:, :2]) + boxes[:, 3:5] / 2, axis=1).max())
