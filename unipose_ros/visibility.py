"""Which joints the camera sees, and what it sees around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.geometry.depth_sampling import depth_at

#: What lies less far in front of a joint than this, meters, can be its own skin.
_SKIN = 0.25


def seen_in_depth(camera: Camera, depth: NDArray[np.float32], positions: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which joints nothing hides.

    A joint is seen when it falls into the image, the camera has a reading there, and the surface
    read is less than 25 cm in front of it.

    Args:
        positions: (..., 3) meters in the optical frame.
    """
    # NaN compares false: without a reading a joint is not seen.
    return np.asarray(positions[..., 2] - depth_at(depth, project(camera, positions)) < _SKIN)


def in_image(camera: Camera, positions: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which joints (..., 3) fall into the image."""
    pixels = np.nan_to_num(project(camera, positions), nan=-1e9)
    size = np.array([camera.width, camera.height]) - 0.5
    return np.asarray(((pixels >= -0.5) & (pixels < size)).all(axis=-1))
