"""The tracker's compiled loops against the same in NumPy."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from unipose_ros.compiled import ENABLED
from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.joint_sets import ITOP15
from unipose_ros.tracking import TrackerConfig
from unipose_ros.tracking.assignment import _distances, distances_by_numpy, skeleton_distances
from unipose_ros.tracking.tracker import _exchanged_fits, exchanged_fits_by_numpy
from unipose_ros.tracking.tracks import (
    Motion,
    Tracks,
    _known_bones,
    _sizes,
    correct,
    correct_by_numpy,
    predict,
    sizes_by_numpy,
)

pytestmark = pytest.mark.skipif(not ENABLED, reason="nothing is compiled")
JOINTS = len(ITOP15)
MIRROR = np.array(ITOP15.mirror)


def people(rng: np.random.Generator, base: np.ndarray, spread: float) -> Skeletons:
    """Five people near ``base``, of whom many joints are missing; of one all but two, of another all."""
    positions = (base + rng.normal(0, spread, (5, JOINTS, 3))).astype(np.float32)
    status = rng.choice([JointStatus.MEASURED, JointStatus.INFERRED], (5, JOINTS), p=[0.8, 0.2]).astype(np.uint8)
    missing = rng.uniform(size=(5, JOINTS)) < 0.2
    missing[3, 2:], missing[4] = True, True
    positions[missing], status[missing] = np.nan, JointStatus.MISSING
    covariances = rng.uniform(0, 0.1, (5, JOINTS, 6)).astype(np.float32)
    covariances[missing] = np.nan
    confidences = np.where(missing, 0, rng.uniform(size=missing.shape)).astype(np.float32)
    return Skeletons(1, "camera", "points", positions, confidences, status, np.ones(5, np.float32), covariances)


@pytest.mark.parametrize("seed", range(4))
def test_a_correction_is_numpys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.normal(0, 1, (5, JOINTS, 3))
    before, seen = (Tracks.from_skeletons(people(rng, base, spread)) for spread in (0.0, 0.1))
    motion = Motion(rng.normal(0, 2, (5, 3)), rng.normal(0, 0.1, (5, 3)), before.motion.variances)
    # In other orders of the axes, too.
    covariances = np.asfortranarray(before.covariances)
    before = replace(
        before,
        motion=motion,
        covariances=covariances,
        missing_ns=rng.integers(0, 250_000_000, (5, JOINTS)),
        hits=rng.integers(1, 40, 5),
    )
    config = TrackerConfig(max_speed=3)
    predicted = predict(before, 33_000_000, np.zeros(5, np.bool_), config)
    found, expected = (each(predicted, seen, 33_000_000, config) for each in (correct, correct_by_numpy))
    assert (expected.status == JointStatus.MISSING).any()
    for item in fields(Motion):
        values = (getattr(each.motion, item.name) for each in (found, expected))
        np.testing.assert_allclose(*values, rtol=1e-12, atol=1e-14, err_msg=item.name)
    for item in fields(Tracks):
        if item.name in ("ids", "motion"):
            continue
        values = (getattr(each, item.name) for each in (found, expected))
        np.testing.assert_allclose(*values, rtol=1e-12, atol=1e-14, err_msg=item.name)
        assert getattr(found, item.name).dtype == getattr(expected, item.name).dtype


@pytest.mark.parametrize("seed", range(4))
def test_distances_are_numpys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = (people(rng, rng.normal(0, 1, (5, JOINTS, 3)), 0.1).positions.astype(np.float64) for _ in "ab")
    for fewest in (1, 3, JOINTS + 1):
        expected = distances_by_numpy(first, second[:4], fewest)
        assert np.isinf(expected[4]).all()
        np.testing.assert_allclose(_distances(first, second[:4], fewest), expected, rtol=1e-12)
    assert skeleton_distances(first[:0], second).shape == (0, 5)


@pytest.mark.parametrize("seed", range(4))
def test_sizes_are_numpys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = people(rng, rng.normal(0, 0.3, (5, JOINTS, 3)), 0.0)
    measured = found.status == JointStatus.MEASURED
    bones = _known_bones(ITOP15.bones)
    for fewest in (1, 4, 9):
        given = (found.positions, measured, *bones, fewest)
        np.testing.assert_allclose(_sizes(*given), sizes_by_numpy(*given), rtol=1e-6)
    assert np.isfinite(_sizes(found.positions, measured, *bones, 4)).any()


@pytest.mark.parametrize("seed", range(4))
def test_exchanged_sides_are_seen_as_by_numpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    answers = []
    for _ in range(20):
        base = rng.normal(0, 0.2, (5, JOINTS, 3))
        crossed = np.where(rng.uniform(size=(5, 1, 1)) < 0.5, base[:, MIRROR], base)
        first, second = (people(rng, each, 0.05).positions.astype(np.float64) for each in (base, crossed))
        given = (first, second, MIRROR, 4, 0.08, 0.5)
        expected = exchanged_fits_by_numpy(*given)
        np.testing.assert_array_equal(_exchanged_fits(*given), expected)
        answers += expected.tolist()
    assert 0.05 < np.mean(answers) < 0.95
