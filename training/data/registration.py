"""Colour seen from where the depth camera stands."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

#: A Kinect v2's colour has three pixels for one of depth, along each axis.
_FINER = 3


def registered_colour(picture: NDArray[np.uint8], pixels: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Colour of a Kinect v2 at each pixel of its depth.

    Args:
        picture: (H, W, 3) of the colour camera.
        pixels: (h, w, 2) (u, v) in it of each pixel of depth; NaN where that is not known.

    Returns:
        (h, w, 3), black where the colour camera does not look.
    """
    smooth = cv2.blur(picture, (_FINER, _FINER))  # or two pixels of three would not be looked at
    places = np.nan_to_num(pixels, nan=-1e4).astype(np.float32)
    return np.asarray(cv2.remap(smooth, places[..., 0], places[..., 1], cv2.INTER_LINEAR), np.uint8)
