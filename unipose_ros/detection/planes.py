"""Floors, walls and table tops in a grid of points: what is large and flat is no person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: A plane smaller than this many square meters may be a person's back.
_LEAST_AREA = 1.2
_MOST_PLANES = 5
_HYPOTHESES, _VOTERS = 150, 1500
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
    rng = np.random.default_rng(0)
    for _ in range(_MOST_PLANES):
        free = np.isfinite(normals[..., 0]) & np.isfinite(areas) & ~members
        plane = _largest(points[free], normals[free], areas[free], rng)
        if plane is None:
            break
        normal, center = plane
        members |= _on_plane(points, normals, normal, center)
        if abs(normal[1]) > _UPRIGHT:
            floors.append((center, normal * -np.sign(normal[1])))
    return Planes(members, _up(floors))


def _normals(points: FloatArray) -> FloatArray:
    """(H, W, 3) unit normals from the neighbors two steps apart; NaN where one of them has no reading."""
    normals = np.full_like(points, np.nan)
    across, down = points[1:-1, 2:] - points[1:-1, :-2], points[2:, 1:-1] - points[:-2, 1:-1]
    normal = np.cross(across, down)
    with np.errstate(invalid="ignore", divide="ignore"):
        normals[1:-1, 1:-1] = normal / np.linalg.norm(normal, axis=-1, keepdims=True)
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
    voted, facing = points[voters], normals[voters]
    offsets = np.abs(normals[seeds] @ voted.T - (normals[seeds] * points[seeds]).sum(axis=1)[:, None])
    agree = (offsets < _tolerance(voted)) & (np.abs(normals[seeds] @ facing.T) > _SAME_DIRECTION)
    votes = agree @ areas[voters]
    best = int(votes.argmax())
    if votes[best] * areas.sum() / areas[voters].sum() < _LEAST_AREA:
        return None
    on = voted[agree[best]]
    center = on.mean(axis=0)
    normal = np.linalg.svd(on - center, full_matrices=False)[2][2]
    return normal, center


def _on_plane(points: FloatArray, normals: FloatArray, normal: FloatArray, center: FloatArray) -> NDArray[np.bool_]:
    """(H, W) points on a plane that face as it does, or whose direction is not known."""
    with np.errstate(invalid="ignore"):
        near = np.abs((points - center) @ normal) < _tolerance(points)
        away = np.abs(normals @ normal) < _SAME_DIRECTION  # False for NaN
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
