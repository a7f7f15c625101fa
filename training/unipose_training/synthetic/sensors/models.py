"""Depth cameras by their principle: their figures, and what they measure in single images.

:mod:`unipose_training.synthetic.stream.sensors` measures many images at once with the same figures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.sensors.effects import (
    IdealView,
    Image,
    Mask,
    at_random,
    displaced,
    hidden_from,
    jumps,
    margins,
    returned_light,
    smooth_noise,
    white,
    within,
)

# Structured light: a projector's dots seen by one infrared camera (Kinect v1, Astra).
#
# Axial noise and the jitter of edges: Nguyen, Izadi and Lovell 2012, "Modeling Kinect sensor noise
# for improved 3D reconstruction and tracking": ``sigma_z = 0.0012 + 0.0019 (z - 0.4)^2``, growing
# beyond 60 degrees of incidence; sideways about a pixel;
# here twice that, in runs, as two real Kinect images show. Steps: Khoshelham and Elberink 2012: disparity
# comes in eighths of a pixel, 7 cm at 5 m. Reading shifted pixels: Barron and Malik 2013.


@dataclass(frozen=True)
class StructuredLight:
    """Properties.

    Attributes:
        baseline: meters from the camera to the projector on its right.
        to_color: meters from the color camera, whose image the depth is laid on, to the infrared camera.
        step: pixels of disparity.
        jitter: pixels, of edges.
        edge_loss: share of the pixels beside a jump that give nothing.
        least_light: below it there is no reading; see :func:`~.effects.returned_light`.
        margins: shares of the image at the left, top, right and bottom that the infrared camera does not see
            when its depth is laid on the color image.
        nearest, farthest: meters.
        axial: standard deviation in meters at the best distance, its growth with the square of that beyond, that
            distance.
        slanted: of what is added beyond 60 degrees of incidence, the factor and the most, meters.
        light_spread: of the log of the least light, from dot to dot.
        least_cosine: of the incidence, below which dots are lost: mean and standard deviation.
    """

    baseline: float = 0.075
    to_color: float = -0.025
    step: float = 1 / 8
    jitter: float = 2.0
    edge_loss: float = 0.35
    least_light: float = 0.0012
    margins: tuple[float, float, float, float] = (0.06, 0.06, 0.055, 0.03)
    nearest: float = 0.45
    farthest: float = 8.0
    axial: tuple[float, float, float] = (0.0012, 0.0019, 0.4)
    slanted: tuple[float, float] = (1e-4, 0.1)
    light_spread: float = 0.7
    least_cosine: tuple[float, float] = (0.09, 0.04)

    def axial_std(self, depth: Any) -> Any:
        """Meters, facing the surface; of NumPy's arrays and torch's tensors alike."""
        offset, growth, best = self.axial
        return offset + growth * (depth - best) ** 2


def measure_structured_light(view: IdealView, sensor: StructuredLight, rng: np.random.Generator) -> Image:
    """(H, W) measured meters, 0 for no reading."""
    shape = (view.camera.height, view.camera.width)
    # Edges wander in runs of some pixels: a dot is matched or not.
    across, along = (sensor.jitter * smooth_noise(shape, 5.0, rng) for _ in range(2))
    seen = displaced(view.depth, across, along)
    noisy = seen + _noise_std(seen, view.cosine, sensor) * smooth_noise(shape, 3.0, rng)
    bulk = view.camera.fx * sensor.baseline
    disparity = np.rint(bulk / np.maximum(noisy, 0.1) / sensor.step) * sensor.step
    measured = (bulk / np.maximum(disparity, sensor.step)).astype(np.float32)
    return within(measured, _lost(view, seen, sensor, rng), sensor.nearest, sensor.farthest)


def _noise_std(depth: Image, cosine: Image, sensor: StructuredLight) -> Image:
    """Standard deviation in meters by distance and incidence (Nguyen et al.)."""
    factor, most = sensor.slanted
    angle = np.arccos(np.clip(cosine, 0.02, 1))
    slanted = np.where(
        angle > np.pi / 3, factor / np.sqrt(np.maximum(depth, 0.3)) * (angle / (np.pi / 2 - angle)) ** 2, 0
    )
    return np.asarray(sensor.axial_std(depth) + np.minimum(slanted, most), np.float32)


def _lost(view: IdealView, seen: Image, sensor: StructuredLight, rng: np.random.Generator) -> Mask:
    shape = (view.camera.height, view.camera.width)
    lost = (view.depth <= 0) | (seen <= 0) | hidden_from(view.depth, view.camera, sensor.baseline)
    lost |= hidden_from(view.depth, view.camera, sensor.to_color)
    lost |= jumps(view.depth) & at_random(shape, sensor.edge_loss, 3.0, rng)
    # A dot is lost sooner where little light comes back, and on surfaces seen at a slant.
    threshold = sensor.least_light * np.exp(sensor.light_spread * smooth_noise(shape, 4.0, rng))
    lost |= returned_light(view) < threshold
    least, spread = sensor.least_cosine
    lost |= view.cosine < least + spread * smooth_noise(shape, 3.0, rng)
    lost |= margins(shape, sensor.margins, rng)
    # The correlation window needs neighbors, so single holes grow.
    return cv2.dilate(lost.astype(np.uint8), np.ones((2, 2), np.uint8)).astype(bool)


# Stereo, with a dot projector (RealSense D400) or without (ZED).
#
# Depth is ``f b / d`` and the error of the disparity d about 0.08 pixels, smooth over the matching
# window: Intel, "Best-known methods for tuning Intel RealSense D400 depth cameras" and Keselman et
# al. 2017, "Intel RealSense stereoscopic depth cameras". The window also thickens near things
# ("edge fattening"). What only the left eye sees, left of people, has no reading. Disparity comes
# in 32nds of a pixel.


@dataclass(frozen=True)
class ActiveStereo:
    """Properties.

    Attributes:
        baseline: meters between the eyes; the second is to the right.
        focal_ratio: focal length of the stereo pair over that of the image the depth is laid on.
        noise: pixels, standard deviation of the disparity.
        window: pixels over which noise is alike.
        step: pixels of disparity.
        fattening: pixels by which near things grow.
        gaps: share of the image that cannot be matched although there is light.
        edge_loss: share of the pixels beside a jump that give nothing.
        least_light: below it the dots do not help; see :func:`~.effects.returned_light`.
        to_color: meters from the color camera, whose image the depth is laid on, to the left eye.
        nearest, farthest: meters.
        grain: parts of the noise: bumps as wide as the window, and finer ones on top.
        light_spread: of the log of the least light, from patch to patch.
    """

    baseline: float = 0.050
    focal_ratio: float = 0.7
    noise: float = 0.08
    window: float = 4.0
    step: float = 1 / 32
    fattening: float = 2.0
    gaps: float = 0.002
    edge_loss: float = 0.4
    least_light: float = 0.0005
    to_color: float = -0.015
    nearest: float = 0.3
    farthest: float = 10.0
    grain: tuple[float, float] = (0.9, 0.44)
    light_spread: float = 0.8


def measure_active_stereo(view: IdealView, sensor: ActiveStereo, rng: np.random.Generator) -> Image:
    """(H, W) measured meters, 0 for no reading."""
    shape = (view.camera.height, view.camera.width)
    near = _fattened(view.depth, sensor, rng)
    bulk = view.camera.fx * sensor.focal_ratio * sensor.baseline
    disparity = bulk / np.maximum(near, 0.1)
    wide, fine = sensor.grain
    noise = wide * smooth_noise(shape, sensor.window, rng) + fine * smooth_noise(shape, 2.0, rng)
    disparity = np.rint((disparity + sensor.noise * noise) / sensor.step) * sensor.step
    measured = (bulk / np.maximum(disparity, sensor.step)).astype(np.float32)
    return within(measured, _lost_to_stereo(view, near, sensor, rng), sensor.nearest, sensor.farthest)


def _fattened(depth: Image, sensor: ActiveStereo, rng: np.random.Generator) -> Image:
    """Near things grow over the far ones beside them, by more or less along the edge."""
    reach = 2 * round(sensor.fattening) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    filled = np.where(depth > 0, depth, np.float32(50.0))
    grown = cv2.erode(filled, kernel)
    wander = smooth_noise((depth.shape[0], depth.shape[1]), 5.0, rng)
    chosen = np.where(wander > -0.3, grown, filled)
    jitter = 0.5 * wander
    moved = displaced(chosen.astype(np.float32), jitter, jitter[::-1])
    return np.asarray(np.where(moved < 49, moved, 0), np.float32)


def _lost_to_stereo(view: IdealView, near: Image, sensor: ActiveStereo, rng: np.random.Generator) -> Mask:
    shape = (view.camera.height, view.camera.width)
    lost = (near <= 0) | hidden_from(near, view.camera, sensor.baseline * sensor.focal_ratio)
    lost |= hidden_from(near, view.camera, sensor.to_color)
    lost |= jumps(near, 5) & at_random(shape, sensor.edge_loss, 4.0, rng)
    threshold = sensor.least_light * np.exp(sensor.light_spread * smooth_noise(shape, 6.0, rng))
    lost |= returned_light(view) < threshold
    return np.asarray(lost | at_random(shape, sensor.gaps, 5.0, rng))


# Time of flight: the phase of modulated light (Kinect v2, Azure Kinect, Femto Bolt).
#
# Noise falls with the light that comes back, 1 to 2 mm at 1 to 3 m for Kinect v2; pixels across an
# edge mix both surfaces ("flying pixels"); light that took longer ways lengthens the distance, and
# most where the surface itself is dark: Sarbolandi, Lefloch and Kolb 2015, "Kinect range sensing";
# Fankhauser et al. 2015, "Kinect v2 for mobile robot navigation". Azure Kinect: standard deviation
# at most 17 mm, error below 11 mm + 0.1 % (Microsoft's hardware page; Tölgyessy et al. 2021).


@dataclass(frozen=True)
class TimeOfFlight:
    """Properties.

    Attributes:
        noise: meters, standard deviation when the light is 1; it grows with one over the root of the light.
        wiggle: meters, amplitude of the error that comes and goes with the distance.
        wave: meters, its period.
        multipath: meters that a dark surface among bright ones is seen too far.
        flying: share of the mixed pixels beside a jump that are kept; the others give nothing.
        least_light: below it there is no reading; see :func:`~.effects.returned_light`.
        cone: tangent of the angle off the axis that the lamp lights.
        to_color: meters from the color camera, whose image the depth is laid on; 0 for the depth camera's own.
        nearest, farthest: meters.
        light_spread: of the log of the least light: in blotches, since folds of cloth throw back more or less, and
            from pixel to pixel.
    """

    noise: float = 0.0006
    wiggle: float = 0.003
    wave: float = 0.9
    multipath: float = 0.012
    flying: float = 0.4
    least_light: float = 0.0013
    cone: float = 0.8
    to_color: float = 0.0
    nearest: float = 0.5
    farthest: float = 6.0
    light_spread: tuple[float, float] = (0.2, 0.45)


def measure_time_of_flight(view: IdealView, sensor: TimeOfFlight, rng: np.random.Generator) -> Image:
    """(H, W) measured meters, 0 for no reading."""
    shape = (view.camera.height, view.camera.width)
    light = returned_light(view, sensor.cone)
    edge = jumps(view.depth)
    depth = np.where(edge, _mixed(view.depth, light), view.depth)
    phase = np.float32(rng.uniform(0, 2 * np.pi))
    depth = depth + sensor.wiggle * np.sin(2 * np.pi * depth / sensor.wave + phase) + _multipath(light, sensor)
    depth = depth + sensor.noise / np.sqrt(np.maximum(light, 1e-4)) * white(shape, rng)
    return within(
        depth.astype(np.float32),
        _lost_to_time_of_flight(view, light, edge, sensor, rng),
        sensor.nearest,
        sensor.farthest,
    )


def _mixed(depth: Image, light: Image) -> Image:
    """What a pixel that sees two surfaces reports: their mean, weighted by the light of each."""
    weight = np.maximum(light, 1e-5)
    size, blur = (0, 0), 0.7
    total = cv2.GaussianBlur(weight * depth, size, blur)
    return np.asarray(total / cv2.GaussianBlur(weight, size, blur), np.float32)


def _multipath(light: Image, sensor: TimeOfFlight) -> Image:
    """Stray light of the surroundings, at a quarter of the image's resolution, against the pixel's own."""
    small = cv2.resize(light, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    stray = cv2.resize(cv2.GaussianBlur(small, (0, 0), 8), light.shape[::-1])
    return np.asarray(sensor.multipath * stray / (stray + 4 * np.maximum(light, 1e-5)), np.float32)


def _lost_to_time_of_flight(
    view: IdealView, light: Image, edge: Mask, sensor: TimeOfFlight, rng: np.random.Generator
) -> Mask:
    shape = (view.camera.height, view.camera.width)
    lost = (view.depth <= 0) | (edge & at_random(shape, 1 - sensor.flying, 1.0, rng))
    if sensor.to_color:
        lost |= hidden_from(view.depth, view.camera, sensor.to_color)
    blotches, single = sensor.light_spread
    threshold = sensor.least_light * np.exp(blotches * smooth_noise(shape, 3.0, rng) + single * white(shape, rng))
    return np.asarray(lost | (light < threshold))


# The sensor of each kind of camera, by name.

#: The cameras of :data:`unipose_training.synthetic.variety.cameras.KINDS`, each with its figures.
SENSORS: dict[str, StructuredLight | TimeOfFlight | ActiveStereo] = {
    "kinect_v1": StructuredLight(),
    "astra": StructuredLight(nearest=0.6, edge_loss=0.5, margins=(0.02, 0.0, 0.05, 0.02)),
    "kinect_v2": TimeOfFlight(),
    "azure_kinect": TimeOfFlight(noise=0.0010, flying=0.25, least_light=0.0028, cone=0.72, nearest=0.5, farthest=5.5),
    "femto_bolt": TimeOfFlight(noise=0.0009, flying=0.3, least_light=0.0026, cone=0.75, nearest=0.25, farthest=5.5),
    "d435": ActiveStereo(),
    "d455": ActiveStereo(baseline=0.095, focal_ratio=1.1, to_color=-0.059, nearest=0.5),
    # No projector: nothing helps where the scene has no texture of its own.
    "zed2": ActiveStereo(
        baseline=0.12, focal_ratio=1.0, noise=0.13, window=9.0, fattening=3.0, gaps=0.0, edge_loss=0.15,
        least_light=0.0, to_color=0.0, nearest=0.3, farthest=15.0,
    ),
}  # fmt: skip


def measure_with(camera_kind: str, view: IdealView, rng: np.random.Generator) -> Image:
    """(H, W) meters as that camera measures them, 0 for no reading.

    Raises:
        SyntheticError: there is no such camera.
    """
    if camera_kind not in SENSORS:
        raise SyntheticError(f"camera '{camera_kind}': use one of {', '.join(SENSORS)}")
    sensor = SENSORS[camera_kind]
    return _MEASURE[type(sensor)](view, sensor, rng)


_MEASURE: dict[type, Callable[..., Image]] = {
    StructuredLight: measure_structured_light,
    TimeOfFlight: measure_time_of_flight,
    ActiveStereo: measure_active_stereo,
}
