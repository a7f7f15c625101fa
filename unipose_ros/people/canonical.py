"""A depth image as the finder's network looks at it: any camera, one angular resolution.

Resizing to a fixed focal length is how the intrinsics enter: afterwards a pixel at a distance
is a length, whatever the camera. Lens distortion is left as it is; people do not need it undone
to be found.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.networks.letterbox import Letterbox

#: Readings outside of this range in metres are none: people to 6 m are looked for, with scenery behind them.
NEAREST, FARTHEST = 0.2, 10.0


def canonical_view(camera: Camera, focal: float, multiple: int) -> Letterbox:
    """How a camera's image is resized so that both focal lengths are ``focal`` pixels."""
    content = (
        max(1, round(camera.width * focal / camera.fx)),
        max(1, round(camera.height * focal / camera.fy)),
    )
    padded = (-(-content[0] // multiple) * multiple, -(-content[1] // multiple) * multiple)
    return Letterbox((camera.width, camera.height), content, padded)


def canonical_depth(depth: NDArray[np.float32], view: Letterbox) -> NDArray[np.float32]:
    """Resize a depth image without mixing readings with holes.

    Args:
        depth: (H, W) metres; 0, NaN and what is out of range are no reading.
        view: from :func:`canonical_view`.

    Returns:
        (2, h, w) mean of the readings in metres, 0 without any, and the part of the pixel that has
        readings; nothing in the padding.
    """
    valid = (depth > NEAREST) & (depth < FARTHEST)  # False for NaN
    part = cv2.resize(valid.astype(np.float32), view.content, interpolation=cv2.INTER_AREA)
    total = cv2.resize(np.where(valid, depth, np.float32(0)), view.content, interpolation=cv2.INTER_AREA)
    result = np.zeros((2, view.padded[1], view.padded[0]), np.float32)
    inside = result[:, : view.content[1], : view.content[0]]
    np.divide(total, part, out=inside[0], where=part > 0)
    inside[1] = part
    return result


def network_input(canonical: NDArray[np.float32], log_middle: float) -> NDArray[np.float32]:
    """(..., 2, h, w) metres and parts -> log metres relative to a middle distance, 0 without readings, and parts."""
    depth, part = canonical[..., 0, :, :], canonical[..., 1, :, :]
    log_depth = np.where(part > 0, np.log(np.maximum(depth, NEAREST)) - log_middle, 0)
    return np.stack([log_depth, part], axis=-3).astype(np.float32)
