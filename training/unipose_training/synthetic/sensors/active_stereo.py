"""Stereo, with a dot projector (RealSense D400) or without (ZED).

Depth is ``f b / d`` and the error of the disparity d about 0.08 pixels, smooth over the matching
window: Intel, "Best-known methods for tuning Intel RealSense D400 depth cameras" and Keselman et
al. 2017, "Intel RealSense stereoscopic depth cameras". The window also thickens near things
("edge fattening"). What only the left eye sees, left of people, has no reading. Disparity comes
in 32nds of a pixel.
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
    returned_light,
    smooth_noise,
    within,
)


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


def measure_active_stereo(view: IdealView, sensor: ActiveStereo, rng: np.random.Generator) -> Image:
    """(H, W) measured meters, 0 for no reading."""
    shape = (view.camera.height, view.camera.width)
    near = _fattened(view.depth, sensor, rng)
    bulk = view.camera.fx * sensor.focal_ratio * sensor.baseline
    disparity = bulk / np.maximum(near, 0.1)
    # Bumps as wide as the window, and finer grain on top.
    noise = 0.9 * smooth_noise(shape, sensor.window, rng) + 0.44 * smooth_noise(shape, 2.0, rng)
    disparity = np.rint((disparity + sensor.noise * noise) / sensor.step) * sensor.step
    measured = (bulk / np.maximum(disparity, sensor.step)).astype(np.float32)
    return within(measured, _lost(view, near, sensor, rng), sensor.nearest, sensor.farthest)


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


def _lost(view: IdealView, near: Image, sensor: ActiveStereo, rng: np.random.Generator) -> Mask:
    shape = (view.camera.height, view.camera.width)
    lost = (near <= 0) | hidden_from(near, view.camera, sensor.baseline * sensor.focal_ratio)
    lost |= hidden_from(near, view.camera, sensor.to_color)
    lost |= jumps(near, 5) & at_random(shape, sensor.edge_loss, 4.0, rng)
    threshold = sensor.least_light * np.exp(0.8 * smooth_noise(shape, 6.0, rng))
    lost |= returned_light(view) < threshold
    return np.asarray(lost | at_random(shape, sensor.gaps, 5.0, rng))
