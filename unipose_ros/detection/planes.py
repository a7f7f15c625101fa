"""Floors, walls and table tops in a grid of points: what is large and flat is no person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.compiled import compiled
from unipose_ros.gaps import breathe

FloatArray = NDArray[np.float64]

#: A plane smaller than this many square meters may be a person's back.
_LEAST_AREA = 1.2
_MOST_PLANES = 5
_HYPOTHESES, _VOTERS, _BLOCK = 150, 1500, 50
#: Fewer points are no plane.
_LEAST_POINTS = 50
#: Least cosine between the normals of a plane and of a point on it.
_SAME_DIRECTION = 0.8
#: The floor's normal is less than 60 degrees from the image's upward direction.
_UPRIGHT = 0.5
#: Meters from a plane, and per square meter of distance: depth noise grows with the square of the distance.
_OFF, _OFF_PART = 0.03, 0.004


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
    normals = _normals(np.ascontiguousarray(points, np.float64)).reshape(-1, 3)
    flat, sizes = np.ascontiguousarray(points, np.float64).reshape(-1, 3), np.ravel(areas)
    members, floors = np.zeros(len(flat), np.bool_), []
    usable = np.isfinite(normals[:, 0]) & np.isfinite(sizes)
    rng = np.random.default_rng(0)
    for _ in range(_MOST_PLANES):
        breathe()
        free = np.flatnonzero(usable & ~members)
        if len(free) < _LEAST_POINTS:
            break
        voters = rng.integers(len(free), size=min(_VOTERS, len(free)))
        area, center, spread = _largest(flat, normals, sizes, free, voters, rng.random(_HYPOTHESES))
        if area < _LEAST_AREA:
            break
        # The direction in which the points spread least.
        normal = np.ascontiguousarray(np.linalg.eigh(spread)[1][:, 0])
        _mark(flat, normals, normal, float((center * normal).sum()), members)
        if abs(normal[1]) > _UPRIGHT:
            floors.append((center, normal * -np.sign(normal[1])))
    return Planes(members.reshape(points.shape[:2]), _up(floors))


def _normals_by_numpy(points: FloatArray) -> FloatArray:
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


@compiled(_normals_by_numpy, "f8[:,:,::1](f8[:,:,::1])")
def _normals(points: FloatArray) -> FloatArray:
    height, width = points.shape[:2]
    normals = np.full((height, width, 3), np.nan)
    for v in range(1, height - 1):
        for u in range(1, width - 1):
            right, left, below, above = points[v, u + 1], points[v, u - 1], points[v + 1, u], points[v - 1, u]
            ax, ay, az = right[0] - left[0], right[1] - left[1], right[2] - left[2]
            dx, dy, dz = below[0] - above[0], below[1] - above[1], below[2] - above[2]
            x, y, z = ay * dz - az * dy, az * dx - ax * dz, ax * dy - ay * dx
            length = np.sqrt(x * x + y * y + z * z)
            normals[v, u, 0], normals[v, u, 1], normals[v, u, 2] = x / length, y / length, z / length
    return normals


def _largest_by_numpy(
    points: FloatArray,
    normals: FloatArray,
    areas: FloatArray,
    free: NDArray[np.intp],
    voters: NDArray[np.int64],
    chances: FloatArray,
) -> tuple[float, FloatArray, FloatArray]:
    points, normals, areas = points[free], normals[free], areas[free]
    shares = np.cumsum(areas / areas.sum())
    seeds = np.searchsorted(shares / shares[-1], chances, side="right")
    voted, facing, weights = points[voters], normals[voters], areas[voters]
    agree = _agreement(points[seeds], normals[seeds], voted, facing)
    room, narrow = np.empty((_BLOCK, len(voters)), np.float32), weights.astype(np.float32)
    votes = np.concatenate(
        [np.multiply(block, narrow, out=room).sum(axis=1) for block in agree.reshape(-1, _BLOCK, len(voters))]
    )
    best = int(votes.argmax())
    on = voted[agree[best]]
    center = on.mean(axis=0)
    off = on - center
    return float(votes[best] * areas.sum() / weights.sum()), center, (off[:, :, None] * off[:, None]).sum(axis=0)


@compiled(_largest_by_numpy, "Tuple((f8,f8[::1],f8[:,::1]))(f8[:,::1],f8[:,::1],f8[::1],i8[::1],i8[::1],f8[::1])")
def _largest(
    points: FloatArray,
    normals: FloatArray,
    areas: FloatArray,
    free: NDArray[np.intp],
    voters: NDArray[np.int64],
    chances: FloatArray,
) -> tuple[float, FloatArray, FloatArray]:
    """The plane through one of the points on which, and facing as it does, most of the area lies.

    Args:
        points, normals, areas: of all points; (P, 3), (P, 3) and (P,).
        free: which of them are on no plane yet.
        voters: which of the free ones are asked.
        chances: (H,) within [0, 1), each of which draws a point. Area counts, not points: near things have most of
            those.

    Returns:
        Square meters, center, and how those who agree spread around it, (3, 3).
    """
    total = 0.0
    for point in free:
        total += areas[point]
    shares = np.empty(len(free))
    share = 0.0
    for number in range(len(free)):
        share += areas[free[number]] / total
        shares[number] = share
    hypotheses = len(chances)
    # In single precision, one hypothesis beside the other.
    x, y, z, through, votes = np.zeros((5, hypotheses), np.float32)
    for number in range(hypotheses):
        seed = free[np.searchsorted(shares, chances[number] * share, side="right")]
        normal, point = normals[seed], points[seed]
        x[number], y[number], z[number] = normal[0], normal[1], normal[2]
        through[number] = normal[0] * point[0] + normal[1] * point[1] + normal[2] * point[2]
    same, none = np.float32(_SAME_DIRECTION), np.float32(0)
    asked = np.empty((len(voters), 8), np.float32)
    weights = 0.0
    for number in range(len(voters)):
        voter = free[voters[number]]
        weights += areas[voter]
        asked[number, :3], asked[number, 3:6] = points[voter], normals[voter]
        asked[number, 6], asked[number, 7] = _OFF + _OFF_PART * points[voter, 2] ** 2, areas[voter]
        px, py, pz, nx, ny, nz, tolerance, area = asked[number]
        for one in range(hypotheses):
            off = abs(x[one] * px + y[one] * py + z[one] * pz - through[one])
            facing = abs(x[one] * nx + y[one] * ny + z[one] * nz)
            votes[one] += area if (off < tolerance) & (facing > same) else none
    best = int(np.argmax(votes))
    center, spread, count = np.zeros(3), np.zeros((3, 3)), 0
    agree = np.empty(len(voters), np.int64)
    for number in range(len(voters)):
        px, py, pz, nx, ny, nz, tolerance, _ = asked[number]
        off = abs(x[best] * px + y[best] * py + z[best] * pz - through[best])
        if off < tolerance and abs(x[best] * nx + y[best] * ny + z[best] * nz) > same:
            agree[count] = free[voters[number]]
            for axis in range(3):
                center[axis] += points[agree[count], axis]
            count += 1
    center /= count
    for number in range(count):
        off_center = points[agree[number]] - center
        for row in range(3):
            for column in range(3):
                spread[row, column] += off_center[row] * off_center[column]
    return votes[best] * total / weights, center, spread


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


def _mark_by_numpy(
    points: FloatArray, normals: FloatArray, normal: FloatArray, through: float, members: NDArray[np.bool_]
) -> None:
    x, y, z = normal
    with np.errstate(invalid="ignore"):
        near = np.abs(x * points[:, 0] + y * points[:, 1] + z * points[:, 2] - through) < _tolerance(points)
        facing = x * normals[:, 0] + y * normals[:, 1] + z * normals[:, 2]
        away = np.abs(facing) < _SAME_DIRECTION  # False for NaN
    members |= near & ~away


@compiled(_mark_by_numpy, "void(f8[:,::1],f8[:,::1],f8[::1],f8,b1[::1])")
def _mark(
    points: FloatArray, normals: FloatArray, normal: FloatArray, through: float, members: NDArray[np.bool_]
) -> None:
    """Points on a plane that face as it does, or whose direction is not known, become members."""
    x, y, z = normal
    for number in range(len(points)):
        point, own = points[number], normals[number]
        near = abs(x * point[0] + y * point[1] + z * point[2] - through) < _OFF + _OFF_PART * point[2] ** 2
        away = abs(x * own[0] + y * own[1] + z * own[2]) < _SAME_DIRECTION  # False for NaN
        members[number] |= near & (not away)


def _tolerance(points: FloatArray) -> FloatArray:
    """Meters."""
    tolerance: FloatArray = _OFF + _OFF_PART * points[..., 2] ** 2
    return tolerance


def _up(floors: list[tuple[FloatArray, FloatArray]]) -> FloatArray:
    if not floors:
        return np.array([0.0, -1.0, 0.0])
    # The floor is the one with the most of the others above it: the lowest along its own normal.
    return min(floors, key=lambda floor: float(floor[0] @ floor[1]))[1]
