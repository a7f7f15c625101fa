"""What surfaces look like: colors and procedural patterns, looked up at points that stick to the surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from unipose_training.errors import SyntheticError

Array = NDArray[np.float64]


Color = tuple[float, float, float]
PATTERNS = ("plain", "stripes", "checks", "planks", "tiles")


@dataclass(frozen=True)
class Mark:
    """An ellipsoid of another color: eyebrows, lips, hair that is painted on."""

    center: tuple[float, float, float]
    radii: tuple[float, float, float]
    color: Color


@dataclass(frozen=True)
class Material:
    """A matt surface.

    Attributes:
        color, second: sRGB in [0, 1]; the second one is the pattern's.
        pattern: one of :data:`PATTERNS`.
        size: meters, one period of the pattern.
        grain: relative strength of fine irregularity.
        grain_size: meters.
        marks: painted over all of it.

    Raises:
        SyntheticError: the pattern is unknown.
    """

    color: Color
    second: Color = (0.0, 0.0, 0.0)
    pattern: str = "plain"
    size: float = 0.1
    grain: float = 0.06
    grain_size: float = 0.02
    marks: tuple[Mark, ...] = ()

    def __post_init__(self) -> None:
        if self.pattern not in PATTERNS:
            raise SyntheticError(f"pattern = '{self.pattern}': use one of {', '.join(PATTERNS)}")


def shade(material: Material, points: Array) -> Array:
    """(N, 3) points in the surface's own coordinates -> (N, 3) linear reflectance."""
    base, second = np.array(material.color), np.array(material.second)
    color = base + _pattern(material, points)[:, None] * (second - base)
    for mark in material.marks:
        away = (points - mark.center) / mark.radii
        inside = np.einsum("nd,nd->n", away, away) < 1
        color[inside] = mark.color
    fine = noise(points / material.grain_size) + 0.5 * noise(points / (0.25 * material.grain_size))
    linear: Array = np.clip(color, 0, 1) ** 2.2
    return linear * (1 + material.grain * fine)[:, None]


def _pattern(material: Material, points: Array) -> Array:
    """Share of the second color in [0, 1]."""
    x, y, z = (points / material.size).T
    if material.pattern == "stripes":
        return np.asarray(np.mod(z, 1) < 0.5, np.float64)
    if material.pattern == "checks":
        return np.asarray(0.5 * (np.mod(x, 1) < 0.5) + 0.5 * (np.mod(z, 1) < 0.5))
    if material.pattern == "planks":
        # Boards along y, each row shifted and of its own tint, with dark joints.
        row = np.floor(x)
        board = np.floor(y / 6 + 0.37 * row)
        joint = (np.mod(x, 1) < 0.03) | (np.mod(y / 6 + 0.37 * row, 1) < 0.005)
        fibre = 0.25 * noise(np.stack([x * 6, y * 0.4, row * 3.7], axis=1))
        return np.asarray(np.clip(0.5 * _hash(row, board, 7 * row) + fibre + 0.6 * joint, 0, 1))
    if material.pattern == "tiles":
        return np.asarray((np.mod(x, 1) < 0.03) | (np.mod(y, 1) < 0.03), np.float64)
    return np.zeros(len(points))


@cache
def _lattice() -> Array:
    """Random values at whole coordinates, repeated every 64."""
    return np.random.default_rng(0).uniform(-1, 1, (64, 64, 64))


def noise(points: Array) -> Array:
    """Value noise in [-1, 1] with features of size 1: trilinear between random values at whole coordinates."""
    from scipy.ndimage import map_coordinates  # only colors need it

    return np.asarray(map_coordinates(_lattice(), points.T, order=1, mode="grid-wrap"))


def _hash(x: Array, y: Array, z: Array) -> Array:
    """Whole numbers -> a number in [0, 1] that looks random and is the same everywhere."""
    cells = np.stack([x, y, z]).astype(np.int64) % 64
    return np.asarray((_lattice()[cells[0], cells[1], cells[2]] + 1) / 2)


# Triangles with a look and an owner.

ROOM = 0


@dataclass(frozen=True, eq=False)
class Surface:
    """A mesh.

    Attributes:
        vertices: (V, 3) meters, world.
        faces: (T, 3).
        texture: (V, 3) where the material is looked up: the vertices at rest for what moves.
        materials: the looks.
        look: (T,) index into ``materials``.
        owner: :data:`ROOM`, or 1, 2, ... for people.
    """

    vertices: Array
    faces: NDArray[np.int64]
    texture: Array
    materials: tuple[Material, ...]
    look: NDArray[np.int64]
    owner: int = ROOM


def merge(surfaces: Sequence[Surface]) -> tuple[Surface, NDArray[np.int64]]:
    """One surface of many, and the (T,) owner of each triangle."""
    starts = np.cumsum([0] + [len(s.vertices) for s in surfaces[:-1]])
    looks = np.cumsum([0] + [len(s.materials) for s in surfaces[:-1]])
    whole = Surface(
        vertices=np.concatenate([s.vertices for s in surfaces]),
        faces=np.concatenate([s.faces + start for s, start in zip(surfaces, starts, strict=True)]),
        texture=np.concatenate([s.texture for s in surfaces]),
        materials=tuple(material for s in surfaces for material in s.materials),
        look=np.concatenate([s.look + first for s, first in zip(surfaces, looks, strict=True)]),
    )
    return whole, np.concatenate([np.full(len(s.faces), s.owner) for s in surfaces])


def vertex_normals(surface: Surface) -> Array:
    """(V, 3) unit normals, the area-weighted mean of the faces around."""
    corners = surface.vertices[surface.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(surface.vertices)
    for corner in range(3):
        np.add.at(total, surface.faces[:, corner], across)
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))


def box(center: Sequence[float], size: Sequence[float], material: Material, yaw: float = 0.0) -> Surface:
    """A box turned about the vertical. Its faces have their own corners, so its edges stay sharp."""
    corners: list[Array] = []
    faces: list[list[int]] = []
    for axis in range(3):
        for side in (-1.0, 1.0):
            first, second = (axis + 1) % 3, (axis + 2) % 3
            quad = np.zeros((4, 3))
            quad[:, axis] = side
            quad[:, first] = [-1, 1, 1, -1]
            quad[:, second] = [-1, -1, 1, 1]
            start = 4 * len(corners)
            # Seen from outside the corners go round against the clock.
            order = [0, 1, 2, 3] if side > 0 else [3, 2, 1, 0]
            faces += [[start + order[0], start + order[1], start + order[2]]]
            faces += [[start + order[0], start + order[2], start + order[3]]]
            corners.append(quad)
    local = np.concatenate(corners) * np.asarray(size) / 2
    c, s = np.cos(yaw), np.sin(yaw)
    turned = local @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    return Surface(turned + center, np.array(faces), local, (material,), np.zeros(len(faces), np.int64))
