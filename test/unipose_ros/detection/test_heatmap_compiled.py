"""The compiled loops around the network of depth give what their NumPy gives."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_ros import compiled
from unipose_ros.detection import heatmap

pytestmark = pytest.mark.skipif(not compiled.ENABLED, reason="needs Numba")

SIZES = [(640, 480, 117, 88), (640, 480, 160, 120), (320, 240, 320, 240), (7, 5, 7, 2), (7, 5, 1, 1), (10, 10, 3, 9)]


@pytest.mark.parametrize(("width", "height", "columns", "rows"), SIZES)
def test_depth_is_resized_as_by_opencv(width: int, height: int, columns: int, rows: int) -> None:
    rng = np.random.default_rng(width + columns)
    depth = rng.uniform(-1, 12, (height, width)).astype(np.float32)
    depth[rng.random(depth.shape) < 0.3] = np.nan
    depth[rng.random(depth.shape) < 0.1] = np.inf
    depth[height // 3 : height // 2] = 0
    found = heatmap._shrunk(depth, columns, rows, columns + 3, rows + 2)
    expected = heatmap._resized(depth, columns, rows, columns + 3, rows + 2)
    if width % columns or height % rows:
        np.testing.assert_array_equal(found, expected)
    else:  # OpenCV adds these up in another order
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_peaks_are_those_of_numpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    heat = rng.random((24, 32)).astype(np.float32).round(1)  # there are equal ones
    distances, sides = (rng.uniform(0.1, 5, shape).astype(np.float32) for shape in ((24, 32), (4, 24, 32)))
    sides[:, ::2] /= 100
    heat[:4, :4], heat[12:14, 5] = 1, np.nan
    for most in (3, 400):
        expected = heatmap._peaks_by_numpy(heat, distances, sides, 96.0, 0.4, most)
        assert len(expected) > 2
        np.testing.assert_array_equal(heatmap._peaks(heat, distances, sides, 96.0, 0.4, most), expected)


def test_depths_of_trunks_are_those_of_numpy() -> None:
    rng = np.random.default_rng(3)
    image = np.stack([rng.normal(3, 0.4, (96, 128)), rng.random((96, 128)) > 0.3]).astype(np.float32)
    low = rng.uniform(-60, 140, (60, 2))
    boxes = np.concatenate([low, low + rng.uniform(0, 60, (60, 2))], axis=1).astype(np.float32)
    boxes[0, 1], boxes[1] = np.nan, np.inf
    distances = rng.uniform(2, 6, 60).astype(np.float32)
    found = heatmap._trunk_depths(image, boxes, distances, 0.15)
    np.testing.assert_array_equal(found, heatmap._trunk_depths_by_numpy(image, boxes, distances, 0.15))
    assert (found != distances).sum() > 5
