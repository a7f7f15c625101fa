"""Where labels of people go so that no two lie on each other: in an image, and above heads in the scene.

Both rules are greedy: labels keep the order that they come in, and one that would lie on an earlier one is raised to
just above it. With people in the order of their ids labels stay where they are from frame to frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
    # Few numbers each, for which Python is ten times as fast as NumPy.
    placed: list[_Label] = []
    upward = [float(share) for share in up]
    for anchor in np.asarray(anchors, np.float64).tolist():
        for step in range(_MOST_STEPS):
            raised = step * _STEP * height
            label = _label([place + raised * share for place, share in zip(anchor, upward, strict=True)], upward)
            if not any(_collide(label, other, width, height) for other in placed):
                break
        placed.append(label)
    return np.array([label.place for label in placed]).reshape(-1, 3)


class _Label(NamedTuple):
    """A label's place (3,); how high that is, the part of it that is level (3,), and the level distance; meters."""

    place: list[float]
    rise: float
    level: list[float]
    far: float


def _label(place: list[float], up: list[float]) -> _Label:
    rise = _dot(place, up)
    level = [along - rise * share for along, share in zip(place, up, strict=True)]
    return _Label(place, rise, level, max(math.hypot(*level), 1e-9))


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _collide(first: _Label, second: _Label, width: float, height: float) -> bool:
    needed = (1 + _GAP) * height
    if abs(first.rise - second.rise) < needed and math.dist(first.level, second.level) < width:
        return True
    # As the origin sees them: angles to the side, and slopes.
    if min(first.far, second.far) < width:
        return False
    size = 1 / first.far + 1 / second.far
    if abs(first.rise / first.far - second.rise / second.far) >= needed / 2 * size:
        return False
    cosine = _dot(first.level, second.level) / (first.far * second.far)
    return math.acos(max(-1.0, min(1.0, cosine))) < width / 2 * size
