"""A person's window of a colour image for a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.codecs.anchors import WindowSample
from unipose_ros.codecs.crop import Window
from unipose_ros.frame import RgbdFrame


@dataclass(frozen=True)
class ColourImageConfig:
    """How a person is cut out of a colour image.

    Attributes:
        size: pixels of the window's side.
        margin: the window's side as a part of the longer side of the person's box across the rays, at least 1.

    Raises:
        ValueError: a value is out of range.
    """

    size: int = 256
    margin: float = 1.25

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"colour_image.size = {self.size}: must be positive")
        if not self.margin >= 1:
            raise ValueError(f"colour_image.margin = {self.margin}: must be at least 1")


def encode_colour(
    frame: RgbdFrame, box: NDArray[np.floating], distance: float, config: ColourImageConfig
) -> WindowSample:
    """Cut a person out, as large in the window as in any other picture.

    Args:
        box: (4,) u0, v0, u1, v1 in pixels around the person.
        distance: of the person, along z, in metres, from wherever it is known; the network says depths
            relative to it and does not see it.

    Raises:
        ValueError: the frame has no colour, or the box is empty.
    """
    if frame.colour is None:
        raise ValueError("the frame has no colour; the colour network looks at nothing else")
    low, high = np.asarray(box[:2], np.float64), np.asarray(box[2:], np.float64)
    camera = frame.camera
    # fx and fy need not be equal: the window is a square across the rays, not in pixels.
    side = float(((high - low) / [camera.fx, camera.fy]).max()) * config.margin
    u, v = (low + high) / 2
    window = Window(float(u), float(v), side * camera.fx, side * camera.fy, config.size)
    image = window.cut(frame.colour, smooth=True).astype(np.float32) / 127.5 - 1
    return WindowSample(np.ascontiguousarray(image.transpose(2, 0, 1)), window, distance, camera)
