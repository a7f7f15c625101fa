"""Depth as a picture that networks for photographs understand, where there is no colour.

Surfaces are lit from the camera, so that folds and limbs stand out as in a photograph, and fade with
distance, so that a person stands out from what is behind. What a depth camera does not see is black.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera

#: Shares of the readings that count as nearest and farthest; the few beyond them may be errors.
_NEAREST, _FARTHEST = 2, 95
#: Brightness that is left of the farthest surface, and of one seen edge on.
_FAR_LIGHT, _EDGE_LIGHT = 0.25, 0.2
#: Side of the window, pixels, and differences, metres, over which depth is smoothed before it is lit.
_SMOOTHING, _STEP = 7, 0.06


def depth_picture(camera: Camera, depth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A grey picture of depth.

    Args:
        depth: (H, W) metres; 0 and NaN are no reading.

    Returns:
        (H, W, 3) uint8, three times the same; near is bright, no reading is black.
    """
    finite = np.nan_to_num(depth, posinf=0, neginf=0)
    known = np.asarray(cv2.medianBlur(finite, 5), np.float32)  # fills single holes, drops flying pixels
    seen = known > 0
    if not seen.any():
        return np.zeros((*depth.shape, 3), np.uint8)
    light = _nearness(known, seen) * (_EDGE_LIGHT + (1 - _EDGE_LIGHT) * _facing(camera, known))
    grey = np.where(seen, np.rint(255 * light), 0).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _nearness(depth: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """1 for the nearest, down to what is left of the farthest; linear in 1 / depth, as light falls off."""
    near, far = np.percentile(depth[seen], [_NEAREST, _FARTHEST])
    inverse = 1 / np.maximum(depth, 1e-3)
    share = np.clip((inverse - 1 / far) / max(1 / near - 1 / far, 1e-6), 0, 1)
    return np.asarray(_FAR_LIGHT + (1 - _FAR_LIGHT) * share, np.float32)


def _facing(camera: Camera, depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosine between each surface and the ray that sees it: how bright a lamp at the camera lights it."""
    smooth = cv2.bilateralFilter(depth, _SMOOTHING, _STEP, _SMOOTHING / 2)
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]].astype(np.float32)
    # The lens's distortion hardly turns a surface.
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], axis=2)
    points = np.asarray(rays * smooth[..., None], np.float32)
    across, down = (cv2.Scharr(points, cv2.CV_32F, *step) for step in ((1, 0), (0, 1)))
    normals = np.cross(across, down)
    lengths = np.linalg.norm(normals, axis=2) * np.linalg.norm(rays, axis=2)
    cosine = np.abs((normals * rays).sum(axis=2)) / np.maximum(lengths, 1e-12)
    return np.asarray(cosine, np.float32)
