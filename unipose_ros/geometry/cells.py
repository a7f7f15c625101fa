"""Points sorted into the cells of a cubic grid, in one pass over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.integer]

#: A grid of no more cells than this is a table with an entry for each; those of larger ones are sorted instead.
_TABLE = 2**22


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
        if self.size > _TABLE:
            keys = np.sort(self.keys)
            return int(np.count_nonzero(keys[1:] != keys[:-1])) + min(len(keys), 1)
        return int(np.count_nonzero(self.occupied()))

    def owners(self) -> tuple[int, NDArray[np.intp]]:
        """The number of cells with points, and (N,) which of them, in the order of the keys, is each point's."""
        if self.size > _TABLE:
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
