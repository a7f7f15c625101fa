"""Time of flight: the phase of modulated light (Kinect v2, Azure Kinect, Femto Bolt).

Noise falls with the light that comes back, 1 to 2 mm at 1 to 3 m for Kinect v2; pixels across an
edge mix both surfaces ("flying pixels"); light that took longer ways lengthens the distance, and
most where the surface itself is dark: Sarbolandi, Lefloch and Kolb 2015, "Kinect range sensing";
Fankhauser et al. 2015, "Kinect v2 for mobile robot navigation". Azure Kinect: standard deviation
at most 17 mm, error below 11 mm + 0.1 % (Microsoft's hardware page; Tölgyessy et al. 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from unipose_training.synthetic.sensors.effects import (  # fmt: skip
    IdealView,
    Image,
    Mask,
    at_random,
    hidden_from,
    jumps,
    returned_light,
    smooth_noise,
    white,
    within,
)


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


def measure_time_of_flight(view: IdealView, sensor: TimeOfFlight, rng: np.random.Generator) -> Image:
    """(H, W) measured meters, 0 for no reading."""
    shape = (view.camera.height, view.camera.width)
    light = returned_light(view, sensor.cone)
    edge = jumps(view.depth)
    depth = np.where(edge, _mixed(view.depth, light), view.depth)
    phase = np.float32(rng.uniform(0, 2 * np.pi))
    depth = depth + sensor.wiggle * np.sin(2 * np.pi * depth / sensor.wave + phase) + _multipath(light, sensor)
    depth = depth + sensor.noise / np.sqrt(np.maximum(light, 1e-4)) * white(shape, rng)
    return within(depth.astype(np.float32), _lost(view, light, edge, sensor, rng), sensor.nearest, sensor.farthest)


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


def _lost(view: IdealView, light: Image, edge: Mask, sensor: TimeOfFlight, rng: np.random.Generator) -> Mask:
    shape = (view.camera.height, view.camera.width)
    lost = (view.depth <= 0) | (edge & at_random(shape, 1 - sensor.flying, 1.0, rng))
    if sensor.to_color:
        lost |= hidden_from(view.depth, view.camera, sensor.to_color)
    # Dark cloth goes in blotches, since its folds throw back more or less.
    threshold = sensor.least_light * np.exp(0.2 * smooth_noise(shape, 3.0, rng) + 0.45 * white(shape, rng))
    return np.asarray(lost | (light < threshold))
