"""People read from heat maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.detection.heatmap import CenterNetConfig, CenterNetDetector, read_maps, visible_depths
from unipose_ros.detection.proposals import Proposals
from unipose_ros.errors import EstimatorError
from unipose_ros.frame import RgbdFrame
from unipose_ros.networks.detector import split_maps
from unipose_ros.networks.registry import LOG_MIDDLE

FOCAL = 96.0


def maps_of(*people: tuple[int, int, float, float], shape: tuple[int, int] = (24, 32)) -> NDArray[np.float32]:
    """(6, h, w) with a peak at each row and column, of a heat and a distance; boxes 0.2 m and 0.6 m to each side."""
    maps = np.zeros((6, *shape), np.float32)
    maps[0] = -8
    for row, column, heat, distance in people:
        maps[0, row, column] = np.log(heat / (1 - heat))
        maps[1:5, row, column] = 0.2, 0.6, 0.2, 0.6
        maps[5, row, column] = np.log(distance) - LOG_MIDDLE
    return maps


class FixedMaps:
    """A network that says the same of every image, and remembers what it was shown."""

    description = "says the same"

    def __init__(self, maps: NDArray[np.float32]) -> None:
        self.maps, self.shown = maps, np.zeros(0)

    def __call__(self, *inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        (self.shown,) = inputs
        return (self.maps[None],)


def test_the_reader_and_the_network_agree_on_their_channels() -> None:
    maps = maps_of((10, 5, 0.6, 2.0))
    named = split_maps(torch.from_numpy(maps)[None])
    (person,) = read_maps(maps, FOCAL, CenterNetConfig()).distances
    assert person == pytest.approx(float(named.log_distances[0, 10, 5].exp()), rel=1e-5)
    assert named.heat[0].argmax() == maps[0].argmax()
    np.testing.assert_array_equal(named.sides[0, :, 10, 5], maps[1:5, 10, 5])


def test_peaks_become_boxes_in_meters() -> None:
    found = read_maps(maps_of((10, 5, 0.6, 2.0), (12, 20, 0.9, 4.0)), FOCAL, CenterNetConfig())
    np.testing.assert_allclose(found.scores, [0.9, 0.6], rtol=1e-5)
    np.testing.assert_allclose(found.distances, [4, 2], rtol=1e-5)
    u, v = 20 * 4 + 1.5, 12 * 4 + 1.5
    np.testing.assert_allclose(found.boxes[0], [u - 4.8, v - 14.4, u + 4.8, v + 14.4], rtol=1e-5)


def test_one_peak_is_one_person_and_faint_heat_no_people() -> None:
    maps = maps_of((10, 5, 0.6, 2.0), (10, 6, 0.8, 2.0), (3, 25, 0.15, 2.0))
    assert len(read_maps(maps, FOCAL, CenterNetConfig())) == 1


def test_no_more_than_asked_for() -> None:
    maps = maps_of(*((4, column, 0.5 + column / 100, 3.0) for column in range(0, 30, 3)))
    found = read_maps(maps, FOCAL, CenterNetConfig(max_people=4))
    np.testing.assert_allclose(found.scores, [0.77, 0.74, 0.71, 0.68], rtol=1e-5)


def test_extreme_outputs_do_not_overflow() -> None:
    maps = maps_of((10, 5, 0.6, 2.0))
    maps[5] = 1e4
    assert np.isfinite(read_maps(maps, FOCAL, CenterNetConfig()).boxes).all()


def test_distance_is_what_depth_shows_near_what_the_network_says() -> None:
    image = np.zeros((2, 96, 128), np.float32)
    image[:, :, :64] = np.array([2.1, 1.0])[:, None, None]
    people = read_maps(maps_of((12, 8, 0.9, 2.0), (12, 24, 0.8, 2.0), (12, 3, 0.7, 5.0)), FOCAL, CenterNetConfig())
    # Something near it; nothing read; something else.
    np.testing.assert_allclose(visible_depths(image, people, 0.15), [2.1, 2.0, 5.0], rtol=1e-5)


def test_a_frame_goes_through_and_boxes_come_back_in_its_pixels(room: Callable[..., RgbdFrame]) -> None:
    frame = room(people=[(0.0, 2.5)])
    run = FixedMaps(maps_of((11, 14, 0.9, 2.3)))
    found = CenterNetDetector(run, FOCAL)(frame)
    assert run.shown.shape == (1, 2, 96, 128)
    assert np.isfinite(run.shown).all()
    assert found.distances[0] == pytest.approx(2.4, abs=0.05)
    scale = 262.5 / FOCAL
    middle = (14 * 4 + 2) * scale - 0.5
    np.testing.assert_allclose(found.boxes[0, [0, 2]], middle + np.array([-1, 1]) * 0.2 * 262.5 / 2.3, atol=0.5)


def test_two_peaks_on_one_person_are_one(room: Callable[..., RgbdFrame]) -> None:
    run = FixedMaps(maps_of((11, 14, 0.9, 2.4), (13, 14, 0.8, 2.4)))
    assert len(CenterNetDetector(run, FOCAL)(room(people=[(0.0, 2.5)]))) == 1


def test_what_cannot_be_looked_at_is_refused(camera: Camera, room: Callable[..., RgbdFrame]) -> None:
    person_detector = CenterNetDetector(FixedMaps(maps_of()), FOCAL)
    assert len(person_detector(room())) == 0
    color = np.zeros((camera.height, camera.width, 3), np.uint8)
    with pytest.raises(EstimatorError, match="no depth"):
        person_detector(RgbdFrame(1, "optical", camera, color=color))
    person_detector.close()
    with pytest.raises(EstimatorError, match="closed"):
        person_detector(room())


@pytest.mark.parametrize(("field", "value"), [("min_score", 0.0), ("max_people", 0), ("reach", 0.0)])
def test_settings_are_checked(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        CenterNetConfig(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(3))
def test_the_depth_in_a_box_is_the_median_of_its_middle(seed: int) -> None:
    """As one person after the other, by NumPy's own median."""
    rng = np.random.default_rng(seed)
    image = np.stack([rng.uniform(1.5, 2.5, (88, 117)), rng.uniform(-0.2, 1, (88, 117))]).astype(np.float32)
    low = rng.uniform(-30, 110, (40, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.1, 60, (40, 2))], axis=1).astype(np.float32)
    distances = rng.uniform(1.5, 2.5, 40).astype(np.float32)

    def span(low: np.float32, high: np.float32, size: int) -> slice:
        first = int(np.clip(round(float(low)), 0, size - 1))
        return slice(first, int(np.clip(round(float(high)), first, size - 1)) + 1)

    expected = distances.copy()
    for person, (left, top, right, bottom) in enumerate(boxes):
        columns = span(left + 0.3 * (right - left), left + 0.7 * (right - left), 117)
        rows = span(top + 0.1 * (bottom - top), top + 0.6 * (bottom - top), 88)
        depth, part = image[0, rows, columns], image[1, rows, columns]
        near = depth[(part > 0) & (np.abs(depth / distances[person] - 1) < 0.15)]
        if near.size:
            expected[person] = np.median(near)
    found = visible_depths(image, Proposals(boxes, distances, np.ones(40, np.float32)), 0.15)
    np.testing.assert_array_equal(found, expected)
    assert (found != distances).any()


def test_leaving_out_at_once_is_leaving_out_afterwards(room: Callable[..., RgbdFrame]) -> None:
    rng = np.random.default_rng(0)
    frame = room(people=[(0.0, 2.5)])
    for _ in range(5):
        peaks = zip(
            rng.integers(0, 24, 30),
            rng.integers(0, 32, 30),
            rng.uniform(0.02, 0.9, 30),
            rng.uniform(1, 5, 30),
            strict=True,
        )
        detector = CenterNetDetector(FixedMaps(maps_of(*peaks)), FOCAL, CenterNetConfig(min_score=0.05, max_people=50))
        whole = detector(frame)
        expected, found = whole.select(whole.scores >= 0.3), detector(frame, 0.3)
        assert 0 < len(expected) < len(whole)
        for name in ("boxes", "distances", "scores"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        assert len(detector(frame, 0.01)) == len(whole)
