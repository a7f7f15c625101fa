"""A square window of the picture that shows a person, and its pixels back in the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """A window of an image, shown with ``size`` x ``size`` pixels.

    Pixels have (0, 0) in the centre of the first one, in the image and in the window.

    Attributes:
        u, v: middle of the window in pixels of the image.
        width, height: of the window in pixels of the image.
        size: pixels of a side as shown.

    Raises:
        ValueError: the window is empty or not finite.
    """

    u: float
    v: float
    width: float
    height: float
    size: int

    def __post_init__(self) -> None:
        if not (np.isfinite([self.u, self.v, self.width, self.height]).all() and min(self.width, self.height) > 0):
            raise ValueError(f"{self}: the window must have a size and a place; check the person's box and distance")
        if self.size < 1:
            raise ValueError(f"size = {self.size}: a window is shown with at least one pixel")

    @classmethod
    def of_extent(
        cls, camera: Camera, centre: NDArray[np.floating], distance: float, extent: float, size: int
    ) -> Window:
        """The window that shows ``extent`` metres at ``distance``.

        K enters here: people look equally large to the network through every camera and at every
        distance.

        Args:
            centre: (2,) pixels of the image.
        """
        width, height = camera.fx * extent / distance, camera.fy * extent / distance
        return cls(float(centre[0]), float(centre[1]), width, height, size)

    @property
    def scale(self) -> FloatArray:
        """(2,) pixels of the window per pixel of the image."""
        return np.array([self.size / self.width, self.size / self.height])

    def to_window(self, pixels: NDArray[Any]) -> FloatArray:
        """(..., 2) pixels of the image -> pixels of the window."""
        return np.asarray((pixels - np.array([self.u, self.v])) * self.scale + (self.size - 1) / 2)

    def to_image(self, pixels: NDArray[Any]) -> FloatArray:
        """(..., 2) pixels of the window -> pixels of the image."""
        return np.asarray((pixels - (self.size - 1) / 2) / self.scale + np.array([self.u, self.v]))

    def cut(self, image: NDArray[Any], smooth: bool) -> NDArray[Any]:
        """(H, W) or (H, W, C) -> (size, size) or (size, size, C); 0 outside of the image.

        Args:
            smooth: between pixels, mix them; depth must not be mixed across edges.
        """
        first = self.to_image(np.zeros(2))
        matrix = np.array([[1 / self.scale[0], 0, first[0]], [0, 1 / self.scale[1], first[1]]])
        flags = (cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST) | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(image, matrix, (self.size, self.size), flags=flags, borderValue=0))
