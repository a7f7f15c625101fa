"""Scenes seen from elsewhere: turned, mirrored, nearer or farther, and put into the network's window."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_training.people.scenes import Scene

FloatArray = NDArray[np.float32]
#: COCO-17 keypoints of shoulders and hips.
_TRUNK = [5, 6, 11, 12]
#: Whoever has fewer keypoints in the window is neither person nor scenery there: a face alone has five.
_LEAST_KEYPOINTS = 6


@dataclass(frozen=True, eq=False)
class View:
    """What the network sees, and who is there; pixels of the window.

    Attributes:
        image: (2, h, w) float32 metres, 0 without reading, and the part of the pixel with readings.
        centres: (N, 2) float32 u, v of the trunks' centres, as the 2D network has them also where they
            are hidden; within the boxes, also where the trunk is cut by the window's border.
        boxes: (N, 4) float32 u0, v0, u1, v1 around the keypoints seen.
        distances: (N,) float32 metres.
        doubts: (M, 4) float32 boxes in which nothing is taught.
    """

    image: FloatArray
    centres: FloatArray
    boxes: FloatArray
    distances: FloatArray
    doubts: FloatArray


@dataclass(frozen=True)
class Placing:
    """Where a scene lands in the window.

    Attributes:
        zoom: pixels of the window per pixel of the scene at equal focal lengths. The scene is also
            brought so much nearer, so that lengths across the view stay; depths within it shrink alike.
        turn: radians about the optical axis.
        mirror: left becomes right.
        source, target: (u, v) in the scene that lands at (u, v) in the window.
    """

    zoom: float
    turn: float
    mirror: bool
    source: tuple[float, float]
    target: tuple[float, float]


def draw_placing(scene: Scene, size: tuple[int, int], rng: np.random.Generator) -> Placing:
    """A random placing; mostly one of the people lands in the window.

    Args:
        size: width and height of the window.
    """
    height, width = scene.depth.shape
    source = rng.uniform(0, 1, 2) * [width, height]
    if len(scene) and rng.random() < 0.8:
        source = scene.pixels[rng.integers(len(scene)), _TRUNK].mean(axis=0)
    target = rng.uniform(0.1, 0.9, 2) * size
    # Recordings show few people within two metres; a robot meets many there.
    zoom = float(np.exp(rng.uniform(np.log(0.6), np.log(2.5))))
    turn = float(np.deg2rad(rng.normal(0, 5)))
    u, v = (float(value) for value in source)
    return Placing(zoom, turn, bool(rng.random() < 0.5), (u, v), (float(target[0]), float(target[1])))


def place(scene: Scene, placing: Placing, ratio: float, size: tuple[int, int]) -> View:
    """Put a scene into the window.

    Args:
        ratio: the window's focal length by the scene's.
        size: width and height of the window.
    """
    matrix = _matrix(placing, ratio)
    part = _warp(scene.part.astype(np.float32) / np.float32(255), matrix, size)
    valid = (scene.part > 0).astype(np.float32)
    total, covered = _warp(scene.depth * valid, matrix, size), _warp(valid, matrix, size)
    depth = np.where(part > 0.02, total / np.maximum(covered, 1e-3) / placing.zoom, 0)
    image = np.stack([depth, np.where(part > 0.02, part, 0)]).astype(np.float32)
    return _label(scene, matrix, image, placing.zoom)


def _label(scene: Scene, matrix: NDArray[np.float64], image: FloatArray, zoom: float) -> View:
    """Who is in the window, as if the 2D network had seen no more of the scene."""
    pixels = _moved(scene.pixels, matrix)
    size = np.array(image.shape[:0:-1])
    seen = scene.seen & ((pixels >= 0) & (pixels <= size - 1)).all(axis=2)
    there = seen.sum(axis=1) >= _LEAST_KEYPOINTS
    boxes = _bounds(pixels[there], seen[there])
    corners = _moved(_corners(scene.doubts), matrix)
    doubts = _bounds(corners, np.ones(corners.shape[:2], np.bool_))
    return View(
        image=image,
        centres=np.clip(pixels[there][:, _TRUNK].mean(axis=1), boxes[:, :2], boxes[:, 2:]),
        boxes=boxes,
        distances=scene.distances[there] / np.float32(zoom),
        doubts=np.concatenate([doubts, _bounds(pixels[~there], scene.seen[~there])]),
    )


def _matrix(placing: Placing, ratio: float) -> NDArray[np.float64]:
    """(2, 3) pixels of the scene -> pixels of the window."""
    scale, turn = placing.zoom * ratio, placing.turn
    turned = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if placing.mirror:
        turned[:, 0] *= -1
    return np.concatenate([turned, (np.array(placing.target) - turned @ placing.source)[:, None]], axis=1)


def _warp(image: FloatArray, matrix: NDArray[np.float64], size: tuple[int, int]) -> FloatArray:
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR), np.float32)


def _moved(pixels: FloatArray, matrix: NDArray[np.float64]) -> FloatArray:
    return np.asarray(pixels @ matrix[:, :2].T + matrix[:, 2], np.float32)


def _corners(boxes: FloatArray) -> FloatArray:
    """(M, 4) -> (M, 4, 2) corners."""
    return boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)


def _bounds(pixels: FloatArray, seen: NDArray[np.bool_]) -> FloatArray:
    """(N, K, 2) pixels -> (N, 4) boxes around those that are seen."""
    low = np.where(seen[..., None], pixels, np.inf).min(axis=1)
    high = np.where(seen[..., None], pixels, -np.inf).max(axis=1)
    return np.concatenate([low, high], axis=1).astype(np.float32)
