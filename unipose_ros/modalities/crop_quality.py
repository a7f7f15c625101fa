"""Of whom the color image shows enough for the color network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.detection import DetectionConfig, Proposals, visible_keypoints
from unipose_ros.lifting.stature import stature_prior

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class RgbConfig:
    """When modality ``rgb`` trusts its image network; other people's keypoints are lifted.

    Attributes:
        prefer_lifter: lift whoever shows enough keypoints, however good the window is: the lifter is more exact
            than the network that is shipped, which then judges those who show too few.
        min_pixels: longer side of the box around a person's seen keypoints, in pixels of the image.
        min_keypoints: least number of seen keypoints, out of 17.
        min_inside: least part of the person's window that lies inside the image, in [0, 1].
        stature: of people whom depth has not measured, which tells their distance; ``adults``, ``men``, ``women``,
            ``children``, or meters as text.

    Raises:
        ValueError: a value is out of range.
    """

    prefer_lifter: bool = True
    min_pixels: float = 60.0
    min_keypoints: int = 10
    min_inside: float = 0.6
    stature: str = "adults"

    def __post_init__(self) -> None:
        if not self.min_pixels >= 0:
            raise ValueError(f"rgb.min_pixels = {self.min_pixels}: must not be negative")
        if not 0 <= self.min_keypoints <= 17:
            raise ValueError(f"rgb.min_keypoints = {self.min_keypoints}: must be within [0, 17]")
        if not 0 <= self.min_inside <= 1:
            raise ValueError(f"rgb.min_inside = {self.min_inside}: must be within [0, 1]")
        try:
            stature_prior(self.stature)
        except ValueError as error:
            raise ValueError(f"rgb.stature = {error}") from error


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
