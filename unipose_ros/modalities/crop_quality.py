"""Of whom the color image shows enough for the color network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.config import DetectionConfig, RgbConfig
from unipose_ros.detection import Proposals, visible_keypoints

Mask = NDArray[np.bool_]


def good_crops(camera: Camera, people: Proposals, config: RgbConfig, seen_by: DetectionConfig) -> Mask:
    """(N,) people who are large, inside and plain enough in the image.

    Args:
        people: with keypoints; of those without, only size and place count.
        seen_by: which keypoints count as seen.
    """
    low, high = people.boxes[:, :2], people.boxes[:, 2:]
    good = (high - low).max(axis=1, initial=0.0) >= config.min_pixels
    good &= _fraction_inside(low, high, camera) >= config.min_inside
    if people.keypoints is not None:
        seen = visible_keypoints(people.keypoints, camera.width, camera.height, seen_by)
        good &= seen.sum(axis=1) >= config.min_keypoints
    return np.asarray(good, np.bool_)


def _fraction_inside(low: NDArray[np.float32], high: NDArray[np.float32], camera: Camera) -> NDArray[np.float64]:
    """(N,) part of the square around a box that lies inside the image."""
    focal = np.array([camera.fx, camera.fy])
    half = ((high - low) / focal).max(axis=1, keepdims=True, initial=0.0) * focal / 2
    middle = (low.astype(np.float64) + high) / 2
    first, last = np.maximum(middle - half, -0.5), np.minimum(middle + half, [camera.width - 0.5, camera.height - 0.5])
    shown = np.maximum(last - first, 0).prod(axis=1)
    return np.asarray(shown / np.maximum((2 * half).prod(axis=1), 1e-9))
