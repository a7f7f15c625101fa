"""Large planes of a depth image: floors, walls, ceilings, tops of tables.

On a plane the inverse of the depth is linear in the pixel: of the points p with ``m . p = 1`` it is ``1 / z = m . r``
on the ray r with z = 1. So a plane is a linear regression of inverse depths, whose errors are alike near and far for
stereo and structured light, and which no focal length enters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, rays

FloatArray = NDArray[np.float64]

#: Every so many pixels count, in tiles of so many of them each way: 32 x 32 pixels.
STRIDE, _TILE = 4, 8
#: Meters within which depth is used.
_NEAREST, _FARTHEST = 0.2, 10.0
#: A point lies on a plane within so many standard deviations of the noise, and within these limits, 1/m.
_SIGMAS, _LEAST_TOLERANCE, _MOST_TOLERANCE = 3.0, 0.005, 0.03
#: Fraction of a tile that must have depth for a first guess of a plane, and that must lie on the plane to support it.
_FILLED, _SUPPORT = 0.6, 0.6
#: Share of the image that a plane must have, and how many planes are looked for.
_LEAST_AREA, _MOST_PLANES = 0.05, 6
#: Guesses that are refined, rounds of refinement, of which the first ones with twice the tolerance.
_GUESSES, _ROUNDS, _WIDE_ROUNDS = 5, 6, 2
#: Keeps regressions solvable whose points lie on a line; far below the weight of any tile.
_PRIOR = 1e-9


@dataclass(frozen=True, eq=False)
class Plane:
    """The points p with ``parameters . p = 1``.

    Attributes:
        parameters: (3,) normal over distance, 1/m, in the optical frame.
        area: share of the image.
    """

    parameters: FloatArray
    area: float


def inverse_depths(depth: NDArray[np.float32]) -> FloatArray:
    """(H, W) meters -> (H', W') 1/m of every :data:`STRIDE` th pixel, whole tiles; NaN without a reading."""
    sparse = np.asarray(depth[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE], np.float64)
    height, width = (side - side % _TILE for side in sparse.shape)
    sparse = sparse[:height, :width]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((sparse > _NEAREST) & (sparse < _FARTHEST), 1 / sparse, np.nan)


def find_planes(camera: Camera, inverse: FloatArray) -> list[Plane]:
    """The large planes, the largest first.

    Each tile's own plane is a guess; those on which most points lie are refined by least squares over the tiles that
    lie on them for the most part, so that no plane is made of strips of other surfaces. The best one is taken out, and
    the next one is looked for in the rest.

    Args:
        inverse: of :func:`inverse_depths`.
    """
    height, width = inverse.shape
    v, u = np.mgrid[:height, :width] * STRIDE + STRIDE // 2
    directions, values = _tiles(rays(camera, np.stack([u, v], axis=-1))), _tiles(inverse)
    left = np.isfinite(values) & np.isfinite(directions).all(axis=-1)
    directions, values = np.where(left[..., None], directions, 0.0), np.where(left, values, 0.0)
    there = left.mean(axis=1)
    planes: list[Plane] = []
    tolerance = _tolerance(directions, values, left)
    while len(planes) < _MOST_PLANES and left.any():
        plane = _largest(directions, values, left, there, tolerance)
        if plane is None or plane.area < _LEAST_AREA:
            break
        planes.append(plane)
        left &= np.abs(directions @ plane.parameters - values) >= 2 * tolerance
    return sorted(planes, key=lambda plane: -plane.area)


def _tiles(image: FloatArray) -> FloatArray:
    """(H, W, ...) -> (T, P, ...) the pixels of each tile."""
    height, width = image.shape[:2]
    parts = image.reshape(height // _TILE, _TILE, width // _TILE, _TILE, *image.shape[2:])
    return np.asarray(parts.swapaxes(1, 2).reshape(-1, _TILE * _TILE, *image.shape[2:]))


def _tile_planes(directions: FloatArray, values: FloatArray, used: NDArray[np.bool_]) -> FloatArray:
    """(T, 3) the plane of each tile."""
    weighted = directions * used[..., None]
    normal = weighted.transpose(0, 2, 1) @ directions + _PRIOR * np.eye(3)
    right = (weighted * values[..., None]).sum(axis=1)
    return np.asarray(np.linalg.solve(normal, right[..., None])[..., 0])


def _tolerance(directions: FloatArray, values: FloatArray, used: NDArray[np.bool_]) -> float:
    """1/m; the noise is that of the smoother tiles, a quarter of which are on planes in any room."""
    full = used.mean(axis=1) > _FILLED
    if not full.any():
        return _LEAST_TOLERANCE
    planes = _tile_planes(directions[full], values[full], used[full])
    off = (values[full] - (directions[full] @ planes[..., None])[..., 0]) * used[full]
    noise = np.percentile(np.sqrt((off**2).sum(axis=1) / used[full].sum(axis=1)), 25)
    return float(np.clip(_SIGMAS * noise, _LEAST_TOLERANCE, _MOST_TOLERANCE))


def _largest(
    directions: FloatArray, values: FloatArray, left: NDArray[np.bool_], there: FloatArray, tolerance: float
) -> Plane | None:
    full = left.mean(axis=1) > _FILLED
    if not full.any():
        return None
    guesses = _tile_planes(directions[full], values[full], left[full])
    flat, few = directions.reshape(-1, 3)[::4], left.reshape(-1)[::4]
    on = np.abs(flat @ guesses.T - values.reshape(-1)[::4, None]) < tolerance
    votes = (on & few[:, None]).sum(axis=0)
    found = [
        _refined(guesses[guess], directions, values, left, there, tolerance) for guess in np.argsort(-votes)[:_GUESSES]
    ]
    return max((plane for plane in found if plane is not None), key=lambda plane: plane.area, default=None)


def _refined(
    parameters: FloatArray, directions: FloatArray, values: FloatArray, left: NDArray[np.bool_], there: FloatArray,
    tolerance: float,
) -> Plane | None:  # fmt: skip
    area = 0.0
    for step in range(_ROUNDS):
        near = tolerance * (2 if step < _WIDE_ROUNDS else 1)
        on = (np.abs(directions @ parameters - values) < near) & left
        on &= (on.mean(axis=1) > _SUPPORT * np.maximum(there, 0.5))[:, None]
        if on.sum() < 3 * _TILE:
            return None
        points = directions[on]
        normal = points.T @ points + _PRIOR * np.eye(3)
        parameters = np.asarray(np.linalg.solve(normal, points.T @ values[on]), np.float64)
        area = float(on.mean())
    return Plane(parameters, area)
