"""Reading a depth image near a pixel: 0, NaN, infinity and what lies outside are no reading."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Pixels on each side in which the nearest surface is looked for: limbs are thin and silhouettes ragged.
_WINDOW = 2


def depth_at(depth: NDArray[np.float32], pixels: NDArray[np.floating]) -> FloatArray:
    """The nearest pixel's depth at (..., 2) pixels; NaN outside the image and where none was read.

    Training reads so as well: :func:`unipose_training.losses.depth.sample_depth`.
    """
    height, width = depth.shape
    u, v = np.rint(pixels[..., 0]), np.rint(pixels[..., 1])
    # NaN compares false, so a pixel that is not a number is never inside.
    inside = (u >= 0) & (v >= 0) & (u < width) & (v < height)
    values = depth[np.where(inside, v, 0).astype(np.intp), np.where(inside, u, 0).astype(np.intp)]
    return np.where(inside & (values > 0) & (values < np.inf), values, np.nan).astype(np.float64)


def nearest_surface(depth: NDArray[np.float32], pixels: NDArray[np.intp]) -> FloatArray:
    """(K, 2) pixels u, v -> (K,) least depth in the 5 x 5 window around each; NaN without any reading.

    Of a pixel outside of the image, the window at the border counts.
    """
    window = np.arange(-_WINDOW, _WINDOW + 1)
    v = np.clip(pixels[:, 1, None, None] + window[:, None], 0, depth.shape[0] - 1)
    u = np.clip(pixels[:, 0, None, None] + window[None], 0, depth.shape[1] - 1)
    values = depth_at(depth, np.stack(np.broadcast_arrays(u, v), axis=-1)).reshape(len(pixels), len(window) ** 2)
    least = np.where(np.isfinite(values), values, np.inf).min(axis=1, initial=np.inf)
    return np.asarray(np.where(np.isfinite(least), least, np.nan))
