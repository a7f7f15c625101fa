"""What depth cameras make of ideal depth images, many images at once on any device.

The figures and sources are those of :mod:`unipose_training.synthetic.sensors`, which measures single images at
a camera's own resolution. Images here are smaller than a camera's; lengths in pixels shrink with them, and
disparities are those of the camera's own focal length. The formulas are written twice because those of single images
are frozen to the bit with UniPose-Synth, in NumPy's random numbers and OpenCV's filters, which no GPU has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.sensors.models import SENSORS, ActiveStereo, StructuredLight, TimeOfFlight

#: Width in pixels of the cameras' own images.
NATIVE_WIDTH = 640
#: Stands for nothing where depths are compared, in meters.
_NOTHING = 30.0
#: ``NormalDist().inv_cdf`` at a few fractions is all that patches need; see :func:`_patches`.
_SQRT2 = 1.4142135623730951


@dataclass(frozen=True)
class SensorSettings:
    """Which sensors there are, and how often their output is worse than their data sheets say.

    Attributes:
        kinds: name of a sensor of :data:`~unipose_training.synthetic.sensors.models.SENSORS` -> how often it
            is drawn; ``ideal`` measures exactly.
        rough: fraction of stereo images with the noise, gaps and speckle of an unfiltered sensor.
        quantized: fraction of images stored with 8 bits, in steps of 8 to 16 mm.
        dark: fraction of bodies whose clothes, and fraction whose hair, return next to no light.

    Raises:
        SyntheticError: a sensor is unknown, or a fraction is not within [0, 1].
    """

    kinds: dict[str, float] = field(
        default_factory=lambda: {
            "ideal": 0.6, "kinect_v1": 1.5, "astra": 0.8, "kinect_v2": 1.0, "azure_kinect": 1.0, "femto_bolt": 0.6,
            "d435": 2.0, "d455": 1.0, "zed2": 0.5,
        }
    )  # fmt: skip
    rough: float = 0.4
    quantized: float = 0.15
    dark: float = 0.15

    def __post_init__(self) -> None:
        unknown = set(self.kinds) - set(SENSORS) - {"ideal"}
        if unknown or not self.kinds or min(self.kinds.values()) < 0 or not sum(self.kinds.values()) > 0:
            raise SyntheticError(f"stream.sensors.kinds = {self.kinds}: use some of ideal, {', '.join(SENSORS)}")
        for name in ("rough", "quantized", "dark"):
            if not 0 <= getattr(self, name) <= 1:
                raise SyntheticError(f"stream.sensors.{name} = {getattr(self, name)}: must be within [0, 1]")


@dataclass(frozen=True, eq=False)
class IdealImages:
    """What is really there, (F, H, W) each, as :class:`unipose_training.synthetic.sensors.effects.IdealView`.

    Attributes:
        depth: meters, 0 where there is nothing.
        reflectance: fraction of infrared light that comes back, in [0, 1].
        intrinsics: (F, 4) fx, fy, cx, cy.
    """

    depth: Tensor
    reflectance: Tensor
    intrinsics: Tensor

    def select(self, frames: Tensor) -> IdealImages:
        """Some of the images."""
        return IdealImages(self.depth[frames], self.reflectance[frames], self.intrinsics[frames])


class _Noise:
    """Random images on one device."""

    def __init__(self, generator: torch.Generator, shape: torch.Size) -> None:
        self._generator, self._shape = generator, shape

    def white(self) -> Tensor:
        return torch.randn(self._shape, generator=self._generator, device=self._generator.device)

    def smooth(self, size: float) -> Tensor:
        """Unit variance, features of about ``size`` pixels: a coarse grid enlarged."""
        if size < 1.5:
            return self.white()
        frames, height, width = self._shape
        coarse = (frames, 1, int(height / size) + 2, int(width / size) + 2)
        values = torch.randn(coarse, generator=self._generator, device=self._generator.device)
        # Between the grid's points bilinear means have (2/3)**2 of the variance.
        return 1.5 * functional.interpolate(values, size=(height, width), mode="bilinear", align_corners=True)[:, 0]

    def patches(self, fraction: Tensor | float, size: float) -> Tensor:
        """(F, H, W) bool, patches that cover about a fraction of each image."""
        wanted = torch.as_tensor(fraction, dtype=torch.float32, device=self._generator.device).reshape(-1, 1, 1)
        limit = _SQRT2 * torch.erfinv((2 * wanted - 1).clamp(-0.999999, 0.999999))
        return self.smooth(size) < limit

    def uniform(self, low: float, high: float) -> Tensor:
        """(F, 1, 1)."""
        drawn = torch.rand((self._shape[0], 1, 1), generator=self._generator, device=self._generator.device)
        return low + (high - low) * drawn

    def chance(self, probability: float) -> Tensor:
        """(F, 1, 1) bool."""
        return self.uniform(0, 1) < probability


def measure(ideal: IdealImages, settings: SensorSettings, generator: torch.Generator) -> Tensor:
    """(F, H, W) meters as sensors measure them, 0 for no reading; every image has a sensor of its own.

    Args:
        generator: on the images' device.
    """
    names = [name for name, often in settings.kinds.items() if often > 0]
    often = torch.tensor([settings.kinds[name] for name in names])
    cpu = torch.Generator().manual_seed(int(torch.randint(2**31, (), generator=generator, device=generator.device)))
    drawn = torch.multinomial(often, len(ideal.depth), replacement=True, generator=cpu)
    result = torch.empty_like(ideal.depth)
    for number, name in enumerate(names):
        chosen = (drawn == number).nonzero()[:, 0].to(ideal.depth.device)
        if len(chosen):
            result[chosen] = measure_with(name, ideal.select(chosen), settings, generator)
    noise = _Noise(generator, ideal.depth.shape)
    step = torch.where(noise.chance(settings.quantized), noise.uniform(0.008, 0.016), 0.001)
    return (result / step).round() * step


def measure_with(name: str, ideal: IdealImages, settings: SensorSettings, generator: torch.Generator) -> Tensor:
    """(F, H, W) meters as the named sensor measures them, before they are stored."""
    if name == "ideal":
        return ideal.depth
    noise, sensor = _Noise(generator, ideal.depth.shape), SENSORS[name]
    return _MEASURE[type(sensor)](ideal, sensor, noise, settings)


def _structured_light(ideal: IdealImages, sensor: StructuredLight, noise: _Noise, _: SensorSettings) -> Tensor:
    depth, scale = ideal.depth, NATIVE_WIDTH / ideal.depth.shape[2]
    cosine = incidence(ideal)
    across, along = (sensor.jitter / scale * noise.smooth(5 / scale) for _ in range(2))
    seen = displaced(depth, across, along)
    angle = cosine.clamp(0.02, 1).acos()
    factor, most = sensor.slanted
    slanted = factor / seen.clamp(min=0.3).sqrt() * (angle / (torch.pi / 2 - angle)) ** 2
    std = sensor.axial_std(seen) + torch.where(angle > torch.pi / 3, slanted.clamp(max=most), 0.0)
    noisy = seen + std * noise.smooth(3 / scale)
    bulk = ideal.intrinsics[:, 0, None, None] * scale * sensor.baseline
    disparity = ((bulk / noisy.clamp(min=0.1) / sensor.step).round() * sensor.step).clamp(min=sensor.step)
    focal = ideal.intrinsics[:, 0]
    lost = (depth <= 0) | (seen <= 0) | hidden_from(depth, focal, sensor.baseline)
    lost |= hidden_from(depth, focal, sensor.to_color)
    lost |= jumps(depth) & noise.patches(sensor.edge_loss / scale, 3 / scale)
    lost |= returned_light(ideal, cosine) < sensor.least_light * (sensor.light_spread * noise.smooth(4 / scale)).exp()
    least, spread = sensor.least_cosine
    lost |= cosine < least + spread * noise.smooth(3 / scale)
    lost |= borders(depth.shape, sensor.margins, depth.device) & noise.chance(0.6)
    return within(bulk / disparity, lost, sensor.nearest, sensor.farthest)


def _time_of_flight(ideal: IdealImages, sensor: TimeOfFlight, noise: _Noise, _: SensorSettings) -> Tensor:
    depth, scale = ideal.depth, NATIVE_WIDTH / ideal.depth.shape[2]
    cosine = incidence(ideal)
    light = returned_light(ideal, cosine, sensor.cone)
    # Of the camera's own pixels beside a jump, an image of fewer pixels shows one in so many.
    edge = jumps(depth) & noise.patches(1 / max(scale, 1.001), 1.0)
    weight = light.clamp(min=1e-5)
    mixed = functional.avg_pool2d(weight * depth, 3, 1, 1) / functional.avg_pool2d(weight, 3, 1, 1)
    measured = torch.where(edge, mixed, depth)
    measured = measured + sensor.wiggle * (2 * torch.pi * (measured / sensor.wave + noise.uniform(0, 1))).sin()
    stray = functional.avg_pool2d(light, 31, 8, 15, count_include_pad=False)
    stray = functional.interpolate(stray[:, None], size=depth.shape[1:], mode="bilinear")[:, 0]
    measured = measured + sensor.multipath * stray / (stray + 4 * weight)
    measured = measured + sensor.noise / light.clamp(min=1e-4).sqrt() * noise.white()
    lost = (depth <= 0) | (edge & noise.patches(1 - sensor.flying, 1.0))
    if sensor.to_color:
        lost |= hidden_from(depth, ideal.intrinsics[:, 0], sensor.to_color)
    blotches, single = sensor.light_spread
    lost |= light < sensor.least_light * (blotches * noise.smooth(3 / scale) + single * noise.white()).exp()
    return within(measured, lost, sensor.nearest, sensor.farthest)


def _stereo(ideal: IdealImages, sensor: ActiveStereo, noise: _Noise, settings: SensorSettings) -> Tensor:
    depth, scale = ideal.depth, NATIVE_WIDTH / ideal.depth.shape[2]
    raw = noise.chance(settings.rough)
    filled = torch.where(depth > 0, depth, _NOTHING)
    reach = max(1, round(sensor.fattening / scale))
    wander = noise.smooth(5 / scale)
    grown = extreme(filled, reach, torch.minimum)
    near = displaced(torch.where(wander > -0.3, grown, filled), 0.5 * wander, 0.5 * wander.flip(1))
    near = torch.where(near < _NOTHING - 1, near, 0.0)
    bulk = ideal.intrinsics[:, 0, None, None] * scale * sensor.focal_ratio * sensor.baseline
    disparity = bulk / near.clamp(min=0.1)
    strength = sensor.noise * torch.where(raw, noise.uniform(1.0, 3.0), 1.0)
    wide, fine = sensor.grain
    disparity = disparity + strength * (wide * noise.smooth(sensor.window / scale) + fine * noise.white())
    # Unfiltered stereo matches small patches wrongly, beside edges more often than elsewhere.
    wrong = raw & (noise.patches(0.006, 3.0) | (jumps(near, 5) & noise.patches(0.08, 2.0)))
    disparity = torch.where(wrong, disparity * (1 + 0.3 * noise.smooth(4.0)), disparity)
    disparity = ((disparity / sensor.step).round() * sensor.step).clamp(min=sensor.step)
    focal = ideal.intrinsics[:, 0]
    cosine = incidence(ideal)
    lost = (near <= 0) | hidden_from(near, focal, sensor.baseline * sensor.focal_ratio)
    lost |= hidden_from(near, focal, sensor.to_color)
    lost |= jumps(near, 5) & noise.patches(sensor.edge_loss / scale, 4 / scale)
    lost |= returned_light(ideal, cosine) < sensor.least_light * (sensor.light_spread * noise.smooth(6 / scale)).exp()
    gaps = torch.where(raw, noise.uniform(0.0, 0.25), sensor.gaps)
    lost |= noise.patches(gaps, 5.0) | (raw & noise.patches(0.5 * gaps, 1.0))
    band = noise.uniform(0.03, 0.12) * (sensor.baseline > 0)
    columns = torch.arange(depth.shape[2], device=depth.device)
    lost |= (columns < band * depth.shape[2]) & noise.chance(0.4)
    return within(bulk / disparity, lost, sensor.nearest, sensor.farthest)


_MEASURE: dict[type, Callable[..., Tensor]] = {
    StructuredLight: _structured_light,
    TimeOfFlight: _time_of_flight,
    ActiveStereo: _stereo,
}


def incidence(ideal: IdealImages) -> Tensor:
    """(F, H, W) cosine between the surface's normal and the optical axis, from differences of neighbors."""
    depth = ideal.depth
    padded = functional.pad(depth[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    scale = 0.5 * ideal.intrinsics[:, :2, None, None] / depth.clamp(min=0.1)[:, None]
    across = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) * scale[:, 0]
    down = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) * scale[:, 1]
    return (1 + across.square() + down.square()).rsqrt()


