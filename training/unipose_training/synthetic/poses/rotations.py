"""Rotations about axes, many at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_NEXT = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}


def about(axis: str, degrees: Array | float) -> Array:
    """(N,) degrees -> (N, 3, 3) rotations about x, y or z."""
    angle = np.radians(np.atleast_1d(np.asarray(degrees, np.float64)))
    first, second = _NEXT[axis]
    turns = np.tile(np.eye(3), (len(angle), 1, 1))
    turns[:, first, first] = turns[:, second, second] = np.cos(angle)
    turns[:, second, first] = np.sin(angle)
    turns[:, first, second] = -turns[:, second, first]
    return turns


def about_vector(axes: Array, degrees: Array) -> Array:
    """(N, 3) unit axes and (N,) degrees -> (N, 3, 3) (Rodrigues)."""
    angle = np.radians(degrees)[:, None, None]
    x, y, z = axes.T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    outer = axes[:, :, None] * axes[:, None]
    return np.asarray(np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * outer)


def random_turns(rng: np.random.Generator, count: int, degrees: Array | float) -> Array:
    """(N, 3, 3) rotations about any axis, normally distributed with that standard deviation about each axis."""
    vector = rng.normal(0, 1, (count, 3)) * np.reshape(degrees, (-1, 1))
    angle = np.linalg.norm(vector, axis=1)
    return about_vector(vector / np.maximum(angle, 1e-12)[:, None], angle)


def to_quaternions(turns: Array) -> Array:
    """(..., 3, 3) rotations -> (..., 4) unit quaternions xyzw, w >= 0 (Bar-Itzhack 2000: the largest eigenvector)."""
    m = turns.reshape(-1, 3, 3)
    xx, xy, xz, yx, yy, yz, zx, zy, zz = m.reshape(-1, 9).T
    table = np.stack([
        xx - yy - zz, xy + yx, xz + zx, zy - yz,
        xy + yx, yy - xx - zz, yz + zy, xz - zx,
        xz + zx, yz + zy, zz - xx - yy, yx - xy,
        zy - yz, xz - zx, yx - xy, xx + yy + zz,
    ], axis=1).reshape(-1, 4, 4) / 3  # fmt: skip
    _, vectors = np.linalg.eigh(table)
    best = vectors[:, :, -1]
    best = best * np.where(best[:, 3:] < 0, -1.0, 1.0)
    return np.asarray(best.reshape(*turns.shape[:-2], 4))
