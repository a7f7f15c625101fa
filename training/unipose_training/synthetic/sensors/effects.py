"""Faults that several kinds of depth sensor share."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from unipose_ros.camera import Camera

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class IdealView:
    """What is really there, pixel by pixel, (H, W) each.

    Attributes:
        depth: meters, 0 where there is nothing.
        reflectance: share of the infrared light that the surface throws back, in [0, 1].
        cosine: of the angle between the surface's normal and the viewing ray, in [0, 1].
        camera: intrinsics.
    """

    depth: Image
    reflectance: Image
    cosine: Image
    camera: Camera


def white(shape: tuple[int, ...], rng: np.random.Generator) -> Image:
    """Gaussian noise of unit variance."""
    return rng.standard_normal(shape, np.float32)


def smooth_noise(shape: tuple[int, int], size: float, rng: np.random.Generator) -> Image:
    """Gaussian noise of unit variance whose features are about ``size`` pixels large.

    Drawn on a coarse grid and enlarged: the cost does not grow with the size.
    """
    step = max(1, int(size))
    coarse = white((shape[0] // step + 3, shape[1] // step + 3), rng)
    smooth = cv2.GaussianBlur(coarse, (0, 0), 0.8)
    fine = cv2.resize(smooth, (smooth.shape[1] * step, smooth.shape[0] * step), interpolation=cv2.INTER_LINEAR)
    cut = fine[: shape[0], : shape[1]]
    return np.asarray(cut / cut.std(), np.float32)


def at_random(shape: tuple[int, int], share: float, size: float, rng: np.random.Generator) -> Mask:
    """Patches of about ``size`` pixels that cover a share of the image."""
    noise = white(shape, rng) if size <= 1 else smooth_noise(shape, size, rng)
    return np.asarray(noise < ndtri(share))


def hidden_from(depth: Image, camera: Camera, baseline: float) -> Mask:
    """Pixels whose line from a second eye passes behind something nearer.

    Column u is seen from an eye that stands ``b`` to the right at ``u - f b / z``. A surface that
    is not hidden keeps the order of the columns; one that falls back behind a column to its
    right is covered by it. So an eye to the right loses what is on the left of people.

    Args:
        baseline: meters to the second eye, positive to the right.
    """
    if baseline < 0:
        return hidden_from(np.ascontiguousarray(depth[:, ::-1]), camera, -baseline)[:, ::-1]
    disparity = camera.fx * baseline / np.where(depth > 0, depth, np.float32(np.inf))
    column = np.arange(depth.shape[1], dtype=np.float32) - disparity
    from_the_right = np.minimum.accumulate(column[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(column > from_the_right + 0.5)


def jumps(depth: Image, width: int = 3, relative: float = 0.04) -> Mask:
    """Pixels beside a jump in depth: within ``width`` pixels it changes by more than that share."""
    kernel = np.ones((width, width), np.uint8)
    # Nothing counts as far away, so that the border of nothing is a jump.
    filled = np.where(depth > 0, depth, np.float32(20.0))
    return np.asarray(cv2.dilate(filled, kernel) - cv2.erode(filled, kernel) > relative * filled)


def displaced(depth: Image, sideways: Image, down: Image) -> Image:
    """Each pixel reads what lies (``sideways``, ``down``) pixels from it; nearest pixel, no mixing."""
    rows, columns = depth.shape
    v, u = np.indices(depth.shape, dtype=np.float32)
    return cv2.remap(
        depth, np.clip(u + sideways, 0, columns - 1), np.clip(v + down, 0, rows - 1), cv2.INTER_NEAREST
    ).astype(np.float32, copy=False)


def returned_light(view: IdealView, cone: float = np.inf) -> Image:
    """Light that comes back: 1 from a white surface at 1 m that faces the camera.

    Lambert's law, the inverse square of the distance, and the fall towards the image's corners.

    Args:
        cone: tangent of the angle off the axis beyond which the lamp hardly reaches.
    """
    camera = view.camera
    x = (np.arange(camera.width, dtype=np.float32) - camera.cx) / camera.fx
    y = (np.arange(camera.height, dtype=np.float32) - camera.cy) / camera.fy
    tangent2 = x[None] ** 2 + y[:, None] ** 2
    lamp = np.exp(-((tangent2 / cone**2) ** 4)) / (1 + tangent2) ** 2
    distance = np.maximum(view.depth, 0.1)
    light = view.reflectance * view.cosine * lamp.astype(np.float32) / distance**2
    return np.asarray(np.where(view.depth > 0, light, 0), np.float32)


def margins(shape: tuple[int, int], share: tuple[float, float, float, float], rng: np.random.Generator) -> Mask:
    """Strips at the left, top, right and bottom that the other camera does not see, ragged by a pixel.

    Args:
        share: widths of the strips as shares of the image's width or height.
    """
    rows, columns = shape
    v, u = np.indices(shape)
    u = u + np.rint(0.5 * smooth_noise((rows, 1), 6.0, rng)).astype(int)
    v = v + np.rint(0.5 * smooth_noise((1, columns), 6.0, rng)).astype(int)
    left, top, right, bottom = share
    return np.asarray(
        (u < left * columns) | (v < top * rows) | (u >= (1 - right) * columns) | (v >= (1 - bottom) * rows)
    )


def within(depth: Image, lost: Mask, nearest: float, farthest: float) -> Image:
    """Measured depth with 0 where it is lost or out of range."""
    return np.where(lost | (depth < nearest) | (depth > farthest), 0, depth).astype(np.float32)