def returned_light(ideal: IdealImages, cosine: Tensor, cone: float = 0.0) -> Tensor:
    """Light that comes back: 1 from a white surface at 1 m that faces the camera.

    Args:
        cone: tangent of the angle off the axis beyond which the lamp hardly reaches; 0 for any.
    """
    height, width = ideal.depth.shape[1:]
    fx, fy, cx, cy = ideal.intrinsics[:, :, None].unbind(1)
    x = ((torch.arange(width, device=ideal.depth.device) - cx) / fx).square()
    y = ((torch.arange(height, device=ideal.depth.device) - cy) / fy).square()
    tangent2 = x[:, None, :] + y[:, :, None]
    lamp = (1 + tangent2).reciprocal().square()
    if cone:
        lamp = lamp * (-((tangent2 / cone**2) ** 4)).exp()
    return ideal.reflectance * cosine * lamp / ideal.depth.clamp(min=0.1).square()


def hidden_from(depth: Tensor, focal: Tensor, baseline: float) -> Tensor:
    """Pixels whose line from a second eye ``baseline`` meters to the right passes behind something nearer."""
    if not baseline:
        return torch.zeros_like(depth, dtype=torch.bool)
    if baseline < 0:
        return hidden_from(depth.flip(2), focal, -baseline).flip(2)
    disparity = torch.where(depth > 0, focal[:, None, None] * baseline / depth, 0.0)
    column = torch.arange(depth.shape[2], device=depth.device) - disparity
    from_the_right = column.flip(2).cummin(dim=2).values.flip(2)
    return column > from_the_right + 0.5


