"""A living room for people to walk about in."""

from __future__ import annotations

import numpy as np

from unipose_training.synthetic.materials import Color, Material
from unipose_training.synthetic.surfaces import Surface, box

_WHITE = Material((0.93, 0.92, 0.89), grain=0.02)
_WOOD = Material((0.62, 0.45, 0.30), (0.45, 0.31, 0.19), "planks", 0.12, grain=0.05)
_DARK_WOOD = Material((0.30, 0.21, 0.15), grain=0.08, grain_size=0.05)


def living_room(rng: np.random.Generator, depth: float = 5.6, width: float = 7.0, height: float = 2.7) -> list[Surface]:
    """Floor, walls, a sofa, shelves, an image, a lamp and a rug.

    The camera stands at the origin of the floor and looks along +y; the back wall is at y = ``depth``.

    Args:
        rng: decides colors and the books.
    """
    wall = Material(
        _one_of(rng, ((0.78, 0.80, 0.78), (0.80, 0.77, 0.72), (0.72, 0.77, 0.82))), grain=0.025, grain_size=0.3
    )
    shell = [
        box((0, depth / 2, -0.05), (width, depth + 4, 0.1), _WOOD),
        box((0, depth + 0.05, height / 2), (width, 0.1, height), wall),
        box((-width / 2, depth / 2, height / 2), (0.1, depth + 4, height), wall),
        box((width / 2, depth / 2, height / 2), (0.1, depth + 4, height), wall),
        box((0, depth / 2, height + 0.05), (width, depth + 4, 0.1), _WHITE),
        box((0, depth - 0.01, 0.05), (width, 0.02, 0.1), _WHITE),
    ]
    return [*shell, *_sofa(rng, depth), *_shelf(rng, depth), *_image(depth), *_floor_lamp(depth), *_rug(depth)]


def _one_of(rng: np.random.Generator, colors: tuple[Color, ...]) -> Color:
    return colors[rng.integers(len(colors))]


def _sofa(rng: np.random.Generator, depth: float) -> list[Surface]:
    cloth = Material(_one_of(rng, ((0.33, 0.40, 0.46), (0.42, 0.38, 0.34), (0.30, 0.42, 0.36))), grain=0.1)
    cushion = Material((0.80, 0.62, 0.28), grain=0.1)
    y, x = depth - 0.55, -1.35
    return [
        box((x, y, 0.22), (1.9, 0.85, 0.36), cloth),
        box((x, y + 0.33, 0.55), (1.9, 0.2, 0.6), cloth),
        box((x - 0.97, y, 0.32), (0.18, 0.85, 0.56), cloth),
        box((x + 0.97, y, 0.32), (0.18, 0.85, 0.56), cloth),
        box((x + 0.55, y + 0.1, 0.55), (0.42, 0.14, 0.36), cushion, yaw=0.15),
    ]


def _shelf(rng: np.random.Generator, depth: float) -> list[Surface]:
    x, y, wide, high = 1.75, depth - 0.17, 1.1, 1.9
    parts = [box((x + side * wide / 2, y, high / 2), (0.03, 0.32, high), _DARK_WOOD) for side in (-1, 1)]
    parts += [box((x, y + 0.15, high / 2), (wide, 0.02, high), _DARK_WOOD)]
    for level in np.linspace(0.06, high, 5):
        parts.append(box((x, y, level), (wide, 0.32, 0.03), _DARK_WOOD))
    for level in np.linspace(0.06, high, 5)[:-1]:
        parts += _books(rng, x - wide / 2 + 0.05, x + wide / 2 - 0.05, y, level + 0.015)
    return parts


def _books(rng: np.random.Generator, start: float, end: float, y: float, level: float) -> list[Surface]:
    books, at = [], start
    fill = rng.uniform(0.5, 1.0)
    while at < start + fill * (end - start) - 0.06:
        wide, high = rng.uniform(0.025, 0.06), rng.uniform(0.2, 0.32)
        r, g, b = (float(c) for c in rng.uniform(0.15, 0.75, 3))
        books.append(box((at + wide / 2, y + 0.02, level + high / 2), (wide * 0.94, 0.2, high), Material((r, g, b))))
        at += wide
    return books


def _image(depth: float) -> list[Surface]:
    canvas = Material((0.86, 0.83, 0.75), (0.25, 0.42, 0.55), "stripes", 0.34, grain=0.2, grain_size=0.08)
    return [
        box((-1.3, depth - 0.02, 1.62), (1.0, 0.03, 0.7), _DARK_WOOD),
        box((-1.3, depth - 0.035, 1.62), (0.9, 0.02, 0.6), canvas),
    ]


def _floor_lamp(depth: float) -> list[Surface]:
    x, y = 0.45, depth - 0.45
    metal, shade = Material((0.18, 0.18, 0.19), grain=0.02), Material((0.93, 0.86, 0.70), grain=0.03)
    return [
        box((x, y, 0.015), (0.3, 0.3, 0.03), metal),
        box((x, y, 0.72), (0.025, 0.025, 1.4), metal),
        box((x, y, 1.52), (0.34, 0.34, 0.3), shade, yaw=0.5),
    ]


def _rug(depth: float) -> list[Surface]:
    x, y = 0.0, depth - 2.2
    border, field = Material((0.74, 0.66, 0.55), grain=0.15), Material((0.50, 0.20, 0.18), grain=0.18)
    return [box((x, y, 0.004), (2.9, 1.9, 0.008), border), box((x, y, 0.005), (2.6, 1.6, 0.010), field)]
