"""Points sorted into the cells of a cubic grid, and clouds thinned by them, the same way every time.

What is compiled and calls each other is in one file: Numba sees no change in another one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unipose_ros.compiled import compiled, compiled_part

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.integer]
_TOUCHING = np.ones((3, 3, 3), np.int8)
#: A grid of no more cells than this is a table with an entry for each; those of larger ones are sorted instead.
_LARGEST_TABLE = 2**22


@dataclass(frozen=True, eq=False)
class Cells:
    """Which cell of a grid, laid from the least coordinates on, each of N points lies in.

    Attributes:
        keys: (N,) number of each point's cell: its row, column and layer in one.
        shape: cells along each axis.
    """

    keys: IntArray
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, points: NDArray[np.floating], width: float) -> Cells:
        """Sort (N, 3) points into cells of ``width`` meters; there is at least one point, and all are finite."""
        return Layout.of(points).cells(width)

    @property
    def size(self) -> int:
        """Number of all cells, with and without points."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    def occupied(self) -> NDArray[np.bool_]:
        """Every cell in the order of the keys: whether there is a point in it."""
        table = np.zeros(self.size, np.bool_)
        table[self.keys] = True
        return table

    def count(self) -> int:
        """Number of cells with points."""
        if self.size > _LARGEST_TABLE:
            keys = np.sort(self.keys)
            return int(np.count_nonzero(keys[1:] != keys[:-1])) + min(len(keys), 1)
        return int(np.count_nonzero(self.occupied()))

    def owners(self) -> tuple[int, NDArray[np.intp]]:
        """The number of cells with points, and (N,) which of them, in the order of the keys, is each point's."""
        if self.size > _LARGEST_TABLE:
            cells, owner = np.unique(self.keys, return_inverse=True)
            return len(cells), owner.reshape(-1).astype(np.intp)
        cells = np.flatnonzero(self.occupied())
        number = np.empty(self.size, np.intp)  # read only where a point lies
        number[cells] = np.arange(len(cells))
        return len(cells), number[self.keys]

    def means(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """(M, 3) mean of the points (N, 3) in each cell that has some."""
        number, owner = self.owners()
        weight = np.bincount(owner, minlength=number)
        sums = [np.bincount(owner, weights=points[:, axis], minlength=number) for axis in range(3)]
        return (np.stack(sums, axis=1) / weight[:, None]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Layout:
    """Points from their least coordinates on, ready for grids of several widths.

    Attributes:
        offsets: (3, N) meters from the least coordinates.
        extent: (3,) greatest of them.
    """

    offsets: NDArray[np.floating]
    extent: NDArray[np.floating]

    @classmethod
    def of(cls, points: NDArray[np.floating]) -> Layout:
        """(N, 3) finite points, at least one."""
        columns = np.ascontiguousarray(points.T)
        offsets = columns - columns.min(axis=1, keepdims=True)
        return cls(offsets, offsets.max(axis=1))

    def cells(self, width: float) -> Cells:
        """The grid of this width in meters."""
        along = [int(side) + 1 for side in self.extent / width]
        shape = (along[0], along[1], along[2])
        wide = np.int32 if shape[0] * shape[1] * shape[2] < 2**31 else np.int64
        # Offsets are not negative: cutting off the decimals rounds down.
        cells = (self.offsets / width).astype(wide)
        keys = cells[0]
        for axis in (1, 2):
            keys *= shape[axis]
            keys += cells[axis]
        return Cells(keys, shape)


# The same for loops that Numba compiles: occupied cells alone, in a table with open addressing.


@compiled_part()
def _bounds(points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(3,) least and (3,) greatest coordinates of (N, 3) points, at least one.

    Raises:
        ValueError: a coordinate is not finite, which would be in no cell.
    """
    low, high = points[0].copy(), points[0].copy()
    for i in range(len(points)):
        for axis in range(3):
            if not np.isfinite(points[i, axis]):
                raise ValueError("a point is not finite")
            low[axis] = min(low[axis], points[i, axis])
            high[axis] = max(high[axis], points[i, axis])
    return low, high


@compiled_part()
def _slots(count: int) -> int:
    """Places for the cells of so many points: a power of two, at most half of them taken."""
    size = 16
    while size < 2 * count:
        size *= 2
    return size


@compiled_part()
def _room(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """What :func:`_sort` fills for so many points: its table, owners, first points and keys."""
    table = np.empty((2, _slots(count)), np.int64)
    return table, np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int64)


@compiled_part()
def _first_slot(key: int, mask: int) -> int:
    """Where a cell is looked for first (Fibonacci hashing, Knuth, The Art of Computer Programming, vol. 3, 6.4)."""
    return ((key * 0x9E3779B1) >> 15) & mask


@compiled_part()
def _sort(
    points: FloatArray,
    low: FloatArray,
    high: FloatArray,
    cell: float,
    table: NDArray[np.int64],
    owner: NDArray[np.int64],
    first: NDArray[np.int64],
    keys: NDArray[np.int64],
) -> int:
    """Sort points into cells of ``cell`` meters, which are numbered in the order of their first points.

    Args:
        low, high: of :func:`_bounds`.
        table: what is looked up: keys of cells, and their numbers.
        owner: (N,) the number of each point's cell.
        first, keys: (N,) of each cell its first point, and its place in the grid.

    Returns:
        The number of cells.
    """
    width = np.float32(cell)
    rows = int((high[1] - low[1]) / width) + 1
    layers = int((high[2] - low[2]) / width) + 1
    places, numbers = table[0], table[1]
    mask, cells = len(places) - 1, 0
    places[:] = -1
    for i in range(len(points)):
        x = int((points[i, 0] - low[0]) / width)
        y = int((points[i, 1] - low[1]) / width)
        z = int((points[i, 2] - low[2]) / width)
        key = (x * rows + y) * layers + z
        at = _first_slot(key, mask)
        while places[at] >= 0 and places[at] != key:
            at = (at + 1) & mask
        if places[at] < 0:
            places[at], numbers[at], first[cells], keys[cells] = key, cells, i, key
            cells += 1
        owner[i] = numbers[at]
    return cells


def first_of_cells_by_numpy(points: FloatArray, width: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first of (N, 3) points in each of M occupied cells of ``width`` meters, and (N,) the cell of each point."""
    number, cell = Cells.of(points, width).owners()
    first = np.empty(number, np.intp)
    first[cell[::-1]] = np.arange(len(points) - 1, -1, -1)  # the last one written stays: the first point of each cell
    return first, cell


@compiled(first_of_cells_by_numpy, "Tuple((i8[::1],i8[::1]))(f4[:,::1],f8)")
def first_of_cells(points: FloatArray, width: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """As :func:`first_of_cells_by_numpy`, but for the order of the cells: that of their first points.

    Raises:
        ValueError: a coordinate is not finite.
    """
    low, high = _bounds(points)
    table, owner, first, keys = _room(len(points))
    cells = _sort(points, low, high, width, table, owner, first, keys)
    return first[:cells].copy(), owner


def largest_component(points: FloatArray, cell: float) -> NDArray[np.bool_]:
    """Which of (N, 3) points belong to the largest cluster of touching cells of ``cell`` meters.

    Raises:
        ValueError: a coordinate is not finite, or the points lie so far apart that there are millions of cells.
    """
    if len(points) == 0:
        return np.zeros(0, np.bool_)
    return _largest_component(np.ascontiguousarray(points, np.float32), cell)


def voxel_downsample(points: FloatArray, count: int, cell: float) -> FloatArray:
    """At most ``count`` points: the means of the cells of a grid, as fine as the number allows.

    Args:
        points: (N, 3) meters.
        cell: meters, the finest grid.

    Returns:
        (M, 3) meters, M <= count, in the order of the cells.

    Raises:
        ValueError: a coordinate is not finite.
    """
    if len(points) == 0:
        return points
    keys, means = _voxel_means(np.ascontiguousarray(points, np.float32), count, cell)
    return means[np.argsort(keys)]


def farthest_first(points: FloatArray, count: int) -> FloatArray:
    """The same (N, 3) points, the first ``count`` of them as far from each other as can be.

    Farthest-point sampling (Eldar et al., IEEE TIP 1997), begun at the point nearest the mean.
    """
    points = np.ascontiguousarray(points, np.float32)
    return _farthest_first(points, points.mean(axis=0), count)


def largest_component_by_numpy(points: FloatArray, cell: float) -> NDArray[np.bool_]:
    """Reference of :func:`largest_component`."""
    cells = Cells.of(points, cell)
    if cells.size > _LARGEST_TABLE:
        raise ValueError("the points lie too far apart")
    clusters, _ = ndimage.label(cells.occupied().reshape(cells.shape), structure=_TOUCHING)
    cluster = clusters.reshape(-1)[cells.keys]
    return np.asarray(cluster == np.bincount(cluster).argmax())


@compiled_part()
def _root(parents: NDArray[np.int64], at: int) -> int:
    """The root of a tree, whose paths become shorter on the way."""
    while parents[at] != at:
        parents[at] = parents[parents[at]]
        at = int(parents[at])
    return at


@compiled(largest_component_by_numpy, "b1[::1](f4[:,::1],f8)")
def _largest_component(points: FloatArray, cell: float) -> NDArray[np.bool_]:
    """Cells are joined with those before them, row by row, by union and find."""
    count, width = len(points), np.float32(cell)
    low, high = _bounds(points)
    # One empty cell around, so that each has all its neighbors.
    shape = np.empty(3, np.int64)
    for axis in range(3):
        shape[axis] = int((high[axis] - low[axis]) / width) + 3
    if float(shape[0]) * shape[1] * shape[2] > _LARGEST_TABLE:
        raise ValueError("the points lie too far apart")
    across, along = shape[1] * shape[2], shape[2]
    keys = np.empty(count, np.int64)
    for i in range(count):
        x = int((points[i, 0] - low[0]) / width) + 1
        y = int((points[i, 1] - low[1]) / width) + 1
        z = int((points[i, 2] - low[2]) / width) + 1
        keys[i] = x * across + y * along + z
    number = np.full(shape[0] * across, -1, np.int32)
    places = np.empty(count, np.int64)
    weights = np.zeros(count, np.int64)
    cells = 0
    for i in range(count):
        at = int(number[keys[i]])
        if at < 0:
            at = cells
            number[keys[i]] = at
            places[cells] = keys[i]
            cells += 1
        weights[at] += 1
    parents = np.arange(cells)
    for at in range(cells):
        for x in range(-1, 2):
            for y in range(-1, 2):
                for z in range(-1, 2):
                    other = int(number[places[at] + x * across + y * along + z])
                    if 0 <= other < at:
                        a, b = _root(parents, at), _root(parents, other)
                        parents[max(a, b)] = min(a, b)
    sizes, first = np.zeros(cells, np.int64), np.full(cells, shape[0] * across)
    for at in range(cells):
        root = _root(parents, at)
        parents[at] = root
        sizes[root] += weights[at]
        first[root] = min(first[root], places[at])
    best = 0
    for root in range(cells):
        # Of clusters with as many points, the one of the first cell.
        if sizes[root] > sizes[best] or (sizes[root] == sizes[best] and first[root] < first[best]):
            best = root
    kept = np.empty(count, np.bool_)
    for i in range(count):
        kept[i] = parents[number[keys[i]]] == best
    return kept


def voxel_means_by_numpy(points: FloatArray, count: int, cell: float) -> tuple[NDArray[np.int64], FloatArray]:
    """(M,) numbers of the occupied cells of the finest grid that has at most ``count``, and (M, 3) their means."""
    layout = Layout.of(points)
    cells = layout.cells(cell)
    while (occupied := cells.count()) > count:
        # Points lie on surfaces: their number falls with the square of the grid's width.
        cell *= 1.02 * float(np.sqrt(occupied / count))
        cells = layout.cells(cell)
    means = cells.means(points)
    return np.arange(len(means)), means


@compiled(voxel_means_by_numpy, "Tuple((i8[::1],f4[:,::1]))(f4[:,::1],i8,f8)")
def _voxel_means(points: FloatArray, count: int, cell: float) -> tuple[NDArray[np.int64], FloatArray]:
    """Cells are found again in a table with open addressing: of a million cells a thousand are occupied."""
    total = len(points)
    low, high = _bounds(points)
    table, owner, first, keys = _room(total)
    while True:
        cells = _sort(points, low, high, cell, table, owner, first, keys)
        if cells <= count:
            break
        cell *= 1.02 * np.sqrt(cells / count)
    sums, weights = np.zeros((cells, 3)), np.zeros(cells)
    for i in range(total):
        weights[owner[i]] += 1
        for axis in range(3):
            sums[owner[i], axis] += points[i, axis]
    means = np.empty((cells, 3), np.float32)
    for at in range(cells):
        for axis in range(3):
            means[at, axis] = sums[at, axis] / weights[at]
    return keys[:cells].copy(), means


def farthest_first_by_numpy(points: FloatArray, start: FloatArray, count: int) -> FloatArray:
    """Reference of :func:`farthest_first`: a round is six calls of NumPy on rows of coordinates.

    Args:
        start: (3,) the first one chosen is nearest to it.
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

    measure(start[:, None])
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


@compiled(farthest_first_by_numpy, "f4[:,::1](f4[:,::1],f4[::1],i8)")
def _farthest_first(points: FloatArray, start: FloatArray, count: int) -> FloatArray:
    """One pass for each point that is chosen."""
    total = len(points)
    x, y, z = points[:, 0].copy(), points[:, 1].copy(), points[:, 2].copy()
    nearest = np.full(total, np.float32(np.inf))
    taken = np.zeros(total, np.bool_)
    order = np.empty(min(count, total), np.int64)
    chosen, least = 0, np.float32(np.inf)
    for i in range(total):
        distance = (x[i] - start[0]) ** 2 + (y[i] - start[1]) ** 2 + (z[i] - start[2]) ** 2
        if distance < least:
            chosen, least = i, distance
    left = total
    for number in range(len(order)):
        if number:
            u, v, w = x[chosen], y[chosen], z[chosen]
            for i in range(total):
                distance = (x[i] - u) ** 2 + (y[i] - v) ** 2 + (z[i] - w) ** 2
                nearest[i] = min(nearest[i], distance)
            chosen = int(nearest.argmax())
        order[number] = chosen
        left -= not taken[chosen]  # where points are in one place, one may be chosen again
        taken[chosen] = True
    result = np.empty((len(order) + left, 3), np.float32)
    for number in range(len(order)):
        result[number] = points[order[number]]
    number = len(order)
    for i in range(total):
        if not taken[i]:
            result[number] = points[i]
            number += 1
    return result
