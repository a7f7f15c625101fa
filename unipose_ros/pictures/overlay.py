"""Skeletons and 2D keypoints over the colour (or depth) image they were found in."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.pictures.drawing import Figure, Image, draw_figure, person_colour

#: A keypoint less certain than this is not drawn.
KEYPOINT_THRESHOLD = 0.2
#: Depth pictures span this range, metres; people are rarely tracked outside it.
DEPTH_RANGE = (0.5, 6.0)


def background(frame: RgbdFrame) -> Image:
    """A writable RGB picture of the frame: its colour, else its depth in false colour (near is bright)."""
    if frame.colour is not None:
        return frame.colour.copy()
    assert frame.depth is not None  # a frame has one or the other
    return depth_picture(frame.depth)


def depth_picture(depth: NDArray[np.float32], limits: tuple[float, float] = DEPTH_RANGE) -> Image:
    """(H, W) metres -> (H, W, 3) RGB false colour; no reading is black."""
    near, far = limits
    valid = np.isfinite(depth) & (depth > 0)
    level = np.clip((far - np.where(valid, depth, far)) / (far - near), 0, 1)
    picture = cv2.cvtColor(cv2.applyColorMap((level * 255).astype(np.uint8), cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    picture[~valid] = 0
    return np.asarray(picture, np.uint8)


def draw_skeletons(image: Image, skeletons: Skeletons, camera: Camera, thickness: int = 3) -> Image:
    """Project people into the image and draw them, in place.

    Args:
        image: (h, w, 3) RGB; may be the camera's image resized.

    Returns:
        The same image.
    """
    seen_by = camera.scaled(image.shape[1], image.shape[0])
    for person in skeletons:
        figure = Figure(
            pixels=project(seen_by, skeletons.positions[person]),
            status=skeletons.status[person],
            colour=person_colour(skeletons.ids[person]),
            label=skeletons.ids[person],
        )
        draw_figure(image, figure, skeletons.joint_set, thickness)
    return image


def draw_keypoints(image: Image, keypoints: Keypoints2D, thickness: int = 1) -> Image:
    """Draw what the 2D network saw, thin and white, in place; returns the same image."""
    for pixels, confidences in zip(keypoints.pixels, keypoints.confidences, strict=True):
        shown = np.where((confidences >= KEYPOINT_THRESHOLD)[:, None], pixels, np.nan)
        status = np.full(len(pixels), JointStatus.INFERRED, np.uint8)
        draw_figure(image, Figure(shown, status, (255, 255, 255)), keypoints.joint_set, thickness)
    return image
