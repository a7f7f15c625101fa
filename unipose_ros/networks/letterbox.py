"""Fits a picture of any size into what a convolutional network takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Letterbox:
    """A picture scaled so that its long side fits, and padded on the right and below.

    All (width, height) in pixels. Coordinates have (0, 0) in the centre of the first pixel.

    Attributes:
        image: size of the picture given.
        content: its size after scaling.
        padded: size after padding, both multiples of what the network needs.

    Raises:
        ValueError: an empty size, or content that does not fit.
    """

    image: tuple[int, int]
    content: tuple[int, int]
    padded: tuple[int, int]

    def __post_init__(self) -> None:
        if min(*self.image, *self.content) < 1:
            raise ValueError(f"letterbox of image {self.image}, content {self.content}: sizes must be positive")
        if self.content[0] > self.padded[0] or self.content[1] > self.padded[1]:
            raise ValueError(f"letterbox: content {self.content} is larger than padded {self.padded}")

    @classmethod
    def fit(cls, width: int, height: int, long_side: int, multiple: int) -> Letterbox:
        """Scale the long side to ``long_side``; pad both sides up to a multiple of ``multiple``."""
        scale = long_side / max(width, height, 1)
        content = (max(1, round(width * scale)), max(1, round(height * scale))) if min(width, height) > 0 else (0, 0)
        padded = (-(-content[0] // multiple) * multiple, -(-content[1] // multiple) * multiple)
        return cls((width, height), content, padded)

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, C) of size ``image`` -> (H', W', C) of size ``padded``, black where there is no picture."""
        # Area averaging keeps what bilinear sampling would skip when shrinking; it cannot enlarge.
        shrinks = self.content[0] < self.image[0]
        resized = cv2.resize(image, self.content, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        if self.content == self.padded:
            return np.asarray(resized, np.uint8)
        result = np.zeros((self.padded[1], self.padded[0], image.shape[2]), np.uint8)
        result[: self.content[1], : self.content[0]] = resized
        return result

    def to_image(self, points: NDArray[Any]) -> NDArray[np.float32]:
        """(..., 2) pixels of the padded picture -> pixels of the picture given."""
        return self._rescale(points, self.content, self.image)

    def to_padded(self, points: NDArray[Any]) -> NDArray[np.float32]:
        """(..., 2) pixels of the picture given -> pixels of the padded picture."""
        return self._rescale(points, self.image, self.content)

    @staticmethod
    def _rescale(points: NDArray[Any], source: tuple[int, int], target: tuple[int, int]) -> NDArray[np.float32]:
        # Resizing aligns the pictures' edges, which lie half a pixel outside of the first centre.
        factor = np.array(target, np.float64) / np.array(source, np.float64)
        return np.asarray((points + 0.5) * factor - 0.5, np.float32)
