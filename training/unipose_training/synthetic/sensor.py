"""What the demo's depth camera makes of the true depth; :mod:`~.sensors` has models of products.

A triangulating camera (structured light or stereo) measures disparity ``d = f b / z``: its noise
is even in d and so grows with the square of the distance (Khoshelham and Elberink 2012). Between
its two eyes or eye and projector lies a baseline b: what only one of them sees has no reading.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_training.synthetic.sensors.effects import hidden_from

Depth = NDArray[np.float32]


@dataclass(frozen=True)
class DepthSensor:
    """Properties of a triangulating depth camera.

    Attributes:
        baseline: meters between the eyes; the second is to the right.
        noise: standard deviation of the disparity in pixels.
        noise_size: pixels over which the noise is correlated: the matching window.
        step: pixels, the smallest difference of disparity that is told apart.
        edge_loss: share of the pixels beside a jump in depth that give nothing.
        nearest, farthest: meters.
    """

    baseline: float = 0.05
    noise: float = 0.015
    noise_size: float = 4.0
    step: float = 1 / 16
    edge_loss: float = 0.5
    nearest: float = 0.4
    farthest: float = 8.0


def measure(depth: Depth, camera: Camera, sensor: DepthSensor, rng: np.random.Generator) -> Depth:
    """True depth (H, W) in meters, 0 for nothing -> measured depth, 0 for no reading."""
    known = depth > 0
    disparity = camera.fx * sensor.baseline / np.where(known, depth, 1).astype(np.float64)
    disparity += sensor.noise * _correlated(depth.shape, sensor.noise_size, rng)
    disparity = np.rint(disparity / sensor.step) * sensor.step
    measured = camera.fx * sensor.baseline / np.maximum(disparity, sensor.step)
    lost = ~known | hidden_from(depth, camera, sensor.baseline) | _lost_at_edges(depth, sensor, rng)
    lost |= (measured < sensor.nearest) | (measured > sensor.farthest)
    return np.where(lost, 0, measured).astype(np.float32)


def _correlated(shape: tuple[int, ...], size: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Gaussian noise of unit variance, smooth over ``size`` pixels."""
    smooth = cv2.GaussianBlur(rng.normal(size=shape), (0, 0), size)
    return np.asarray(smooth / smooth.std())


def _lost_at_edges(depth: Depth, sensor: DepthSensor, rng: np.random.Generator) -> NDArray[np.bool_]:
    kernel = np.ones((3, 3), np.uint8)
    jump = cv2.dilate(depth, kernel) - cv2.erode(depth, kernel) > 0.06 * np.maximum(depth, 0.5)
    return np.asarray(jump & (_correlated(depth.shape, 1.0, rng) < _quantile(sensor.edge_loss)))


def _quantile(share: float) -> float:
    """Below this value lies ``share`` of a unit Gaussian."""
    from scipy.special import ndtri

    return float(ndtri(share))
