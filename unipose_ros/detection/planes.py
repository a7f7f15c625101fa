"""Floors, walls and table tops in a grid of points: what is large and flat is no person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: A plane smaller than this many square meters may be a person's back.
_LEAST_AREA = 1.2
_MOST_PLANES = 5
_HYPOTHESES, _VOTERS, _BLOCK = 150, 1500, 50
#: Least cosine between the normals of a plane and of a point on it.
_SAME_DIRECTION = 0.8
#: The floor's normal is less than 60 degrees from the image's upward direction.
_UPRIGHT = 0.5


@dataclass(frozen=True, eq=False)
class Planes:
    """What was found in (H, W) points.

    Attributes:
        members: (H, W) points that lie on a plane.
        up: (3,) unit vector that is up: away from the lowest floor-like plane, or the image's
            upward direction where there is none.
    """

    members: NDArray[np.bool_]
    up: FloatArray


def find_planes(points: FloatArray, areas: FloatArray) -> Planes:
    """Planes by random sampling of points with their normals, largest first.

    Random sample consensus (Fischler and Bolles, Communications of the ACM 1981) with one point a
    hypothesis, since the point's neighbors give its normal. The sampling is the same every time.

    Args:
        points: (H, W, 3) meters in the optical frame, NaN without reading.
        areas: (H, W) square meters that each point stands for.
    """
    normals = _normals(points)
    members, floors = np.zeros(points.shape[:2], np.bool_), []
    tolerance = _tolerance(points)
    usable = np.isfinite(normals[..., 0]) & np.isfinite(areas)
    rng = np.random.default_rng(0)
    for _ in range(_MOST_PLANES):
        free = np.flatnonzero(usable & ~members)
        plane = _largest(points.reshape(-1, 3)[free], normals.reshape(-1, 3)[free], areas.reshape(-1)[free], rng)
        if plane is None:
            break
        normal, center = plane
        members |= _on_plane(points, normals, tolerance, normal, center)
        if abs(normal[1]) > _UPRIGHT:
            floors.append((center, normal * -np.sign(normal[1])))
    return Planes(members, _up(floors))


def _normals(points: FloatArray) -> FloatArray:
    """(H, W, 3) unit normals from the neighbors two steps apart; NaN where one of them has no reading."""
    normals = np.full_like(points, np.nan)
    across, down = points[1:-1, 2:] - points[1:-1, :-2], points[2:, 1:-1] - points[:-2, 1:-1]
    (ax, ay, az), (dx, dy, dz) = np.moveaxis(across, -1, 0), np.moveaxis(down, -1, 0)
    # Written out: np.cross takes three times as long.
    x, y, z = ay * dz - az * dy, az * dx - ax * dz, ax * dy - ay * dx
    with np.errstate(invalid="ignore", divide="ignore"):
        length = np.sqrt(x * x + y * y + z * z)
        for axis, component in enumerate((x, y, z)):
            normals[1:-1, 1:-1, axis] = component / length
    return normals


def _largest(
    points: FloatArray, normals: FloatArray, areas: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray] | None:
    """Normal and center of the plane of the greatest area, if it is large enough."""
    if len(points) < 50:
        return None
    voters = rng.integers(len(points), size=min(_VOTERS, len(points)))
    # Area counts, not points: near things have most of those.
    seeds = rng.choice(len(points), size=_HYPOTHESES, p=areas / areas.sum())
    voted, facing, weights = points[voters], normals[voters], areas[voters]
    agree = _agreement(points[seeds], normals[seeds], voted, facing)
    room, narrow = np.empty((_BLOCK, len(voters)), np.float32), weights.astype(np.float32)
    votes = np.concatenate(
        [np.multiply(block, narrow, out=room).sum(axis=1) for block in agree.reshape(-1, _BLOCK, len(voters))]
    )
    best = int(votes.argmax())
    if votes[best] * areas.sum() / weights.sum() < _LEAST_AREA:
        return None
    on = voted[agree[best]]
    center = on.mean(axis=0)
    off = on - center
    # The direction in which the points spread least.
    normal = np.linalg.eigh((off[:, :, None] * off[:, None]).sum(axis=0))[1][:, 0]
    return normal, center


def _agreement(points: FloatArray, directions: FloatArray, voted: FloatArray, facing: FloatArray) -> NDArray[np.bool_]:
    """(H, V) which of V points lie on, and face as, each of H planes through points with normals.

    In single precision and in the same memory for block after block. The blocks are so small that BLAS does not wake
    its threads for them, which takes ten times as long as the product where other programs keep the cores busy.
    """
    normals = directions.astype(np.float32)
    across = [np.ascontiguousarray(each.T, np.float32) for each in (voted, facing)]
    through = (directions * points).sum(axis=1, keepdims=True).astype(np.float32)
    tolerance = _tolerance(voted).astype(np.float32)
    agree = np.empty((len(normals), len(voted)), np.bool_)
    room, faces = np.empty((_BLOCK, len(voted)), np.float32), np.empty((_BLOCK, len(voted)), np.bool_)
    for first in range(0, len(normals), _BLOCK):
        block = slice(first, first + _BLOCK)
        np.dot(normals[block], across[0], out=room)
        np.subtract(room, through[block], out=room)
        np.less(np.abs(room, out=room), tolerance, out=agree[block])
        np.dot(normals[block], across[1], out=room)
        np.greater(np.abs(room, out=room), np.float32(_SAME_DIRECTION), out=faces)
        np.logical_and(agree[block], faces, out=agree[block])
    return agree


def _on_plane(
    points: FloatArray, normals: FloatArray, tolerance: FloatArray, normal: FloatArray, center: FloatArray
) -> NDArray[np.bool_]:
    """(H, W) points on a plane that face as it does, or whose direction is not known."""
    with np.errstate(invalid="ignore"):
        x, y, z = normal
        near = (
            np.abs(x * points[..., 0] + y * points[..., 1] + z * points[..., 2] - (center * normal).sum()) < tolerance
        )
        facing = x * normals[..., 0] + y * normals[..., 1] + z * normals[..., 2]
        away = np.abs(facing) < _SAME_DIRECTION  # False for NaN
    return np.asarray(near & ~away)


def _tolerance(points: FloatArray) -> FloatArray:
    """Meters; depth noise grows with the square of the distance."""
    tolerance: FloatArray = 0.03 + 0.004 * points[..., 2] ** 2
    return tolerance


def _up(floors: list[tuple[FloatArray, FloatArray]]) -> FloatArray:
    if not floors:
        return np.array([0.0, -1.0, 0.0])
    # The floor is the one with the most of the others above it: the lowest along its own normal.
    return min(floors, key=lambda floor: float(floor[0] @ floor[1]))[1]
