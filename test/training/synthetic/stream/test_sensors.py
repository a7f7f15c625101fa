"""Sensors of the stream: what they lose, how they round, and that a seed decides."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.sensors.effects import hidden_from as hidden_in_one
from unipose_training.synthetic.stream.scenes import Scenes
from unipose_training.synthetic.stream.sensors import (
    NATIVE_WIDTH,
    IdealImages,
    SensorSettings,
    extreme,
    hidden_from,
    incidence,
    measure,
    measure_with,
)

PLAIN = SensorSettings(rough=0.0, quantized=0.0)


def _wall(distance: float, reflectance: float = 0.6, frames: int = 4) -> IdealImages:
    shape = (frames, 96, 128)
    intrinsics = torch.tensor([[110.0, 110.0, 63.5, 47.5]]).expand(frames, 4)
    return IdealImages(torch.full(shape, distance), torch.full(shape, reflectance), intrinsics)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", ["kinect_v1", "kinect_v2", "azure_kinect", "d435", "d455", "zed2"])
def test_a_wall_is_measured_where_it_is(name: str) -> None:
    measured = measure_with(name, _wall(2.0), PLAIN, _generator())
    seen = measured[measured > 0]
    assert len(seen) > 0.6 * measured.numel()
    assert abs(float(seen.median()) - 2.0) < 0.04
    assert float((seen - 2.0).abs().quantile(0.95)) < 0.12


def test_structured_light_comes_in_steps_of_disparity() -> None:
    measured = measure_with("kinect_v1", _wall(3.5), PLAIN, _generator())
    values = torch.unique(measured[measured > 0])
    bulk = 110.0 * NATIVE_WIDTH / 128 * 0.075
    steps = bulk / values * 8
    assert len(values) > 1
    torch.testing.assert_close(steps, steps.round(), atol=2e-2, rtol=0)
    # Khoshelham and Elberink (2012): steps grow with the square of the distance.
    assert float(values.diff().min()) == pytest.approx(3.5**2 / bulk / 8, rel=0.2)


def test_eight_bit_images_have_coarse_steps_and_others_millimeters() -> None:
    coarse = measure(_wall(2.0), SensorSettings(kinds={"kinect_v2": 1.0}, quantized=1.0), _generator())
    for image in coarse:
        gaps = torch.unique(image[image > 0]).diff()
        assert 0.0079 < float(gaps.min()) < 0.0161
    fine = measure(_wall(2.0), SensorSettings(kinds={"kinect_v2": 1.0}, quantized=0.0), _generator())
    millimeters = 1000 * fine[fine > 0]
    torch.testing.assert_close(millimeters, millimeters.round(), atol=1e-2, rtol=0)


def test_dark_surfaces_return_nothing() -> None:
    for name in ("kinect_v1", "kinect_v2", "azure_kinect"):
        dark = measure_with(name, _wall(3.0, reflectance=0.005), PLAIN, _generator())
        bright = measure_with(name, _wall(3.0, reflectance=0.7), PLAIN, _generator())
        assert float((dark > 0).float().mean()) < 0.1 < 0.6 < float((bright > 0).float().mean())


def test_raw_stereo_has_more_holes_and_wrong_patches() -> None:
    smooth = measure_with("d435", _wall(2.0, frames=12), SensorSettings(rough=0.0), _generator())
    raw = measure_with("d435", _wall(2.0, frames=12), SensorSettings(rough=1.0), _generator())
    holes = [float((image == 0).float().mean()) for image in (smooth, raw)]
    assert holes[0] < holes[1] < 0.5
    astray = [float(((image - 2).abs() > 0.2)[image > 0].float().mean()) for image in (smooth, raw)]
    assert astray[0] < astray[1] < 0.05


def test_noise_grows_with_the_square_of_the_distance() -> None:
    stds = []
    for distance in (1.5, 3.0):
        measured = measure_with("d435", _wall(distance), PLAIN, _generator())
        stds.append(float((measured[measured > 0] - distance).std()))
    assert stds[1] / stds[0] == pytest.approx(4.0, rel=0.35)


def test_the_second_eye_loses_the_same_as_in_single_images(stream_scenes: Scenes) -> None:
    cameras, depth = stream_scenes.batch.cameras, stream_scenes.rendered.depth
    for baseline in (0.05, -0.03):
        found = hidden_from(depth, cameras.intrinsics[:, 0], baseline)
        for frame in range(4):
            wanted = hidden_in_one(depth[frame].numpy(), cameras.camera(frame), baseline)
            assert np.mean(found[frame].numpy() == wanted) > 0.999


def test_incidence_of_a_slanted_wall() -> None:
    camera = torch.tensor([[110.0, 110.0, 63.5, 47.5]])
    x = (torch.arange(128) - 63.5) / 110.0
    # The plane z = 2 + x_meters, seen at 45 degrees, is z = 2 / (1 - tangent).
    depth = (2 / (1 - x)).expand(1, 96, 128)
    found = incidence(IdealImages(depth, torch.ones_like(depth), camera))
    assert float(found[0, 48, 63]) == pytest.approx(2**-0.5, abs=0.01)


def test_extremes_are_those_of_a_square() -> None:
    values = torch.rand(2, 9, 11, generator=_generator())
    wanted = torch.nn.functional.max_pool2d(values, 5, 1, 2)
    torch.testing.assert_close(extreme(values, 2, torch.maximum), wanted)


def test_a_seed_decides(stream_scenes: Scenes) -> None:
    settings = SensorSettings()
    first, second, other = (stream_scenes.measured(settings, _generator(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("wrong", [{"kinds": {"polaroid": 1.0}}, {"kinds": {}}, {"rough": 1.5}, {"dark": -0.1}])
def test_settings_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(SyntheticError, match=next(iter(wrong))):
        SensorSettings(**wrong)  # type: ignore[arg-type]  # wrong on purpose