def jumps(depth: Tensor, width: int = 3, relative: float = 0.04) -> Tensor:
    """Pixels within ``width`` pixels of which depth changes by more than that fraction."""
    filled = torch.where(depth > 0, depth, _NOTHING)
    reach = width // 2
    return extreme(filled, reach, torch.maximum) - extreme(filled, reach, torch.minimum) > relative * filled


def extreme(values: Tensor, reach: int, of_two: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """(F, H, W) the largest or smallest value within a square of ``2 reach + 1`` pixels.

    Row by row, column by column: several times faster on a CPU than pooling.
    """
    for axis in (1, 2):
        result = values.clone()
        size = values.shape[axis]
        for step in range(1, reach + 1):
            for to, of in ((0, step), (step, 0)):
                target = result.narrow(axis, to, size - step)
                target.copy_(of_two(target, values.narrow(axis, of, size - step)))
        values = result
    return values


def displaced(depth: Tensor, sideways: Tensor, down: Tensor) -> Tensor:
    """Each pixel reads what lies (``sideways``, ``down``) pixels from it; nearest pixel, no mixing."""
    height, width = depth.shape[1:]
    columns = (torch.arange(width, device=depth.device) + sideways).round().clamp(0, width - 1)
    rows = (torch.arange(height, device=depth.device)[:, None] + down).round().clamp(0, height - 1)
    return depth.flatten(1).gather(1, (rows * width + columns).long().flatten(1)).view_as(depth)


def borders(shape: torch.Size, fractions: tuple[float, float, float, float], device: torch.device) -> Tensor:
    """(H, W) strips at the left, top, right and bottom that the other camera does not see."""
    height, width = shape[1:]
    left, top, right, bottom = fractions
    u, v = torch.arange(width, device=device), torch.arange(height, device=device)[:, None]
    return (u < left * width) | (v < top * height) | (u >= (1 - right) * width) | (v >= (1 - bottom) * height)


def within(depth: Tensor, lost: Tensor, nearest: float, farthest: float) -> Tensor:
    """Measured depth with 0 where it is lost or out of range."""
    return torch.where(lost | (depth < nearest) | (depth > farthest), 0.0, depth)
