from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_training.errors import SyntheticError
from unipose_training.synthetic.sensors import (
    SENSORS,
    ActiveStereo,
    IdealView,
    StructuredLight,
    TimeOfFlight,
    measure_active_stereo,
    measure_structured_light,
    measure_time_of_flight,
    measure_with,
)
from unipose_training.synthetic.sensors.effects import hidden_from

CAMERA = Camera(fx=525.0, fy=525.0, cx=159.5, cy=119.5, width=320, height=240)
CLEAN_EDGES = StructuredLight(jitter=0.0, edge_loss=0.0, margins=(0, 0, 0, 0), to_color=0.0)
MIDDLE = np.s_[60:180, 80:240]


def wall(meters: float, reflectance: float = 0.6, cosine: float = 1.0) -> IdealView:
    shape = (CAMERA.height, CAMERA.width)
    return IdealView(*(np.full(shape, v, np.float32) for v in (meters, reflectance, cosine)), CAMERA)


def person_before(wall_at: float, person_at: float, reflectance: float = 0.6) -> IdealView:
    view = wall(wall_at)
    depth, bright = view.depth.copy(), view.reflectance.copy()
    depth[40:200, 120:200], bright[40:200, 120:200] = person_at, reflectance
    return replace(view, depth=depth, reflectance=bright)


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def noise_std(measured: np.ndarray) -> float:
    known = measured[MIDDLE]
    return float(known[known > 0].std())


@pytest.mark.parametrize("meters", [1.0, 2.0, 3.5])
def test_structured_light_spreads_as_nguyen_measured(meters: float) -> None:
    measured = measure_structured_light(wall(meters), replace(CLEAN_EDGES, step=1e-4), rng())
    assert noise_std(measured) == pytest.approx(0.0012 + 0.0019 * (meters - 0.4) ** 2, rel=0.15)


@pytest.mark.parametrize("meters", [2.0, 4.0])
def test_structured_light_comes_in_steps_that_grow_with_the_square(meters: float) -> None:
    sensor = CLEAN_EDGES
    values = np.unique(measure_structured_light(wall(meters), sensor, rng())[MIDDLE])
    expected = meters**2 / (CAMERA.fx * sensor.baseline) * sensor.step
    assert np.diff(values[values > 0]).min() == pytest.approx(expected, rel=0.15)


def test_stereo_spreads_with_the_square_of_the_distance() -> None:
    sensor = ActiveStereo(step=1e-4)
    near, far = (noise_std(measure_active_stereo(wall(meters), sensor, rng())) for meters in (1.5, 3.0))
    assert far / near == pytest.approx(4, rel=0.2)
    expected = 1.5**2 * sensor.noise / (CAMERA.fx * sensor.focal_ratio * sensor.baseline)
    assert near == pytest.approx(expected, rel=0.2)


def test_time_of_flight_spreads_with_less_light() -> None:
    sensor = TimeOfFlight(wiggle=0.0, multipath=0.0)
    bright, dark = (noise_std(measure_time_of_flight(wall(2.0, r), sensor, rng())) for r in (0.8, 0.2))
    assert dark / bright == pytest.approx(2, rel=0.1)
    assert bright == pytest.approx(sensor.noise * 2 / np.sqrt(0.8), rel=0.1)


def test_dark_cloth_gives_no_reading_and_bright_cloth_does() -> None:
    for kind in ("kinect_v2", "azure_kinect", "femto_bolt"):
        shares = []
        for reflectance in (0.004, 0.5):
            view = person_before(4.0, 2.5, reflectance)
            shares.append(float((measure_with(kind, view, rng())[60:180, 130:190] > 0).mean()))
        assert shares[0] < 0.2, kind
        assert shares[1] > 0.97, kind


def test_flying_pixels_lie_between_person_and_wall() -> None:
    view = person_before(4.0, 2.0)
    measured = measure_time_of_flight(view, TimeOfFlight(), rng())
    between = (measured > 2.2) & (measured < 3.8)
    assert between.sum() > 50
    # They are on the outline and nowhere else.
    assert not between[60:180, 124:196].any()
    assert not between[:, :116].any()


def test_a_dark_thing_among_bright_ones_is_seen_too_far() -> None:
    sensor = TimeOfFlight(noise=0.0, wiggle=0.0, least_light=0.0)
    dark, bright = (measure_time_of_flight(person_before(2.2, 2.0, r), sensor, rng())[120, 160] for r in (0.02, 0.9))
    assert 0.004 < dark - 2.0 <= sensor.multipath + 1e-6
    assert bright - 2.0 < 0.5 * (dark - 2.0)


def test_a_second_eye_loses_its_own_side_of_people() -> None:
    depth = person_before(4.0, 1.5).depth
    # Half a pixel is still seen.
    shadow = int(CAMERA.fx * 0.075 * (1 / 1.5 - 1 / 4.0) - 0.5)
    right_eye, left_eye = (hidden_from(depth, CAMERA, baseline)[120] for baseline in (0.075, -0.075))
    assert np.flatnonzero(right_eye).tolist() == list(range(120 - shadow, 120))
    assert np.flatnonzero(left_eye).tolist() == list(range(200, 200 + shadow))


def test_depth_laid_on_the_color_image_loses_the_other_side() -> None:
    view = person_before(4.0, 1.5)
    sensor = replace(CLEAN_EDGES, step=1e-4)
    plain = measure_structured_light(view, sensor, rng())[120, 200:204] > 0
    shifted = measure_structured_light(view, replace(sensor, to_color=-0.025), rng())[120, 200:204] > 0
    assert plain.any()
    assert not shifted.any()


def test_stereo_thickens_people() -> None:
    measured = measure_active_stereo(person_before(4.0, 2.0), ActiveStereo(edge_loss=0.0, gaps=0.0), rng())
    width = ((measured[60:180] > 0) & (measured[60:180] < 2.5)).sum(axis=1).mean()
    assert 80.5 < width < 86


@pytest.mark.parametrize("kind", sorted(SENSORS))
def test_every_camera_is_repeatable_in_range_and_unbiased(kind: str) -> None:
    view = wall(2.0)
    once, again = (measure_with(kind, view, rng()) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert once.dtype == np.float32
    known = once[once > 0]
    assert SENSORS[kind].nearest <= known.min() <= known.max() <= SENSORS[kind].farthest
    assert np.median(once[MIDDLE]) == pytest.approx(2.0, abs=0.02)
    assert (once[MIDDLE] > 0).mean() > 0.9
    assert not measure_with(kind, wall(0.1), rng()).any()
    assert not measure_with(kind, wall(30.0), rng()).any()
    assert not measure_with(kind, wall(0.0), rng()).any()


def test_an_unknown_camera_is_named() -> None:
    with pytest.raises(SyntheticError, match="'lidar': use one of kinect_v1"):
        measure_with("lidar", wall(2.0), rng())
