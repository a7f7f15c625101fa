"""Which joints the camera sees, and what it sees around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project

#: What lies less far in front of a joint than this, meters, can be its own skin.
_SKIN = 0.25
#: Pixels on each side in which the nearest surface is looked for: limbs are thin and silhouettes ragged.
_WINDOW = 2


def seen_in_depth(camera: Camera, depth: NDArray[np.float32], positions: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which joints nothing hides.

    A joint is seen when it falls into the image, the camera has a reading there, and the surface
    read is less than 25 cm in front of it.

    Args:
        positions: (..., 3) meters in the optical frame.
    """
    pixels = np.rint(np.nan_to_num(project(camera, positions), nan=-1)).astype(np.int64)
    inside = (pixels >= 0).all(axis=-1) & (pixels[..., 0] < camera.width) & (pixels[..., 1] < camera.height)
    u, v = np.moveaxis(np.where(inside[..., None], pixels, 0), -1, 0)
    surface = depth[v, u]
    return np.asarray(inside & (surface > 0) & np.isfinite(surface) & (positions[..., 2] - surface < _SKIN))


def in_image(camera: Camera, positions: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which joints (..., 3) fall into the image."""
    pixels = np.nan_to_num(project(camera, positions), nan=-1e9)
    size = np.array([camera.width, camera.height]) - 0.5
    return np.asarray(((pixels >= -0.5) & (pixels < size)).all(axis=-1))


def nearest_depths(depth: NDArray[np.float32], pixels: NDArray[np.intp]) -> NDArray[np.float64]:
    """(K, 2) pixels u, v -> (K,) least depth in the 5 x 5 window around each; NaN without any reading."""
    window = np.arange(-_WINDOW, _WINDOW + 1)
    v = np.clip(pixels[:, 1, None, None] + window[:, None], 0, depth.shape[0] - 1)
    u = np.clip(pixels[:, 0, None, None] + window[None], 0, depth.shape[1] - 1)
    values = depth[v, u].astype(np.float64).reshape(len(pixels), len(window) ** 2)
    least = np.where(np.isfinite(values) & (values > 0), values, np.inf).min(axis=1, initial=np.inf)
    return np.asarray(np.where(np.isfinite(least), least, np.nan))
