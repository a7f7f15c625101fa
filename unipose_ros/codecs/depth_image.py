"""A person's window of a depth image for a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.codecs.anchors import WindowSample
from unipose_ros.codecs.crop import Window
from unipose_ros.frame import RgbdFrame


@dataclass(frozen=True)
class DepthImageConfig:
    """How a person is cut out of a depth image.

    Attributes:
        size: pixels of the window's side.
        extent: metres that the window shows at the person's distance.
        unit: metres of depth that become 1.
        clip: nothing is nearer or farther than this many units; no reading counts as farthest.

    Raises:
        ValueError: a value is not positive.
    """

    size: int = 192
    extent: float = 2.4
    unit: float = 0.5
    clip: float = 2.0

    def __post_init__(self) -> None:
        for name in ("size", "extent", "unit", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"depth_image.{name} = {getattr(self, name)}: must be positive")


def encode_depth(
    frame: RgbdFrame, box: NDArray[np.floating], distance: float, config: DepthImageConfig
) -> WindowSample:
    """Cut a person out; depth is relative to the person's, so that the range is free.

    Args:
        box: (4,) u0, v0, u1, v1 in pixels around the person.
        distance: of the person, along z, in metres.

    Raises:
        ValueError: the frame has no depth, or box and distance give no window.
    """
    if frame.depth is None:
        raise ValueError("the frame has no depth; the depth network looks at nothing else")
    if not distance > 0:
        raise ValueError(f"distance = {distance}: a person is at a positive distance; drop the proposal")
    middle = (np.asarray(box[:2], np.float64) + box[2:]) / 2
    window = Window.of_extent(frame.camera, middle, distance, config.extent, config.size)
    depth = window.cut(frame.depth, smooth=False)
    relative = np.where(depth > 0, (depth - distance) / config.unit, config.clip)  # False for NaN
    image = np.clip(relative, -config.clip, config.clip).astype(np.float32)
    return WindowSample(image[None], window, distance, frame.camera)
