"""Where labels of people go so that no two lie on each other: in an image, and above heads in the scene.

Both rules are greedy: labels keep the order that they come in, and one that would lie on an earlier one is raised to
just above it. With people in the order of their ids labels stay where they are from frame to frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Share of a label's height that stays free between two.
_GAP = 0.15
#: Steps, in heights of a label, by which it is raised as seen from the camera, and at most how many.
_STEP, _MOST_STEPS = 0.25, 60


@dataclass(frozen=True)
class Box:
    """Left upper corner and size, pixels."""

    x: float
    y: float
    width: float
    height: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two have points in common."""
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


def place_boxes(boxes: Sequence[Box], height: float) -> list[Box]:
    """Labels of an image, moved up, or down where the image ends, until they are apart.

    Args:
        boxes: where they would be without the others.
        height: of the image, pixels. Where it is full, labels lie outside of it rather than on each other.
    """
    placed: list[Box] = []
    for box in boxes:
        above = _moved(box, placed, -1)
        placed.append(above if above.y >= 0 else _moved(box, placed, 1))
        if placed[-1].y + box.height > height:
            placed[-1] = above
    return placed


def _moved(box: Box, placed: Sequence[Box], direction: int) -> Box:
    """As far up (-1) or down (1) as it must; each step passes one of the placed boxes for good."""
    while hit := [other for other in placed if box.overlaps(other)]:
        gap = _GAP * box.height
        if direction < 0:
            y = min(other.y for other in hit) - box.height - gap
        else:
            y = max(other.y + other.height for other in hit) + gap
        box = Box(box.x, y, box.width, box.height)
    return box


def raise_labels(
    anchors: NDArray[np.floating], up: NDArray[np.floating], width: float, height: float
) -> NDArray[np.float64]:
    """(N, 3) places of labels that face the viewer -> the same, raised until they are apart.

    Apart are two that lie on each other neither for who looks at them levelly from near, from any side, nor from the
    origin of the frame, where the camera or the robot is.

    Args:
        anchors: (N, 3) meters, middles of the labels.
        up: (3,) unit vector away from the ground.
        width, height: of a label, meters.
    """
    placed: list[NDArray[np.float64]] = []
    for anchor in np.asarray(anchors, np.float64):
        for step in range(_MOST_STEPS):
            place = anchor + step * _STEP * height * np.asarray(up, np.float64)
            if not any(_collide(place, other, up, width, height) for other in placed):
                break
        placed.append(place)
    return np.array(placed).reshape(-1, 3)


def _collide(
    first: NDArray[np.float64], second: NDArray[np.float64], up: NDArray[np.floating], width: float, height: float
) -> bool:
    needed = (1 + _GAP) * height
    between = first - second
    rise = float(between @ up)
    if abs(rise) < needed and np.linalg.norm(between - rise * up) < width:
        return True
    # As the origin sees them: angles to the side, and slopes.
    (flat, slope, far), (other_flat, other_slope, other_far) = (_seen(place, up) for place in (first, second))
    if min(far, other_far) < width:
        return False
    cosine = float(np.clip(flat @ other_flat, -1, 1))
    aside, level = float(np.arccos(cosine)), abs(slope - other_slope)
    return aside < width / 2 * (1 / far + 1 / other_far) and level < needed / 2 * (1 / far + 1 / other_far)


def _seen(place: NDArray[np.float64], up: NDArray[np.floating]) -> tuple[NDArray[np.float64], float, float]:
    """Level direction, slope and level distance."""
    rise = float(place @ up)
    flat = place - rise * up
    far = max(float(np.linalg.norm(flat)), 1e-9)
    return flat / far, rise / far, far
