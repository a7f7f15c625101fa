"""Cells against NumPy's own sorting of rows, thinning against plain algorithms, and loops against their references."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_ros.codecs import thinning
from unipose_ros.codecs.thinning import Cells, Layout, farthest_first, largest_component, voxel_downsample
from unipose_ros.compiled import ENABLED


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


def test_thin_keeps_to_the_number_and_near_the_cloud() -> None:
    cloud = np.random.default_rng(0).uniform(0, 1, (20000, 3)).astype(np.float32)
    cloud[:, 2] = 0
    thinned = voxel_downsample(cloud, 500, 0.01)
    assert 300 < len(thinned) <= 500
    assert (thinned[:, 2] == 0).all()


def test_thin_of_one_point_is_that_point() -> None:
    point = np.array([[1.0, 2.0, 3.0]], np.float32)
    assert np.array_equal(voxel_downsample(np.repeat(point, 9, axis=0), 500, 0.01), point)


def test_spread_first_covers_and_keeps_all_points() -> None:
    cloud = np.random.default_rng(1).normal(0, 1, (1000, 3)).astype(np.float32)
    ordered = farthest_first(cloud, 50)
    assert np.array_equal(np.unique(ordered, axis=0), np.unique(cloud, axis=0))

    def reach(chosen: np.ndarray) -> float:
        return np.linalg.norm(cloud[:, None] - chosen, axis=-1).min(axis=1).max()

    assert reach(ordered[:50]) < 0.7 * reach(cloud[:50])


def test_components_touch_across_corners_but_not_gaps() -> None:
    cloud = np.array([[0.05, 0.05, 0.05], [0.15, 0.15, 0.15], [0.45, 0.45, 0.45]], np.float32)
    assert largest_component(cloud, 0.1).tolist() == [True, True, False]
    assert largest_component(cloud[:0], 0.1).tolist() == []


def _person_cloud(seed: int) -> np.ndarray:
    """Points on the skin of some cylinders, with noise: as many and as dense as a person's."""
    rng = np.random.default_rng(seed)
    angle, height = rng.uniform(0, np.pi, 6000), rng.uniform(0, 1.7, 6000)
    radius = 0.15 + 0.05 * np.sin(5 * height)
    around = np.stack([radius * np.cos(angle), height, 2.5 - radius * np.sin(angle)], axis=1)
    return (around + rng.normal(0, 0.004, around.shape)).astype(np.float32)


def _slow_cell_means(points: np.ndarray, cell: float) -> np.ndarray:
    rows = np.floor((points - points.min(axis=0)) / cell).astype(np.int64)
    _, owner = np.unique(rows, axis=0, return_inverse=True)
    sums = [np.bincount(owner.reshape(-1), weights=points[:, axis]) for axis in range(3)]
    return (np.stack(sums, axis=1) / np.bincount(owner.reshape(-1))[:, None]).astype(np.float32)


@pytest.mark.parametrize("count", [256, 1024, 4096])
def test_thinning_gives_the_points_of_sorting_the_cells_anew_for_each_width(count: int) -> None:
    cloud, cell = _person_cloud(2), 0.02
    wanted = _slow_cell_means(cloud, cell)
    while len(wanted) > count:
        cell *= 1.02 * float(np.sqrt(len(wanted) / count))
        wanted = _slow_cell_means(cloud, cell)
    assert np.array_equal(voxel_downsample(cloud, count, 0.02), wanted)


def test_farthest_points_are_those_of_the_plain_algorithm() -> None:
    cloud = voxel_downsample(_person_cloud(3), 1024, 0.02)
    chosen = [int(np.square(cloud - cloud.mean(axis=0)).sum(axis=1).argmin())]
    while len(chosen) < 64:
        apart = np.square(cloud[:, None] - cloud[chosen]).sum(axis=-1, dtype=np.float32).min(axis=1)
        chosen.append(int(apart.argmax()))
    assert np.array_equal(farthest_first(cloud, 64)[:64], cloud[chosen])


def _clouds() -> list[np.ndarray]:
    """Of a person, noise of all sizes, points on a grid (clusters as large as each other), in one place, and one."""
    rng = np.random.default_rng(5)
    noise = [rng.normal(0, 1, (n, 3)) * rng.uniform(0.01, 1, 3) for n in (2, 7, 300, 3000)]
    grid = np.stack(np.meshgrid(*[np.arange(6) * 0.2] * 3), axis=-1).reshape(-1, 3)
    others = [*noise, np.round(noise[-1], 2), grid, np.ones((50, 3)), np.ones((1, 3))]
    return [_person_cloud(4), *(each.astype(np.float32) for each in others)]


@pytest.mark.skipif(not ENABLED, reason="without Numba the references are all there is")
@pytest.mark.parametrize("points", _clouds(), ids=lambda points: str(len(points)))
def test_loops_do_what_their_references_do(points: np.ndarray) -> None:
    assert np.array_equal(largest_component(points, 0.075), thinning.largest_component_by_numpy(points, 0.075))
    _, means = thinning.voxel_means_by_numpy(points, 300, 0.02)
    assert np.array_equal(voxel_downsample(points, 300, 0.02), means)
    middle = points.mean(axis=0)
    assert np.array_equal(farthest_first(points, 64), thinning.farthest_first_by_numpy(points, middle, 64))
    first, cell = thinning.first_of_cells(points, 0.04)
    wanted_first, wanted_cell = thinning.first_of_cells_by_numpy(points, 0.04)
    assert np.array_equal(first[cell], wanted_first[wanted_cell])
    assert np.array_equal(np.sort(first), np.sort(wanted_first))


def test_points_far_apart_need_no_table_of_all_cells_between() -> None:
    points = np.array([[0, 0, 0], [0.01, 0, 0], [500, 500, 500]], np.float32)
    assert len(voxel_downsample(points, 2, 0.02)) == 2
    with pytest.raises(ValueError, match="too far apart"):
        largest_component(points, 0.1)


@pytest.mark.skipif(not ENABLED, reason="loops alone check their input")
def test_points_that_are_not_finite_are_refused() -> None:
    points = np.array([[0, 0, 0], [np.nan, 0, 0]], np.float32)
    for thin in (lambda: largest_component(points, 0.1), lambda: voxel_downsample(points, 5, 0.1)):
        with pytest.raises(ValueError, match="not finite"):
            thin()
