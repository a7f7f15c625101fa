"""Thinning a cloud to a fixed number of points, the same way every time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unipose_ros.geometry.cells import Cells, Layout

FloatArray = NDArray[np.float32]

_TOUCHING = np.ones((3, 3, 3), np.int8)


def largest_component(points: FloatArray, cell: float) -> NDArray[np.bool_]:
    """Which of (N, 3) points belong to the largest cluster of touching cells of ``cell`` meters."""
    if len(points) == 0:
        return np.zeros(0, np.bool_)
    cells = Cells.of(points, cell)
    clusters, _ = ndimage.label(cells.occupied().reshape(cells.shape), structure=_TOUCHING)
    cluster = clusters.reshape(-1)[cells.keys]
    return np.asarray(cluster == np.bincount(cluster).argmax())


def voxel_downsample(points: FloatArray, count: int, cell: float) -> FloatArray:
    """At most ``count`` points: the means of the cells of a grid, as fine as the number allows.

    Args:
        points: (N, 3) meters.
        cell: meters, the finest grid.

    Returns:
        (M, 3) meters, M <= count.
    """
    layout = Layout.of(points)
    cells = layout.cells(cell)
    while (occupied := cells.count()) > count:
        # Points lie on surfaces: their number falls with the square of the grid's width.
        cell *= 1.02 * float(np.sqrt(occupied / count))
        cells = layout.cells(cell)
    return cells.means(points)


def farthest_first(points: FloatArray, count: int) -> FloatArray:
    """The same (N, 3) points, the first ``count`` of them as far from each other as can be.

    Farthest-point sampling (Eldar et al., IEEE TIP 1997), begun at the point nearest the mean. A round is six calls
    of NumPy on rows of coordinates and writes into the same memory: that, not arithmetic, is what it costs.
    """
    count = min(count, len(points))
    columns = np.ascontiguousarray(points.T)
    offsets, distance = np.empty_like(columns), np.empty(len(points), columns.dtype)
    x, y, z = offsets

    def measure(origin: NDArray[np.floating]) -> None:
        """Squared distances of all points from (3, 1)."""
        np.subtract(columns, origin, out=offsets)
        np.multiply(offsets, offsets, out=offsets)
        np.add(x, y, out=distance)
        np.add(distance, z, out=distance)

    measure(points.mean(axis=0)[:, None])
    chosen = np.zeros(count, np.intp)
    chosen[0] = distance.argmin()
    nearest = np.full(len(points), np.inf, columns.dtype)
    for i in range(1, count):
        measure(columns[:, chosen[i - 1], None])
        np.minimum(nearest, distance, out=nearest)
        chosen[i] = nearest.argmax()
    rest = np.ones(len(points), np.bool_)
    rest[chosen] = False
    return np.concatenate([points[chosen], points[rest]])
