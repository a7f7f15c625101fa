"""The compiled loops between two frames give what their NumPy gives."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_ros import compiled
from unipose_ros.detection import temporal

pytestmark = pytest.mark.skipif(not compiled.ENABLED, reason="needs Numba")

SEEDS = range(8)


def people(rng: np.random.Generator, number: int) -> np.ndarray:
    """(N, 15, 3) joints of people a step apart, some missing."""
    middles = np.arange(number)[:, None, None] * np.float32(0.4)
    joints = (middles + rng.normal(0, 0.1, (number, 15, 3)) + [0, 0, 2]).astype(np.float32)
    joints[rng.random((number, 15)) < 0.3] = np.nan
    return joints


@pytest.mark.parametrize("seed", SEEDS)
def test_motion(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, now = people(rng, seed % 4 + 1), people(rng, 3)[rng.permutation(3)]
    now[2] = np.nan if seed % 2 else now[2]
    expected = temporal._motion_by_numpy(before, now, 0.03)
    assert np.any(expected)
    np.testing.assert_array_equal(temporal._motion(before, now, 0.03), expected)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("least", [0.0, 0.5])
def test_same_boxes(seed: int, least: float) -> None:
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 30, (6, 2))
    boxes = np.concatenate([low, low + rng.uniform(-5, 90, (6, 2))], axis=1).astype(np.float32)
    others = (boxes[rng.permutation(6)[:4]] + rng.normal(0, 3, (4, 4))).astype(np.float32)
    others[3] = others[0]
    boxes[5, seed % 4], others[2] = np.nan, (np.inf, np.inf, -np.inf, -np.inf)
    possible = rng.random((6, 4)) < 0.8
    found = temporal._same_boxes(boxes, others, possible, least)
    with np.errstate(invalid="ignore"):
        expected = temporal._same_boxes_by_numpy(boxes, others, possible, least)
    assert least or (expected >= 0).any()
    np.testing.assert_array_equal(found, expected)


def test_nothing_is_the_same_as_nothing() -> None:
    boxes = np.zeros((2, 4), np.float32)
    for find in (temporal._same_boxes, temporal._same_boxes_by_numpy):
        assert find(boxes, boxes[:0], np.zeros((2, 0), np.bool_), 0.0).tolist() == [-1, -1]
        assert find(boxes[:0], boxes, np.zeros((0, 2), np.bool_), 0.0).tolist() == []


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("grown", [0.0, 0.05])
def test_extents(seed: int, grown: float) -> None:
    rng = np.random.default_rng(seed)
    joints = people(rng, 4)
    joints[seed % 4] = np.nan
    pixels = 500 * joints[..., :2].astype(np.float64)
    pixels[0, 3], pixels[1, 2, 0] = np.inf, np.nan
    trunk = np.array([2, 3, 9, 10])
    with np.errstate(invalid="ignore"):
        expected = temporal._extents_by_numpy(pixels, joints, trunk, grown)
    for found, wanted in zip(temporal._extents(pixels, joints, trunk, grown), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
