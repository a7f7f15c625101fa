"""What the lifter and the refiner read: keypoints as seen by a camera that looks straight at the person.

The camera is turned in thought until the person is in its middle, as perspective crop layers do
(Yu et al., CVPR 2021), and the image is scaled to the person. A pose then looks the same wherever
in the image it is; what was taken out (direction and size) is told to the network beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project, rays

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Keypoints taken (COCO-17), and what is told beside them: direction (2), log of the size, K known.
KEYPOINTS = 17
CONTEXT = 4
LIFTER_INPUT = 3 * KEYPOINTS + CONTEXT
REFINER_INPUT = 3 * KEYPOINTS
#: Without K: focal length as a part of the longer side, about 53 degrees wide.
NOMINAL_FOCAL = 1.0
#: A person of the usual size at 3 m; sizes are told relative to it.
_USUAL_SIZE = 0.15
#: On the plane z = 1; a thousandth of a pixel.
_LEAST_SIZE = 1e-6


@dataclass(frozen=True, eq=False)
class CanonicalView:
    """How N people were made to be seen.

    Attributes:
        turns: (N, 3, 3) optical frame -> frame that looks straight at the person, also optical.
        sizes: (N,) root mean square distance of the visible keypoints from the middle, on the plane z = 1.
        plane: (N, J, 2) keypoints on the turned camera's plane z = 1, divided by ``sizes``; 0 where not seen.
        known: (N,) whether the focal length is that of the camera and not :data:`NOMINAL_FOCAL`.
    """

    turns: FloatArray
    sizes: FloatArray
    plane: FloatArray
    known: Mask


def nominal_camera(width: int, height: int) -> Camera:
    """A guess for images without calibration."""
    focal = NOMINAL_FOCAL * max(width, height)
    return Camera(fx=focal, fy=focal, cx=(width - 1) / 2, cy=(height - 1) / 2, width=width, height=height)


def view_keypoints(camera: Camera, pixels: NDArray[np.floating], seen: Mask, known: bool = True) -> CanonicalView:
    """Turn the camera to each person and scale.

    Args:
        pixels: (N, J, 2).
        seen: (N, J); keypoints that are not seen have no influence. A person needs two visible keypoints.
        known: ``False`` when ``camera`` is a guess.
    """
    directions = np.where(seen[..., None], rays(camera, np.where(seen[..., None], pixels, 0.0)), 0.0)
    return view_rays(directions, seen, np.full(len(pixels), known))


def view_rays(directions: FloatArray, seen: Mask, known: Mask) -> CanonicalView:
    """The same from viewing rays (N, J, 3) with z = 1; see :func:`view_keypoints`."""
    count = np.maximum(seen.sum(axis=1), 1)
    turns = rotations_to_people(directions, seen)
    turned = np.where(seen[..., None], directions, [0.0, 0.0, 1.0]) @ turns.transpose(0, 2, 1)
    plane = np.where(seen[..., None], turned[..., :2] / turned[..., 2:], 0.0)
    sizes = np.sqrt((plane**2).sum(axis=(1, 2)) / count)
    # One keypoint has no size, but for rounding.
    sizes = np.where(sizes > _LEAST_SIZE, sizes, 1.0)
    return CanonicalView(turns, sizes, plane / sizes[:, None, None], known)


def rotations_to_people(directions: FloatArray, seen: Mask) -> FloatArray:
    """(N, J, 3) viewing rays -> (N, 3, 3) turns to the middle of those that are seen; none without any."""
    unit = directions / np.maximum(np.linalg.norm(directions, axis=-1, keepdims=True), 1e-9)
    middle = np.where(seen[..., None], unit, 0.0).sum(axis=1)
    middle[~seen.any(axis=1)] = [0.0, 0.0, 1.0]
    return rotations_to_axis(middle)


def rotations_to_axis(directions: FloatArray) -> FloatArray:
    """(N, 3) directions in front of the camera -> (N, 3, 3) smallest rotations that take them to (0, 0, 1).

    Rodrigues' formula; nothing is in front of the camera that would be opposite to its axis.
    """
    unit = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    x, y, z = unit[:, 0], unit[:, 1], unit[:, 2]
    k = 1.0 / (1.0 + z)
    rows = np.stack([1 - k * x * x, -k * x * y, -x, -k * x * y, 1 - k * y * y, -y, x, y, z], axis=-1)
    result: FloatArray = rows.reshape(-1, 3, 3)
    return result


def lifter_input(view: CanonicalView, confidences: NDArray[np.floating], seen: Mask) -> NDArray[np.float32]:
    """(N, :data:`LIFTER_INPUT`): x, y and confidence of all keypoints, direction, size, K known.

    Without K neither direction nor size means anything, and 0 is told.
    """
    direction = view.turns[:, 2, :2] / view.turns[:, 2, 2:]
    size = np.log(view.sizes / _USUAL_SIZE)[:, None]
    context = np.concatenate([direction, size, np.ones_like(size)], axis=1) * view.known[:, None]
    return np.concatenate([refiner_input(view, confidences, seen), context], axis=1).astype(np.float32)


def refiner_input(view: CanonicalView, confidences: NDArray[np.floating], seen: Mask) -> NDArray[np.float32]:
    """(N, :data:`REFINER_INPUT`): x, y and confidence of all keypoints; 0 where not seen."""
    weights = np.where(seen, confidences, 0.0)[..., None]
    table = np.concatenate([view.plane, weights], axis=-1)
    return table.reshape(len(table), 3 * table.shape[1]).astype(np.float32)


def plane_to_pixels(camera: Camera, view: CanonicalView, plane: NDArray[np.floating]) -> NDArray[np.float32]:
    """(N, J, 2) places on the scaled plane -> pixels of the raw image.

    Places far off the plane's middle may lie behind the real camera: NaN.
    """
    return np.asarray(project(camera, plane_to_rays(view, plane)), np.float32)


def plane_to_rays(view: CanonicalView, plane: NDArray[np.floating]) -> FloatArray:
    """(N, J, 2) places on the scaled plane -> (N, J, 3) viewing rays of the real camera, of any length."""
    flat = np.asarray(plane, np.float64) * view.sizes[:, None, None]
    result: FloatArray = np.concatenate([flat, np.ones_like(flat[..., :1])], axis=-1) @ view.turns
    return result
