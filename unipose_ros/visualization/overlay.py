"""Skeletons and 2D keypoints over the color (or depth) image they were found in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons, color_index
from unipose_ros.joint_sets import JointSet
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.visualization.labels import Box, place_boxes

# Bones and joints on an image: one look for the debug topic, the demo and the reports.


Image = NDArray[np.uint8]
Color = tuple[int, int, int]

#: Distinguishable on dark and light ground, also for most color-blind people (after Okabe and Ito, 2008).
PEOPLE_COLORS: tuple[Color, ...] = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167),
)  # fmt: skip

_DARK = (20, 20, 24)
_WHITE = (255, 255, 255)
#: cv2 draws at 1/16 pixel with this many fractional bits; without it slow motion looks like jumping.
_SHIFT = 4
#: Scale of the letters for each pixel of a bone's thickness, and pixels between them and their box.
_LETTERS, _MARGIN = 0.17, 4


def drawn_text(text: str) -> str:
    """Text as OpenCV draws it: it knows ASCII alone, and dies of names of files that are no UTF-8."""
    return text.encode("ascii", "replace").decode()


@dataclass(frozen=True)
class Figure:
    """One person as it is drawn.

    Attributes:
        pixels: (J, 2) image points; NaN is not drawn.
        status: (J,) of :class:`JointStatus`; an INFERRED joint is drawn hollow, its bones thin.
        color: RGB of the bones.
        label: text above the head; empty for none.
    """

    pixels: NDArray[np.floating]
    status: NDArray[np.uint8]
    color: Color
    label: str = ""


def person_color(person_id: str) -> Color:
    """The same color for the same id in every frame and every image; up to six tracked people differ."""
    return PEOPLE_COLORS[color_index(person_id)]


def draw_figures(image: Image, figures: Sequence[Figure], joint_set: JointSet, thickness: int = 3) -> None:
    """Draw people onto an RGB image, in place; labels lie on top, and none on another."""
    for figure in figures:
        draw_figure(image, figure, joint_set, thickness)
    labeled = [figure for figure in figures if figure.label and np.isfinite(figure.pixels).any()]
    boxes = place_boxes([_label_box(image, figure, thickness) for figure in labeled], image.shape[0])
    for figure, box in zip(labeled, boxes, strict=True):
        _draw_label(image, figure, box, thickness)


def draw_figure(image: Image, figure: Figure, joint_set: JointSet, thickness: int = 3) -> None:
    """Draw one person, without the label, onto an RGB image, in place."""
    for bone in joint_set.bones:
        ends = figure.pixels[[bone.parent, bone.child]]
        if np.isfinite(ends).all():
            seen = (figure.status[[bone.parent, bone.child]] == JointStatus.MEASURED).all()
            _draw_bone(image, ends, figure.color, thickness if seen else max(1, thickness // 2))
    for pixel, status, color in zip(figure.pixels, figure.status, joint_set.colors.tolist(), strict=True):
        if np.isfinite(pixel).all():
            _draw_joint(image, pixel, tuple(color), status == JointStatus.MEASURED, thickness)


def _fixed_point(pixel: NDArray[np.floating]) -> tuple[int, int]:
    # Far outside the image cv2's fixed point would overflow its 32 bits.
    clipped = np.clip(pixel, -10_000, 10_000)
    u, v = np.rint(clipped * 2**_SHIFT).astype(int).tolist()
    return u, v


def _draw_bone(image: Image, ends: NDArray[np.floating], color: Color, thickness: int) -> None:
    start, end = _fixed_point(ends[0]), _fixed_point(ends[1])
    cv2.line(image, start, end, _DARK, thickness + 2, cv2.LINE_AA, _SHIFT)
    cv2.line(image, start, end, color, thickness, cv2.LINE_AA, _SHIFT)


def _draw_joint(image: Image, pixel: NDArray[np.floating], color: Color, filled: bool, thickness: int) -> None:
    center, radius = _fixed_point(pixel), (thickness + 1) * 2**_SHIFT
    cv2.circle(image, center, radius + 2**_SHIFT, _DARK, -1, cv2.LINE_AA, _SHIFT)
    cv2.circle(image, center, radius, color if filled else _WHITE, -1 if filled else 2, cv2.LINE_AA, _SHIFT)


def _label_box(image: Image, figure: Figure, thickness: int) -> Box:
    """Above the head, within the image."""
    (width, height), baseline = _text_size(figure.label, thickness)
    drawn = figure.pixels[np.isfinite(figure.pixels).all(axis=1)]
    top = drawn[np.argmin(drawn[:, 1])]
    x = int(np.clip(top[0] - width / 2, 2, max(2, image.shape[1] - width - 2)))
    # The top joint is the middle of the head: clear the crown, which is about a tenth of the body higher.
    rise = max(8 * thickness, 0.11 * float(np.ptp(drawn[:, 1])))
    y = int(np.clip(top[1] - rise, height + 4, image.shape[0] - 4))
    return Box(x - _MARGIN, y - height - _MARGIN, width + 2 * _MARGIN, height + _MARGIN + baseline)


def _draw_label(image: Image, figure: Figure, box: Box, thickness: int) -> None:
    (_, height), _ = _text_size(figure.label, thickness)
    corner = int(box.x), int(box.y)
    opposite = corner[0] + int(box.width), corner[1] + int(box.height)
    cv2.rectangle(image, corner, opposite, _DARK, -1)
    cv2.rectangle(image, corner, opposite, figure.color, 1)
    start = corner[0] + _MARGIN, corner[1] + _MARGIN + height
    scale = _LETTERS * thickness
    cv2.putText(image, drawn_text(figure.label), start, cv2.FONT_HERSHEY_SIMPLEX, scale, _WHITE, 1, cv2.LINE_AA)


def _text_size(text: str, thickness: int) -> tuple[tuple[int, int], int]:
    """Width and height above the line, and the height below it."""
    size, baseline = cv2.getTextSize(drawn_text(text), cv2.FONT_HERSHEY_SIMPLEX, _LETTERS * thickness, 1)
    return (int(size[0]), int(size[1])), int(baseline)


#: A keypoint less certain than this is not drawn.
KEYPOINT_THRESHOLD = 0.2
#: Depth images span this range, meters; people are rarely tracked outside it.
DEPTH_RANGE = (0.5, 6.0)


def background(frame: RgbdFrame) -> Image:
    """A writable RGB image of the frame: its color, else its depth in false color (near is bright)."""
    if frame.color is not None:
        return frame.color.copy()
    assert frame.depth is not None  # a frame has one or the other
    return colorize_depth(frame.depth)


def colorize_depth(depth: NDArray[np.float32], limits: tuple[float, float] = DEPTH_RANGE) -> Image:
    """(H, W) meters -> (H, W, 3) RGB false color; no reading is black."""
    near, far = limits
    valid = np.isfinite(depth) & (depth > 0)
    level = np.clip((far - np.where(valid, depth, far)) / (far - near), 0, 1)
    image = cv2.cvtColor(cv2.applyColorMap((level * 255).astype(np.uint8), cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    image[~valid] = 0
    return np.asarray(image, np.uint8)


def by_id(skeletons: Skeletons) -> list[int]:
    """All people in the order of their ids, in which labels keep their places."""
    return sorted(skeletons, key=lambda person: skeletons.ids[person])


def draw_skeletons(image: Image, skeletons: Skeletons, camera: Camera, thickness: int = 3) -> Image:
    """Project people into the image and draw them, in place.

    Args:
        image: (h, w, 3) RGB; may be the camera's image resized.

    Returns:
        The same image.
    """
    seen_by = camera.scaled(image.shape[1], image.shape[0])
    figures = [
        Figure(
            pixels=project(seen_by, skeletons.positions[person]),
            status=skeletons.status[person],
            color=person_color(skeletons.ids[person]),
            label=skeletons.ids[person],
        )
        for person in by_id(skeletons)
    ]
    draw_figures(image, figures, skeletons.joint_set, thickness)
    return image


def draw_keypoints(image: Image, keypoints: Keypoints2D, thickness: int = 1) -> Image:
    """Draw what the 2D network detected, thin and white, in place; returns the same image."""
    for pixels, confidences in zip(keypoints.pixels, keypoints.confidences, strict=True):
        shown = np.where((confidences >= KEYPOINT_THRESHOLD)[:, None], pixels, np.nan)
        status = np.full(len(pixels), JointStatus.INFERRED, np.uint8)
        draw_figure(image, Figure(shown, status, (255, 255, 255)), keypoints.joint_set, thickness)
    return image
