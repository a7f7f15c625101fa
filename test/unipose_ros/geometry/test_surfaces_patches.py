"""Which surfaces are around a pixel, and how far away is the person?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unipose_ros.compiled import ENABLED
from unipose_ros.geometry.surfaces import Surfaces, depth_at, find_by_numpy, find_surfaces, reference_depths

NOTHING = (0.0, np.nan, np.inf, -np.inf, -1.0)
ONE_PIXEL = np.array([[[20.0, 20.0]]])


def look(depth: np.ndarray, pixels: np.ndarray = ONE_PIXEL, radius: float = 6.0) -> Surfaces:
    near, far = np.array([0.5]), np.array([5.0])
    return find_surfaces(depth, pixels, np.array([[radius, radius]]), near, far, gap=0.03)


def flat(value: float) -> np.ndarray:
    return np.full((41, 41), value, np.float32)


def test_a_plane_is_one_surface_at_its_depth() -> None:
    surfaces = look(flat(2.5))
    assert surfaces.depths[0, 0, 0] == pytest.approx(2.5)
    assert surfaces.fractions[0, 0] == pytest.approx([1, 0, 0])
    assert surfaces.stds[0, 0, 0] == pytest.approx(0, abs=1e-6)
    assert np.isnan(surfaces.depths[0, 0, 1:]).all()


@given(edge=st.integers(16, 25), behind=st.floats(0.25, 2.0))
def test_two_surfaces_are_told_apart_and_never_averaged(edge: int, behind: float) -> None:
    depth = flat(2.0)
    depth[:, edge:] = 2.0 + behind
    surfaces = look(depth)
    found = surfaces.depths[0, 0][surfaces.fractions[0, 0] > 0]
    assert np.abs(found[:, None] - [2.0, 2.0 + behind]).min(axis=1) == pytest.approx(0, abs=1e-5)
    assert surfaces.fractions[0, 0].sum() == pytest.approx(1)


def test_the_surface_at_the_center_comes_first() -> None:
    depth = flat(3.0)
    depth[:, 17:24] = 2.0
    assert look(depth).depths[0, 0, 0] == pytest.approx(2.0)


@pytest.mark.parametrize("nothing", NOTHING)
def test_pixels_without_a_reading_do_not_count(nothing: float) -> None:
    depth = flat(2.5)
    depth[::2] = nothing
    surfaces = look(depth)
    assert surfaces.depths[0, 0, 0] == pytest.approx(2.5)
    assert 0 < surfaces.fractions[0, 0, 0] < 1


@pytest.mark.parametrize("nothing", NOTHING)
def test_a_hole_has_no_surface(nothing: float) -> None:
    surfaces = look(flat(nothing))
    assert np.isnan(surfaces.depths).all()
    assert (surfaces.fractions == 0).all()


def test_depth_out_of_reach_is_scenery() -> None:
    assert (look(flat(6.0)).fractions == 0).all()


def test_flying_pixels_pull_neither_surface() -> None:
    depth = flat(2.0)
    depth[:, 23:] = 3.0
    depth[:, 22] = np.linspace(2.2, 2.8, 41)
    surfaces = look(depth)
    assert surfaces.depths[0, 0, :2] == pytest.approx([2.0, 3.0], abs=0.01)
    assert surfaces.fractions[0, 0, 2] < 0.2


@given(u=st.floats(-1e3, 1e3) | st.just(np.nan), v=st.floats(-1e3, 1e3) | st.just(np.nan))
def test_any_pixel_can_be_asked_for(u: float, v: float) -> None:
    depth = np.arange(1, 41 * 41 + 1, dtype=np.float32).reshape(41, 41)
    value = depth_at(depth, np.array([u, v]))
    if -0.5 < u < 40.5 and -0.5 < v < 40.5:
        assert value == depth[round(v), round(u)]
    elif not (-0.5 <= u <= 40.5 and -0.5 <= v <= 40.5):
        assert np.isnan(value)


TRUNK = np.array([[[30.0, 10], [10, 10], [28, 30], [12, 30]]])


def test_the_trunk_says_how_far_a_person_is() -> None:
    depth = flat(4.0)
    depth[8:33, 8:33] = 2.5
    assert reference_depths(depth, TRUNK, TRUNK) == pytest.approx([2.5])


def test_a_trunk_without_depth_leaves_it_to_the_joints() -> None:
    depth = flat(0.0)
    limbs = np.array([[[5.0, 5], [35, 5], [5, 35], [35, 35], [np.nan, np.nan]]])
    for u, v in limbs[0, :4].astype(int):
        depth[v - 3 : v + 4, u - 3 : u + 4] = 2.2
    assert reference_depths(depth, TRUNK, limbs) == pytest.approx([2.2])


def test_joints_that_hit_the_wall_are_outvoted() -> None:
    depth = flat(4.0)
    depth[8:33, 8:33] = 2.5
    beside = np.full((1, 4, 2), 38.0)
    assert reference_depths(depth, TRUNK, beside) == pytest.approx([2.5])


def test_without_any_depth_there_is_no_reference() -> None:
    assert np.isnan(reference_depths(flat(0.0), TRUNK, TRUNK)).all()


@pytest.mark.skipif(not ENABLED, reason="nothing is compiled")
@pytest.mark.parametrize("seed", range(4))
def test_loops_find_what_numpy_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Few different depths: many places have crowds of one size.
    depth = rng.choice([1.0, 1.5, 2.0, 2.02, 2.06, 2.1, 2.2, 3.0, 0.0, np.nan, np.inf, -1.0], (60, 80)).astype(
        np.float32
    )
    depth[:30] = 2.0 + rng.normal(0, 0.05, (30, 80))
    depth.setflags(write=False)
    pixels = rng.uniform(-10, 90, (3, 13, 2))
    pixels[rng.uniform(size=(3, 13)) < 0.1] = np.nan
    radii, near = rng.uniform(2, 9, (3, 2)), np.array([0.5, 1.2, np.nan])
    found = find_surfaces(depth, pixels, radii, near, near + 1.8, 0.03)
    expected = find_by_numpy(depth, pixels, radii, near, near + 1.8, 0.03)
    assert np.isfinite(expected[0][:2, :, 1]).any()
    for values, wanted in zip((found.depths, found.fractions, found.stds), expected, strict=True):
        np.testing.assert_allclose(values, wanted, rtol=1e-9, atol=1e-9)
