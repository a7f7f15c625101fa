"""Triangles with a look and an owner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.materials import Material

Array = NDArray[np.float64]
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
