"""What the people maps should show for a view, and where nothing is asked."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unipose_ros.networks.finder import STRIDE
from unipose_training.people.placing import View

FloatArray = NDArray[np.float32]
#: Metres around a trunk's centre in which heat falls off, and its least and greatest extent in cells.
_SPREAD, _LEAST, _MOST = 0.08, 0.7, 3.0
#: Cells of more heat than this also say box and distance.
_ANSWERING = 0.4


class MapTargets(NamedTuple):
    """Targets of one view, cells (h, w) of stride 4.

    Attributes:
        heat: (h, w) in [0, 1]; 1 in the cell of a trunk's centre, falling off around it.
        asked: (h, w) 1 where the heat is taught, 0 in doubt.
        sides: (4, h, w) metres from the cell's centre to the sides of the box.
        log_distances: (h, w) log metres.
        answering: (h, w) weight of sides and distance, 0 away from people.
    """

    heat: FloatArray
    asked: FloatArray
    sides: FloatArray
    log_distances: FloatArray
    answering: FloatArray


def draw_targets(view: View, focal: float) -> MapTargets:
    """Targets for a view.

    Args:
        focal: focal length of the window in pixels.
    """
    height, width = (side // STRIDE for side in view.image.shape[1:])
    columns, rows = (np.arange(count) * STRIDE + (STRIDE - 1) / 2 for count in (width, height))
    heat, answering, log_distances = (np.zeros((height, width), np.float32) for _ in range(3))
    sides, asked = np.zeros((4, height, width), np.float32), np.ones((height, width), np.float32)
    for left, top, right, bottom in view.doubts:
        asked[np.ix_((rows > top) & (rows < bottom), (columns > left) & (columns < right))] = 0
    for person in range(len(view.boxes)):
        distance = view.distances[person]
        bump = _bump(columns, rows, view.centres[person], focal * _SPREAD / distance / STRIDE)
        own = (bump > _ANSWERING) & (bump > answering)
        log_distances[own], answering[own] = np.log(distance), bump[own]
        sides[:, own] = _sides(columns, rows, view.boxes[person], float(distance) / focal)[:, own]
        heat = np.maximum(heat, bump)
    asked[heat > _ANSWERING] = 1
    return MapTargets(heat, asked, sides, log_distances, answering)


def _bump(columns: NDArray[np.float64], rows: NDArray[np.float64], centre: FloatArray, spread: float) -> FloatArray:
    """(h, w) a Gaussian that is 1 in the centre's own cell."""
    cell = (np.rint((centre - (STRIDE - 1) / 2) / STRIDE)).clip(0, [len(columns) - 1, len(rows) - 1]).astype(int)
    sigma = STRIDE * float(np.clip(spread, _LEAST, _MOST))
    across, down = columns - columns[cell[0]], rows - rows[cell[1]]
    return np.asarray(np.exp(-(across[None] ** 2 + down[:, None] ** 2) / (2 * sigma**2)), np.float32)


def _sides(columns: NDArray[np.float64], rows: NDArray[np.float64], box: FloatArray, metres: float) -> FloatArray:
    """(4, h, w) metres from each cell to the box's left, upper, right and lower side."""
    across, down = np.meshgrid(columns, rows)
    sides = np.stack([across - box[0], down - box[1], box[2] - across, box[3] - down])
    return np.asarray(metres * sides, np.float32)
