"""Bones and joints on an image: one look for the debug topic, the demo and the reports."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import JointStatus
from unipose_ros.skeletons import JointSet

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

#: Distinguishable on dark and light ground, also for most colour-blind people (after Okabe and Ito, 2008).
PEOPLE_COLOURS: tuple[Colour, ...] = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167),
)  # fmt: skip

_DARK = (20, 20, 24)
_WHITE = (255, 255, 255)
#: cv2 draws at 1/16 pixel with this many fractional bits; without it slow motion looks like jumping.
_SHIFT = 4


@dataclass(frozen=True)
class Figure:
    """One person as it is drawn.

    Attributes:
        pixels: (J, 2) image points; NaN is not drawn.
        status: (J,) of :class:`JointStatus`; an INFERRED joint is drawn hollow, its bones thin.
        colour: RGB of the bones.
        label: text above the head; empty for none.
    """

    pixels: NDArray[np.floating]
    status: NDArray[np.uint8]
    colour: Colour
    label: str = ""


def person_colour(person_id: str) -> Colour:
    """The same colour for the same id in every frame and every picture."""
    return PEOPLE_COLOURS[sum(person_id.encode()) % len(PEOPLE_COLOURS)]


def draw_figure(image: Image, figure: Figure, joint_set: JointSet, thickness: int = 3) -> None:
    """Draw one person onto an RGB image, in place."""
    for bone in joint_set.bones:
        ends = figure.pixels[[bone.parent, bone.child]]
        if np.isfinite(ends).all():
            seen = (figure.status[[bone.parent, bone.child]] == JointStatus.MEASURED).all()
            _draw_bone(image, ends, figure.colour, thickness if seen else max(1, thickness // 2))
    for pixel, status, colour in zip(figure.pixels, figure.status, joint_set.colours.tolist(), strict=True):
        if np.isfinite(pixel).all():
            _draw_joint(image, pixel, tuple(colour), status == JointStatus.MEASURED, thickness)
    if figure.label and np.isfinite(figure.pixels).any():
        _draw_label(image, figure, thickness)


def _fixed_point(pixel: NDArray[np.floating]) -> tuple[int, int]:
    # Far outside the image cv2's fixed point would overflow its 32 bits.
    clipped = np.clip(pixel, -10_000, 10_000)
    u, v = np.rint(clipped * 2**_SHIFT).astype(int).tolist()
    return u, v


def _draw_bone(image: Image, ends: NDArray[np.floating], colour: Colour, thickness: int) -> None:
    start, end = _fixed_point(ends[0]), _fixed_point(ends[1])
    cv2.line(image, start, end, _DARK, thickness + 2, cv2.LINE_AA, _SHIFT)
    cv2.line(image, start, end, colour, thickness, cv2.LINE_AA, _SHIFT)


def _draw_joint(image: Image, pixel: NDArray[np.floating], colour: Colour, filled: bool, thickness: int) -> None:
    centre, radius = _fixed_point(pixel), (thickness + 1) * 2**_SHIFT
    cv2.circle(image, centre, radius + 2**_SHIFT, _DARK, -1, cv2.LINE_AA, _SHIFT)
    cv2.circle(image, centre, radius, colour if filled else _WHITE, -1 if filled else 2, cv2.LINE_AA, _SHIFT)


def _draw_label(image: Image, figure: Figure, thickness: int) -> None:
    scale = 0.17 * thickness
    (width, height), baseline = cv2.getTextSize(figure.label, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    drawn = figure.pixels[np.isfinite(figure.pixels).all(axis=1)]
    top = drawn[np.argmin(drawn[:, 1])]
    x = int(np.clip(top[0] - width / 2, 2, max(2, image.shape[1] - width - 2)))
    # The top joint is the middle of the head: clear the crown, which is about a tenth of the body higher.
    rise = max(8 * thickness, 0.11 * float(np.ptp(drawn[:, 1])))
    y = int(np.clip(top[1] - rise, height + 4, image.shape[0] - 4))
    corner, opposite = (x - 4, y - height - 4), (x + width + 4, y + baseline)
    cv2.rectangle(image, corner, opposite, _DARK, -1)
    cv2.rectangle(image, corner, opposite, figure.colour, 1)
    cv2.putText(image, figure.label, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, _WHITE, 1, cv2.LINE_AA)
