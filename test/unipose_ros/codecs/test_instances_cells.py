"""Grids of cells against NumPy's own sorting of rows."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_ros.codecs.instances import Cells, Layout


def cloud(count: int, spread: float, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(0, 1, (count, 3)) * [spread, 2 * spread, 0.5]).astype(np.float32)


def rows_of(points: np.ndarray, width: float) -> np.ndarray:
    return np.floor((points - points.min(axis=0)) / width).astype(np.int64)


# With the last one the grid is too large for a table, and its keys do not fit 32 bits.
@pytest.mark.parametrize(("spread", "width"), [(0.4, 0.05), (0.4, 0.02), (3.0, 0.02), (60.0, 0.01)])
def test_cells_are_those_of_rounded_coordinates_in_their_order(spread: float, width: float) -> None:
    points = cloud(3000, spread)
    unique, owner, counts = np.unique(rows_of(points, width), axis=0, return_inverse=True, return_counts=True)
    cells = Cells.of(points, width)
    number, found = cells.owners()
    assert cells.count() == number == len(unique)
    assert np.array_equal(found, owner.reshape(-1))
    sums = np.zeros((len(unique), 3))
    np.add.at(sums, owner.reshape(-1), points.astype(np.float64))
    assert np.allclose(cells.means(points), sums / counts[:, None], atol=1e-6)


def test_one_layout_serves_grids_of_several_widths() -> None:
    points = cloud(500, 0.4)
    layout = Layout.of(points)
    for width in (0.03, 0.1):
        assert np.array_equal(layout.cells(width).keys, Cells.of(points, width).keys)


def test_points_in_one_place_are_in_one_cell() -> None:
    cells = Cells.of(np.full((7, 3), 2.5, np.float32), 0.1)
    assert (cells.size, cells.count()) == (1, 1)
    assert cells.owners()[1].tolist() == [0] * 7
