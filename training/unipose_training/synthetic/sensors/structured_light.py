"""Structured light: a projector's dots seen by one infrared camera (Kinect v1, Astra).

Axial noise and the jitter of edges: Nguyen, Izadi and Lovell 2012, "Modeling Kinect sensor noise
for improved 3D reconstruction and tracking": ``sigma_z = 0.0012 + 0.0019 (z - 0.4)^2``, growing
beyond 60 degrees of incidence; sideways about a pixel;
here twice that, in runs, as two real Kinect images show. Steps: Khoshelham and Elberink 2012: disparity
comes in eighths of a pixel, 7 cm at 5 m. Reading shifted pixels: Barron and Malik 2013.
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
    displaced,
    hidden_from,
    jumps,
    margins,
    returned_light,
    smooth_noise,
    within,
)


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


def measure_structured_light(view: IdealView, sensor: StructuredLight, rng: np.random.Generator) -> Image:
    """(H, W) measured meters, 0 for no reading."""
    shape = (view.camera.height, view.camera.width)
    # Edges wander in runs of some pixels: a dot is matched or not.
    across, along = (sensor.jitter * smooth_noise(shape, 5.0, rng) for _ in range(2))
    seen = displaced(view.depth, across, along)
    noisy = seen + _spread(seen, view.cosine) * smooth_noise(shape, 3.0, rng)
    bulk = view.camera.fx * sensor.baseline
    disparity = np.rint(bulk / np.maximum(noisy, 0.1) / sensor.step) * sensor.step
    measured = (bulk / np.maximum(disparity, sensor.step)).astype(np.float32)
    return within(measured, _lost(view, seen, sensor, rng), sensor.nearest, sensor.farthest)


def _spread(depth: Image, cosine: Image) -> Image:
    """Standard deviation in meters by distance and incidence (Nguyen et al.)."""
    angle = np.arccos(np.clip(cosine, 0.02, 1))
    slanted = np.where(
        angle > np.pi / 3, 1e-4 / np.sqrt(np.maximum(depth, 0.3)) * (angle / (np.pi / 2 - angle)) ** 2, 0
    )
    return np.asarray(0.0012 + 0.0019 * (depth - 0.4) ** 2 + np.minimum(slanted, 0.1), np.float32)


def _lost(view: IdealView, seen: Image, sensor: StructuredLight, rng: np.random.Generator) -> Mask:
    shape = (view.camera.height, view.camera.width)
    lost = (view.depth <= 0) | (seen <= 0) | hidden_from(view.depth, view.camera, sensor.baseline)
    lost |= hidden_from(view.depth, view.camera, sensor.to_color)
    lost |= jumps(view.depth) & at_random(shape, sensor.edge_loss, 3.0, rng)
    # A dot is lost sooner where little light comes back, and on surfaces seen at a slant.
    threshold = sensor.least_light * np.exp(0.7 * smooth_noise(shape, 4.0, rng))
    lost |= returned_light(view) < threshold
    lost |= view.cosine < 0.09 + 0.04 * smooth_noise(shape, 3.0, rng)
    lost |= margins(shape, sensor.margins, rng)
    # The correlation window needs neighbors, so single holes grow.
    return cv2.dilate(lost.astype(np.uint8), np.ones((2, 2), np.uint8)).astype(bool)
