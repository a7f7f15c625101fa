from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unipose_ros import compiled
from unipose_ros.networks.movenet import decode
from unipose_ros.networks.movenet.decode import DecodeConfig, Heads, decode_heads

ROWS, COLUMNS = 72, 96
#: Keypoints of a person relative to the box's center, vertical and horizontal, in cells.
BODY = np.stack([np.linspace(-14, 14, 17), 5 * np.sin(np.arange(17))], axis=1)
BOX = (34.0, 16.0)
PUBLISHED = DecodeConfig(refine_radius=0)


def empty() -> dict[str, np.ndarray]:
    channels = {"center": 1, "box_scale": 2, "box_offset": 2, "heat": 17, "regress": 34, "offset": 34}
    return {name: np.zeros((count, ROWS, COLUMNS), np.float32) for name, count in channels.items()}


def add_person(maps: dict[str, np.ndarray], v: float, u: float, center: float = 0.9, heat: float = 0.8) -> np.ndarray:
    """A person whose box is centered at (v, u) cells; returns the (17, 2) true places."""
    row, column = int(v), int(u)
    maps["center"][0, row, column] = center
    maps["box_scale"][:, row, column] = BOX
    maps["box_offset"][:, row, column] = v - row, u - column
    places = BODY + np.array([v, u])
    # The regressed places are off by a cell, as they are in life: the heat has to correct them.
    maps["regress"][:, row, column] = (places + 1.0 - (row, column)).ravel()
    for joint, (y, x) in enumerate(places):
        i, j = int(y), int(x)
        maps["heat"][joint, i, j] = heat
        maps["offset"][2 * joint : 2 * joint + 2, i, j] = y - i, x - j
    return places


def weight(distance2: float) -> float:
    """The published nearness weight for a square map of the long side."""
    return float(np.exp(-distance2 / (0.300048828125 * COLUMNS)))


def test_one_person_exactly() -> None:
    maps = empty()
    places = add_person(maps, 30.25, 40.75)
    people = decode_heads(Heads(**maps), PUBLISHED)
    assert len(people) == 1
    np.testing.assert_allclose(people.pixels[0, :, ::-1], places, atol=1e-4)
    np.testing.assert_allclose(people.boxes[0], [32.75, 13.25, 48.75, 47.25], atol=1e-5)
    cells = np.floor(places)
    expected = [0.8 * weight(((cell - place - 1.0) ** 2).sum()) for cell, place in zip(cells, places, strict=True)]
    np.testing.assert_allclose(people.confidences[0], expected, rtol=1e-5)
    assert people.scores[0] == pytest.approx(0.9 * np.mean(expected), rel=1e-5)


def test_votes_of_agreeing_cells_change_nothing() -> None:
    maps = empty()
    places = add_person(maps, 30.25, 40.75)
    for joint, (y, x) in enumerate(places):
        for i in range(int(y) - 2, int(y) + 3):
            for j in range(int(x) - 2, int(x) + 3):
                near = np.exp(-((i - int(y)) ** 2 + (j - int(x)) ** 2) / 4)
                maps["heat"][joint, i, j] = 0.8 * near
                maps["offset"][2 * joint : 2 * joint + 2, i, j] = y - i, x - j
    people = decode_heads(Heads(**maps), DecodeConfig(refine_radius=2))
    np.testing.assert_allclose(people.pixels[0, :, ::-1], places, atol=1e-3)


def test_votes_are_weighed_by_heat() -> None:
    maps = empty()
    add_person(maps, 36.0, 48.0, heat=0.6)
    y, x = (np.floor(BODY[8] + (36.0, 48.0))).astype(int)
    maps["heat"][8, y, x + 1] = 0.2
    maps["offset"][16:18, y, x] = 0.0
    maps["offset"][16:18, y, x + 1] = (0.0, 0.4)
    people = decode_heads(Heads(**maps), DecodeConfig(refine_radius=1))
    np.testing.assert_allclose(people.pixels[0, 8], [0.75 * x + 0.25 * (x + 1.4), y], atol=1e-4)


@settings(deadline=None, max_examples=30)
@given(st.floats(20, 50), st.floats(12, 36), st.floats(60, 84))
def test_two_people_anywhere(v: float, first: float, second: float) -> None:
    maps = empty()
    left, right = add_person(maps, v, first, center=0.9), add_person(maps, v, second, center=0.7)
    people = decode_heads(Heads(**maps), PUBLISHED)
    np.testing.assert_allclose(people.pixels[..., ::-1], [left, right], atol=1e-3)
    assert people.scores[0] > people.scores[1]


