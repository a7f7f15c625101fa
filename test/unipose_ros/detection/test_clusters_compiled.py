"""The compiled search for shapes finds what its NumPy finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import find_peaks

from unipose_ros import compiled
from unipose_ros.detection import clusters, planes, silhouette
from unipose_ros.detection.clusters import ClusterConfig, ClusterDetector
from unipose_ros.detection.silhouette import SilhouetteLimits
from unipose_ros.frame import RgbdFrame

pytestmark = pytest.mark.skipif(not compiled.ENABLED, reason="needs Numba")

Room = Callable[..., RgbdFrame]


@pytest.fixture
def by_numpy(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Puts the references into the place of the loops."""

    def install() -> None:
        monkeypatch.setattr(planes, "_normals", planes._normals_by_numpy)
        monkeypatch.setattr(planes, "_largest", planes._largest_by_numpy)
        monkeypatch.setattr(planes, "_mark", planes._mark_by_numpy)
        monkeypatch.setattr(clusters, "_clusters", clusters._clusters_by_numpy)
        monkeypatch.setattr(clusters, "people_in", silhouette.people_by_numpy)

    return install


def test_the_same_people_in_rooms(room: Room, by_numpy: Callable[[], None]) -> None:
    frames = [
        room(people=[(-0.5, 3.0), (-0.1, 3.1), (0.5, 2.2)], cupboards=[(-0.9, 2.8)], tilt=tilt) for tilt in (0, 0.2)
    ]
    assert frames[0].depth is not None
    holes = np.where(np.random.default_rng(0).random(frames[0].depth.shape) < 0.4, np.float32(0), frames[0].depth)
    frames += [replace(frames[0], depth=holes), room(people=[(0.3, 2.5)], scenery=False), room()]
    # Of heights that are equal in each bit SciPy takes any.
    noise = np.random.default_rng(1).normal(1, 1e-4, frames[0].depth.shape).astype(np.float32)
    frames = [replace(frame, depth=frame.depth * noise) for frame in frames if frame.depth is not None]
    detector = ClusterDetector(ClusterConfig(min_score=0.01))
    found = [detector.look(frame) for frame in frames]
    by_numpy()
    for frame, (people, flat) in zip(frames, found, strict=True):
        expected, expected_flat = detector.look(frame)
        assert flat == expected_flat
        np.testing.assert_allclose(people.boxes, expected.boxes, rtol=1e-5)
        np.testing.assert_allclose(people.distances, expected.distances, rtol=1e-5)
        np.testing.assert_allclose(people.scores, expected.scores, rtol=1e-5)
    assert len(found[0][0]) > 2


def cloud(seed: int, size: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels, points and depth image of a bumpy surface with steps and holes."""
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[:60, :80]
    depth = 2 + 0.3 * np.sin(u / 7 + seed) + 0.6 * (np.hypot(u - 40, v - 30) < 20) + rng.normal(0, 0.02, u.shape)
    there = rng.random(depth.shape) < 0.7
    there[:, 20 + seed] = False
    z = depth[there]
    points = np.stack([(u[there] - 40) / size * z, (30 - v[there]) / size * z, z, z**2 / size**2])
    return np.stack([u[there], v[there]], axis=1), points, np.where(there, depth, 0).astype(np.float32)


@pytest.mark.parametrize("seed", range(6))
def test_the_same_clusters(seed: int) -> None:
    pixels, points, _ = cloud(seed, 40)
    order, ends = clusters._clusters(pixels, points, 80, 60)
    expected, expected_ends = clusters._clusters_by_numpy(pixels, points, 80, 60)
    np.testing.assert_array_equal(ends, expected_ends)
    for found, wanted in zip(np.split(order, ends[:-1]), np.split(expected, ends[:-1]), strict=True):
        assert set(found.tolist()) == set(wanted.tolist())


def test_nothing_has_no_clusters() -> None:
    nothing = np.zeros((0, 2), np.intp), np.zeros((4, 0))
    for find in (clusters._clusters, clusters._clusters_by_numpy):
        order, ends = find(*nothing, 80, 60)
        assert len(order) == len(ends) == 0
        for people in (silhouette.people_in, silhouette.people_by_numpy):
            numbers = SilhouetteLimits().numbers
            assert people(*nothing, order, ends, np.zeros((60, 80), np.float32), numbers, 0.1).shape == (0, 6)


@pytest.mark.parametrize("seed", [0, 2, 3, 4, 5])
def test_the_same_people_in_clusters(seed: int) -> None:
    pixels, points, image = cloud(seed, 40)
    order = np.random.default_rng(seed).permutation(len(pixels))
    ends = np.array([3, 5, 400, 1200, len(pixels)])
    # Points on a line, and of one height.
    points[0, order[5:400]] = points[1, order[5:400]]
    points[1, order[400:1200]] = 0.5
    limits = SilhouetteLimits(heights=(0.0001, 9), widths=(0.0001, 9), depth=3, area=0).numbers
    found = silhouette.people_in(pixels, points, order, ends, image, limits, 1e-6)
    expected = silhouette.people_by_numpy(pixels, points, order, ends, image, limits, 1e-6)
    assert len(expected) > 0
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_heads_are_those_of_scipy() -> None:
    rng = np.random.default_rng(5)
    several = 0
    for _ in range(300):
        length = int(rng.integers(3, 50))
        tops = np.repeat(np.cumsum(rng.normal(0, 0.1, length)), rng.integers(1, 4, length))  # there are plateaus
        tops[[0, -1]] = tops.min() - 1
        expected, _ = find_peaks(tops, prominence=0.12, distance=0.35 / 0.05, width=0.10 / 0.05, rel_height=0.5)
        np.testing.assert_array_equal(silhouette._peaks(tops), expected)
        several += len(expected) > 1
    assert several > 50
