"""A square window of the image that shows a person, and its pixels back in the image."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera


def square_boxes(boxes: NDArray[np.floating], scale: NDArray[np.floating] | float = 1.0) -> NDArray[np.float64]:
    """Squares around the middles of boxes.

    Args:
        boxes: (N, 4) u0, v0, u1, v1 in pixels.
        scale: (N,) or one number: length of a square's side in lengths of the longer side of its box. No side of a box
            is made shorter.

    Returns:
        (N, 4) boxes; they may reach beyond the image.
    """
    low, high = np.asarray(boxes, np.float64)[:, :2], np.asarray(boxes, np.float64)[:, 2:]
    half = (high - low) / 2
    half = np.maximum(half, half.max(axis=1, keepdims=True) * np.reshape(scale, (-1, 1)))
    middle = (low + high) / 2
    return np.concatenate([middle - half, middle + half], axis=1)


# Fits an image of any size into what a convolutional network takes.


@dataclass(frozen=True)
class Letterbox:
    """An image scaled so that its long side fits, and padded on the right and below.

    All (width, height) in pixels. Coordinates have (0, 0) in the center of the first pixel.

    Attributes:
        image: size of the image given.
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
        """(H, W, C) of size ``image`` -> (H', W', C) of size ``padded``, black where there is no image."""
        # Area averaging keeps what bilinear sampling would skip when shrinking; it cannot enlarge.
        shrinks = self.content[0] < self.image[0]
        resized = cv2.resize(image, self.content, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        if self.content == self.padded:
            return np.asarray(resized, np.uint8)
        result = np.zeros((self.padded[1], self.padded[0], image.shape[2]), np.uint8)
        result[: self.content[1], : self.content[0]] = resized
        return result

    def apply_columns(self, image: NDArray[np.uint8], left: int, right: int) -> NDArray[np.uint8]:
        """(H, W, C) of size ``image`` -> (H', right - left, C): these columns of what :meth:`apply` gives.

        Where the image shrinks the others are not resized, but for the few up to where pixels of both images begin at
        one place.
        """
        if self.content[0] >= self.image[0]:
            return self.apply(image)[:, left:right]
        common = gcd(self.image[0], self.content[0])
        step, image_step = self.content[0] // common, self.image[0] // common
        begin, end = left // step, min(-(-right // step), common)
        if begin >= end:
            return np.zeros((self.padded[1], right - left, image.shape[2]), np.uint8)
        image_width, width = (end - begin) * image_step, (end - begin) * step
        padded = max(width, right - begin * step), self.padded[1]
        part = Letterbox((image_width, self.image[1]), (width, self.content[1]), padded)
        resized = part.apply(image[:, begin * image_step : end * image_step])
        return resized[:, left - begin * step : right - begin * step]

    def to_image(self, points: NDArray[Any]) -> NDArray[np.float32]:
        """(..., 2) pixels of the padded image -> pixels of the image given."""
        return self._rescale(points, self.content, self.image)

    def to_padded(self, points: NDArray[Any]) -> NDArray[np.float32]:
        """(..., 2) pixels of the image given -> pixels of the padded image."""
        return self._rescale(points, self.image, self.content)

    @staticmethod
    def _rescale(points: NDArray[Any], source: tuple[int, int], target: tuple[int, int]) -> NDArray[np.float32]:
        # Resizing aligns the images' edges, which lie half a pixel outside of the first center.
        factor = np.array(target, np.float64) / np.array(source, np.float64)
        return np.asarray((points + 0.5) * factor - 0.5, np.float32)


FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Crop:
    """A window of an image, shown with ``size`` x ``size`` pixels.

    Pixels have (0, 0) in the center of the first one, in the image and in the window.

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
    def of_extent(cls, camera: Camera, center: NDArray[np.floating], distance: float, extent: float, size: int) -> Crop:
        """The window that shows ``extent`` meters at ``distance``.

        K enters here: people look equally large to the network through every camera and at every
        distance.

        Args:
            center: (2,) pixels of the image.
        """
        width, height = camera.fx * extent / distance, camera.fy * extent / distance
        return cls(float(center[0]), float(center[1]), width, height, size)

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
