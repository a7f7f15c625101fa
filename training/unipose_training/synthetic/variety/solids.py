"""Round solids, and moving surfaces about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from unipose_training.synthetic.materials import Material
from unipose_training.synthetic.surfaces import Surface


def turned_profile(profile: Sequence[tuple[float, float]], material: Material, sides: int = 16) -> Surface:
    """What a profile of (radius, height) pairs, from below to above, sweeps round the vertical, e.g. a vase."""
    angles = np.arange(sides) * 2 * np.pi / sides
    rings = [np.column_stack([r * np.cos(angles), r * np.sin(angles), np.full(sides, z)]) for r, z in profile]
    faces = []
    for ring in range(len(profile) - 1):
        a, b = ring * sides + np.arange(sides), ring * sides + (np.arange(sides) + 1) % sides
        faces += [np.stack([a, b, b + sides], axis=1), np.stack([a, b + sides, a + sides], axis=1)]
    vertices = np.concatenate(rings)
    triangles = np.concatenate(faces)
    return Surface(vertices, triangles, vertices, (material,), np.zeros(len(triangles), np.int64))


def cylinder(radius: float, bottom: float, top: float, material: Material) -> Surface:
    """A closed cylinder on the vertical through the origin."""
    # Rings are doubled at the rims, so that the edges stay sharp in shading.
    profile = [(0.0, bottom), (radius, bottom), (radius, bottom), (radius, top), (radius, top), (0.0, top)]
    return turned_profile(profile, material)


def ball(radius: float, height: float, material: Material) -> Surface:
    """A ball whose middle is ``height`` above the origin."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, 9)
    return turned_profile([(radius * np.cos(a), height + radius * np.sin(a)) for a in angles], material)


def placed(surfaces: Sequence[Surface], x: float, y: float, yaw: float = 0.0, up: float = 0.0) -> list[Surface]:
    """The same things turned about the vertical and moved."""
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    return [replace(surface, vertices=surface.vertices @ turn + [x, y, up]) for surface in surfaces]