def test_heat_outside_the_box_belongs_to_others() -> None:
    maps = empty()
    places = add_person(maps, 30.0, 20.0)
    maps["heat"][:, 30, 33] = 1.0
    people = decode_heads(Heads(**maps), PUBLISHED)
    np.testing.assert_allclose(people.pixels[0, :, ::-1], places, atol=1e-4)


def test_a_keypoint_without_heat_stays_regressed_with_no_confidence() -> None:
    maps = empty()
    places = add_person(maps, 30.0, 40.0)
    maps["heat"][9] = 0
    people = decode_heads(Heads(**maps), DecodeConfig())
    np.testing.assert_allclose(people.pixels[0, 9, ::-1], places[9] + 1.0, atol=1e-4)
    assert people.confidences[0, 9] == 0


def test_a_box_without_area_finds_nothing() -> None:
    maps = empty()
    add_person(maps, 30.0, 40.0)
    maps["box_scale"][:] = -1
    assert len(decode_heads(Heads(**maps), DecodeConfig())) == 0


def test_a_person_at_the_border() -> None:
    maps = empty()
    add_person(maps, 30.0, 2.0)
    people = decode_heads(Heads(**maps), DecodeConfig())
    assert len(people) == 1
    assert people.boxes[0, 0] == 0
    assert np.isfinite(people.pixels).all()


def test_no_people() -> None:
    assert len(decode_heads(Heads(**empty()), DecodeConfig())) == 0


def test_a_person_found_twice_is_one() -> None:
    maps = empty()
    add_person(maps, 30.0, 40.0, center=0.9)
    maps["center"][0, 36, 40] = 0.8
    for name in ("box_scale", "box_offset"):
        maps[name][:, 36, 40] = maps[name][:, 30, 40]
    maps["box_offset"][0, 36, 40] = -6
    maps["regress"][:, 36, 40] = maps["regress"][:, 30, 40] - np.tile([6, 0], 17)
    assert len(decode_heads(Heads(**maps), DecodeConfig(max_similarity=1.0))) == 2
    assert len(decode_heads(Heads(**maps), DecodeConfig())) == 1


def test_people_side_by_side_are_two() -> None:
    maps = empty()
    add_person(maps, 30.0, 40.0)
    add_person(maps, 31.0, 47.0)
    assert len(decode_heads(Heads(**maps), DecodeConfig())) == 2


def test_thresholds_and_number() -> None:
    maps = empty()
    for i, center in enumerate((0.9, 0.5, 0.2)):
        add_person(maps, 36.0, 16.0 + 30 * i, center=center)
    counts = [
        len(decode_heads(Heads(**maps), config))
        for config in (
            DecodeConfig(),
            DecodeConfig(min_center=0.3),
            DecodeConfig(min_score=0.5),
            DecodeConfig(max_people=1),
        )
    ]
    assert counts == [3, 2, 1, 1]


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_people", 0), ("min_center", -0.1), ("min_score", 1.1), ("max_similarity", np.nan), ("refine_radius", -1)],
)
def test_configuration_is_checked(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is "):
        dataclasses.replace(DecodeConfig(), **{field: value})


def test_maps_of_unequal_size() -> None:
    maps = empty()
    maps["heat"] = maps["heat"][:, :-1]
    with pytest.raises(ValueError, match="head heat"):
        Heads(**maps)


@pytest.mark.skipif(not compiled.ENABLED, reason="needs Numba")
@pytest.mark.parametrize("radius", [0, 1, 2])
def test_the_compiled_search_finds_what_numpy_finds(radius: int) -> None:
    rng = np.random.default_rng(radius)
    heat = np.maximum(rng.normal(0, 0.3, (17, 24, 32)), 0).astype(np.float32)
    offset, guesses = rng.normal(0, 1, (34, 24, 32)).astype(np.float32), rng.normal(0, 1, (5, 17, 2))
    heat[3], heat[4, 10] = 0, heat[4, 11]  # nothing, and equal ones
    guesses += [12, 16]
    windows = np.array([[0, 0, 24, 32], [3, 4, 20, 12], [5, 5, 5, 9], [23, 31, 24, 32], [0, 20, 9, 32]])
    near = [rng.random((5, 17, size)) for size in (24, 32)]
    near[1][0, :, 4:6] = near[1][0, :, :2]
    inputs = heat, offset, windows, guesses, near[0], near[1], radius
    places, confidences = decode._search(*inputs)
    expected, expected_confidences = decode._search_by_numpy(*inputs)
    np.testing.assert_array_equal(confidences, expected_confidences)
    np.testing.assert_allclose(places, expected, rtol=1e-6)
    assert (confidences > 0).sum() > 40
