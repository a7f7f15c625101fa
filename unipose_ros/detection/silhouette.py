"""Whether a cluster of points has a person's shape: its size, and shoulders below a narrower head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

FloatArray = NDArray[np.float64]

#: Meters of one column or row of a silhouette.
_CELL = 0.05
#: A head stands out by so much, is so far from the next and so wide, in meters.
_STANDS_OUT, _HEADS_APART, _HEAD_WIDTH = 0.12, 0.35, 0.10
#: A person stands out by this many meters; the pixels beside a silhouette that are compared.
_IN_FRONT, _BESIDE = 0.08, (1, 2)
#: Less of the rectangle around a silhouette than this is filled by scattered readings only.
_LEAST_FILLED = 0.12
#: What lies within this many meters of a plane is flat, and what a flat cluster's score is multiplied with.
_FLAT, _FLAT_WEIGHT = 0.012, 0.15
#: What counts for shoulders that cannot be evaluated.
_UNKNOWN = 0.4
#: What is taken for the head and for the shoulders: meters below the top.
_HEAD_ROWS, _SHOULDER_ROWS = (0.02, 0.2), (0.3, 0.55)


@dataclass(frozen=True)
class SilhouetteLimits:
    """Sizes of a visible person in meters.

    Attributes:
        heights, widths: least and greatest.
        depth: greatest extent along the view.
        area: least visible surface in square meters.

    Raises:
        ValueError: a limit is not positive.
    """

    heights: tuple[float, float] = (0.4, 2.2)
    widths: tuple[float, float] = (0.18, 1.5)
    depth: float = 1.3
    area: float = 0.08

    def __post_init__(self) -> None:
        for name, value in (("heights", min(self.heights)), ("widths", min(self.widths)), ("depth", self.depth)):
            if not value > 0:
                raise ValueError(f"clusters.limits.{name}: must be positive")


def split_at_heads(across: FloatArray, height: FloatArray) -> list[NDArray[np.intp]]:
    """Indices of the points under each head of a cluster.

    Args:
        across, height: (P,) meters to the right and up.
    """
    column = np.floor((across - across.min()) / _CELL).astype(np.intp)
    top = np.full(column.max() + 1, height.min())
    np.maximum.at(top, column, height)
    # The ends fall off, else a head at an end is no peak.
    padded = np.concatenate([[height.min() - 1], top, [height.min() - 1]])
    peaks, _ = find_peaks(
        padded, prominence=_STANDS_OUT, distance=_HEADS_APART / _CELL, width=_HEAD_WIDTH / _CELL, rel_height=0.5
    )
    if len(peaks) < 2:
        return [np.arange(len(across))]
    nearest = np.abs(column[:, None] - (peaks - 1)).argmin(axis=1)
    return [np.flatnonzero(nearest == peak) for peak in range(len(peaks))]


def silhouette_score(
    across: FloatArray, height: FloatArray, depth: FloatArray, area: float, headless: bool, limits: SilhouetteLimits
) -> float:
    """How much of a person a cluster is, in [0, 1]; 0 when its size forbids it.

    Args:
        across, height, depth: (P,) meters to the right, up, and along the view.
        area: square meters of visible surface.
        headless: the image ends above: there may be no head to be seen.
    """
    tall, wide = _extent(height), _extent(across)
    fits = limits.heights[0] <= tall <= limits.heights[1] and limits.widths[0] <= wide <= limits.widths[1]
    if not fits or _extent(depth) > limits.depth or area < max(limits.area, _LEAST_FILLED * tall * wide):
        return 0.0
    upright = np.clip((tall / wide - 0.6) / 0.9, 0.1, 1)
    shoulders = _UNKNOWN if headless else _shoulders(across, height)
    score = 0.6 * upright * shoulders * _plain_size(tall, wide)
    return float(score * (_FLAT_WEIGHT if _is_flat(across, height, depth) else 1))


def _is_flat(across: FloatArray, height: FloatArray, depth: FloatArray) -> bool:
    """Do most points lie on one plane, as those of a door do, within the noise of their depth?"""
    sides = np.stack([across, height, np.ones_like(across)], axis=1)
    plane = np.linalg.lstsq(sides, depth, rcond=None)[0]
    off = np.abs(depth - sides @ plane)
    return bool(np.percentile(off, 80) < _FLAT + 0.0012 * np.median(depth) ** 2)


def free_share(depth: NDArray[np.float32], pixels: NDArray[np.intp]) -> float:
    """How much of a cluster's left and right edge has something farther beside it, in [0, 1].

    People stand in front of what is beside them; a piece of wall goes on there. Edges beside which
    nothing was read say nothing, nor do those of something nearer, which hides the person's own edge.

    Args:
        depth: (H, W) meters, 0 without reading.
        pixels: (P, 2) u, v of the cluster.
    """
    columns, rows = pixels.T
    own = depth[rows, columns]
    free = bad = 0
    for side in (-1, 1):
        order = np.lexsort((side * columns, rows))
        last = order[np.append(np.diff(rows[order]) != 0, True)]  # outermost of each row
        for step in _BESIDE:
            beside = columns[last] + side * step
            inside = (beside >= 0) & (beside < depth.shape[1])
            found = depth[rows[last], np.where(inside, beside, 0)]
            known = inside & (found > 0)
            apart = np.where(known, found - own[last], -np.inf)
            free, bad = free + int((apart > _IN_FRONT).sum()), bad + int((np.abs(apart) <= _IN_FRONT).sum())
    return free / (free + bad) if free + bad else 1.0


def _plain_size(tall: float, wide: float) -> float:
    """1 for the size of most people who are seen whole or to the hips, less for others."""
    return float(np.clip((tall - 0.3) / 0.5, 0.3, 1) * np.clip((1.7 - wide) / 0.7, 0.3, 1))


def _shoulders(across: FloatArray, height: FloatArray) -> float:
    """1 when the top is as narrow as a head and what is below as wide as shoulders; furniture is not."""
    below = height.max() - height
    head = _extent(across[(below > _HEAD_ROWS[0]) & (below < _HEAD_ROWS[1])])
    shoulders = _extent(across[(below > _SHOULDER_ROWS[0]) & (below < _SHOULDER_ROWS[1])])
    if head == 0 or shoulders == 0:
        return _UNKNOWN
    narrow = np.clip((0.45 - head) / 0.15, 0.2, 1)
    wider = np.clip((shoulders / head - 0.8) / 0.5, 0.3, 1)
    return float(narrow * wider)


def _extent(values: FloatArray) -> float:
    """Meters between the ends, without the outermost few points; 0 for less than three."""
    if len(values) < 3:
        return 0.0
    # As np.percentile does, in half of the time: it is asked for a dozen times a cluster.
    low, high = np.interp(np.array([0.02, 0.98]) * (len(values) - 1), np.arange(len(values)), np.sort(values))
    return float(high - low)
