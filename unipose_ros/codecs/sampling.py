"""Thinning a cloud to a fixed number of points, the same way every time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FloatArray = NDArray[np.float32]

_TOUCHING = np.ones((3, 3, 3), np.int8)


def largest_component(points: FloatArray, cell: float) -> NDArray[np.bool_]:
    """Which of (N, 3) points belong to the largest cluster of touching cells of ``cell`` meters."""
    if len(points) == 0:
        return np.zeros(0, np.bool_)
    cells, _ = _cells(points, cell)
    occupied = np.zeros(cells.max(axis=0) + 1, np.bool_)
    occupied[tuple(cells.T)] = True
    clusters, _ = ndimage.label(occupied, structure=_TOUCHING)
    cluster = clusters[tuple(cells.T)]
    return np.asarray(cluster == np.bincount(cluster).argmax())


def voxel_downsample(points: FloatArray, count: int, cell: float) -> FloatArray:
    """At most ``count`` points: the means of the cells of a grid, as fine as the number allows.

    Args:
        points: (N, 3) meters.
        cell: meters, the finest grid.

    Returns:
        (M, 3) meters, M <= count.
    """
    thinned = _cell_means(points, cell)
    while len(thinned) > count:
        # Points lie on surfaces: their number falls with the square of the grid's width.
        cell *= 1.02 * float(np.sqrt(len(thinned) / count))
        thinned = _cell_means(points, cell)
    return thinned


def farthest_first(points: FloatArray, count: int) -> FloatArray:
    """The same (N, 3) points, the first ``count`` of them as far from each other as can be.

    Farthest-point sampling (Eldar et al., IEEE TIP 1997), begun at the point nearest the mean.
    """
    count = min(count, len(points))
    distance = _squared_distances(points, points.mean(axis=0))
    chosen = np.zeros(count, np.intp)
    chosen[0] = distance.argmin()
    distance[:] = np.inf
    for i in range(1, count):
        np.minimum(distance, _squared_distances(points, points[chosen[i - 1]]), out=distance)
        chosen[i] = distance.argmax()
    rest = np.ones(len(points), np.bool_)
    rest[chosen] = False
    return np.concatenate([points[chosen], points[rest]])


def _cells(points: FloatArray, cell: float) -> tuple[NDArray[np.int64], tuple[int, ...]]:
    """(N, 3) cell of each point, from 0, and the number of cells along each axis."""
    cells = np.floor((points - points.min(axis=0)) / cell).astype(np.int64)
    return cells, tuple(int(n) for n in cells.max(axis=0) + 1)


def _cell_means(points: FloatArray, cell: float) -> FloatArray:
    cells, shape = _cells(points, cell)
    _, owner = np.unique(np.ravel_multi_index(tuple(cells.T), shape), return_inverse=True)
    number = np.bincount(owner)
    sums = [np.bincount(owner, weights=points[:, axis]) for axis in range(3)]
    return (np.stack(sums, axis=1) / number[:, None]).astype(np.float32)


def _squared_distances(points: FloatArray, place: FloatArray) -> FloatArray:
    offset = points - place
    return np.asarray(np.einsum("nd,nd->n", offset, offset))
