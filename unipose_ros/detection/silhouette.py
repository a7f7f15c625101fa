"""Whether a cluster of points has a person's shape: its size, and shoulders below a narrower head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from unipose_ros.compiled import compiled, compiled_part
from unipose_ros.detection.selection import select, select_median

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
#: What is taken for the head, for the shoulders and for the trunk: meters below the top.
_HEAD_ROWS, _SHOULDER_ROWS, _TRUNK_ROWS = (0.02, 0.2), (0.3, 0.55), (0.25, 0.9)


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

    @property
    def numbers(self) -> FloatArray:
        """(6,) least and greatest height and width, depth and area."""
        return np.array([*self.heights, *self.widths, self.depth, self.area])

    def __post_init__(self) -> None:
        for name, value in (("heights", min(self.heights)), ("widths", min(self.widths)), ("depth", self.depth)):
            if not value > 0:
                raise ValueError(f"clusters.limits.{name}: must be positive")


def people_by_numpy(
    pixels: NDArray[np.intp],
    points: FloatArray,
    order: NDArray[np.intp],
    ends: NDArray[np.intp],
    image: NDArray[np.float32],
    limits: FloatArray,
    min_score: float,
) -> FloatArray:
    """As :func:`people_in`."""
    tall, wide, (deep, area) = tuple(limits[:2].tolist()), tuple(limits[2:4].tolist()), limits[4:].tolist()
    sizes = SilhouetteLimits(tall, wide, deep, area)
    found = []
    for cluster in np.split(order, ends)[: len(ends)]:
        across, height = points[0, cluster], points[1, cluster]
        for part in split_at_heads(across, height):
            person = cluster[part]
            own = pixels[person]
            headless = bool(own[:, 1].min() <= 1)
            side, up, away = points[:3, person]
            score = silhouette_score(side, up, away, float(points[3, person].sum()), headless, sizes)
            score *= float(np.clip(2 * free_share(image, own) - 0.2, 0, 1)) if score else 0.0
            if score >= min_score:
                box = np.percentile(own, [2, 98], axis=0).ravel()
                found.append([*box, _trunk_depth(points[1, person], points[2, person]), score])
    return np.array(found, np.float64).reshape(-1, 6)


def _trunk_depth(height: FloatArray, depth: FloatArray) -> float:
    """Depth of what is below the head and above the legs."""
    below = height.max() - height
    trunk = depth[(below > _TRUNK_ROWS[0]) & (below < _TRUNK_ROWS[1])]
    return float(np.median(trunk if trunk.size else depth))


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


# The same in loops: a dozen clusters of a few hundred points each take NumPy thousands of calls.


@compiled_part()
def _heads(across: FloatArray, height: FloatArray) -> tuple[int, NDArray[np.int64]]:
    """As :func:`split_at_heads`: how many heads there are, and (P,) which of them each point is under."""
    low, left = height.min(), across.min()
    columns = np.floor((across - left) / _CELL).astype(np.int64)
    top = np.full(columns.max() + 3, low)
    top[0] = top[-1] = low - 1
    for point in range(len(columns)):
        top[columns[point] + 1] = max(top[columns[point] + 1], height[point])
    peaks = _peaks(top)
    owner = np.zeros(len(columns), np.int64)
    if len(peaks) < 2:
        return 1, owner
    for point in range(len(columns)):
        for peak in range(1, len(peaks)):
            if abs(columns[point] + 1 - peaks[peak]) < abs(columns[point] + 1 - peaks[owner[point]]):
                owner[point] = peak
    return len(peaks), owner


@compiled_part()
def _peaks(top: FloatArray) -> NDArray[np.int64]:
    """As ``scipy.signal.find_peaks``: local maxima, of those too close to each other the highest, which stand out."""
    peaks, count, place = np.empty(len(top), np.int64), 0, 1
    while place < len(top) - 1:
        ahead = place + 1
        if top[place - 1] < top[place]:
            while ahead < len(top) - 1 and top[ahead] == top[place]:
                ahead += 1
            if top[ahead] < top[place]:
                peaks[count] = (place + ahead - 1) // 2
                count += 1
        place = ahead
    apart = int(np.ceil(_HEADS_APART / _CELL))
    kept, done = np.ones(count, np.bool_), np.zeros(count, np.bool_)
    for _ in range(count):
        highest = -1
        for peak in range(count):
            if kept[peak] and not done[peak] and (highest < 0 or top[peaks[peak]] >= top[peaks[highest]]):
                highest = peak
        if highest < 0:
            break
        done[highest] = True
        for peak in range(count):
            if not done[peak] and abs(peaks[peak] - peaks[highest]) < apart:
                kept[peak] = False
    for peak in range(count):
        kept[peak] = kept[peak] and _stands_out(top, peaks[peak])
    return peaks[:count][kept]


@compiled_part()
def _stands_out(top: FloatArray, peak: int) -> bool:
    """Whether prominence and width at half of it are a head's."""
    bases, lowest = np.array([peak, peak]), np.array([top[peak], top[peak]])
    for side in range(2):
        place = peak
        while 0 <= place < len(top) and top[place] <= top[peak]:
            if top[place] < lowest[side]:
                bases[side], lowest[side] = place, top[place]
            place += 2 * side - 1
    prominence = top[peak] - max(lowest[0], lowest[1])
    level, width = top[peak] - prominence * 0.5, 0.0
    for side in range(2):
        step = 2 * side - 1
        place = peak
        while place != bases[side] and level < top[place]:
            place += step
        width += abs(place - peak)
        if top[place] < level:
            width -= (level - top[place]) / (top[place - step] - top[place])
    return bool(prominence >= _STANDS_OUT and width >= _HEAD_WIDTH / _CELL)


@compiled_part()
def _score(
    across: FloatArray, height: FloatArray, depth: FloatArray, area: float, headless: bool, limits: FloatArray
) -> float:
    """As :func:`silhouette_score`."""
    tall, wide = _reach(height), _reach(across)
    fits = limits[0] <= tall <= limits[1] and limits[2] <= wide <= limits[3]
    if not fits or _reach(depth) > limits[4] or area < max(limits[5], _LEAST_FILLED * tall * wide):
        return 0.0
    upright = min(max((tall / wide - 0.6) / 0.9, 0.1), 1.0)
    shoulders = _UNKNOWN
    if not headless:
        head = _reach(across[_rows(height, _HEAD_ROWS[0], _HEAD_ROWS[1])])
        below = _reach(across[_rows(height, _SHOULDER_ROWS[0], _SHOULDER_ROWS[1])])
        if head != 0 and below != 0:
            narrow = min(max((0.45 - head) / 0.15, 0.2), 1.0)
            shoulders = narrow * min(max((below / head - 0.8) / 0.5, 0.3), 1.0)
    plain = min(max((tall - 0.3) / 0.5, 0.3), 1.0) * min(max((1.7 - wide) / 0.7, 0.3), 1.0)
    score: float = 0.6 * upright * shoulders * plain
    return score * _FLAT_WEIGHT if _flat(across, height, depth) else score


@compiled_part()
def _rows(height: FloatArray, least: float, most: float) -> NDArray[np.bool_]:
    """(P,) points so many meters below the highest."""
    below = height.max() - height
    return np.asarray((below > least) & (below < most))


@compiled_part()
def _flat(across: FloatArray, height: FloatArray, depth: FloatArray) -> bool:
    """As :func:`_is_flat`, by normal equations around the middle."""
    x, y, z = across - across.mean(), height - height.mean(), depth - depth.mean()
    xx, xy, yy, xz, yz = (x * x).sum(), (x * y).sum(), (y * y).sum(), (x * z).sum(), (y * z).sum()
    determinant = xx * yy - xy * xy
    if determinant > 1e-9 * xx * yy:
        off = np.abs(z - (yy * xz - xy * yz) / determinant * x - (xx * yz - xy * xz) / determinant * y)
    elif xx > yy:  # the points lie on a line
        off = np.abs(z - xz / xx * x)
    else:
        off = np.abs(z - yz / yy * y)
    return bool(_percentile(off, 0.8) < _FLAT + 0.0012 * select_median(depth.copy()) ** 2)


@compiled_part()
def _free_share(image: NDArray[np.float32], pixels: NDArray[np.intp]) -> float:
    """As :func:`free_share`."""
    height, width = image.shape
    outer = np.empty((2, height), np.int64)
    outer[0], outer[1] = width, -1
    for point in range(len(pixels)):
        u, v = pixels[point]
        outer[0, v], outer[1, v] = min(outer[0, v], u), max(outer[1, v], u)
    free, bad = 0, 0
    for v in range(height):
        if outer[1, v] < 0:
            continue
        for side in range(2):
            for step in _BESIDE:
                u = outer[side, v] + (2 * side - 1) * step
                if 0 <= u < width and image[v, u] > 0:
                    apart = image[v, u] - image[v, outer[side, v]]
                    free += apart > np.float32(_IN_FRONT)
                    bad += abs(apart) <= np.float32(_IN_FRONT)
    return free / (free + bad) if free + bad else 1.0


@compiled_part()
def _reach(values: FloatArray) -> float:
    """As :func:`_extent`."""
    if len(values) < 3:
        return 0.0
    ordered = values.copy()
    return _percentile(ordered, 0.98) - _percentile(ordered, 0.02)


@compiled_part()
def _percentile(values: FloatArray, fraction: float) -> float:
    """As ``np.percentile``; the values change their places."""
    place = fraction * (len(values) - 1)
    low = int(place)
    found = select(values, low)
    if low + 1 == len(values):
        return found
    above = values[low + 1 :].min()
    between: float = (above - found) * (place - low) + found
    return between


@compiled(people_by_numpy, "f8[:,::1](i8[:,::1],f8[:,::1],i8[::1],i8[::1],f4[:,::1],f8[::1],f8)")
def people_in(
    pixels: NDArray[np.intp],
    points: FloatArray,
    order: NDArray[np.intp],
    ends: NDArray[np.intp],
    image: NDArray[np.float32],
    limits: FloatArray,
    min_score: float,
) -> FloatArray:
    """Who is in clusters of points.

    Args:
        pixels: (P, 2) u, v.
        points: (4, P) meters to the right, up, along the view, and square meters.
        order: indices of points, cluster after cluster.
        ends: where each cluster ends in these.
        image: (H, W) meters, 0 without reading.
        limits: ``SilhouetteLimits.numbers``.
        min_score: less is no person.

    Returns:
        (N, 6) u0, v0, u1, v1 in pixels, meters to the trunk, and scores.
    """
    found, count, first = np.empty((len(order), 6)), 0, 0
    for end in ends:
        cluster = order[first:end]
        first = end
        heads, owner = _heads(points[0][cluster], points[1][cluster])
        for head in range(heads):
            person = cluster[owner == head]
            own, size = pixels[person], 0.0
            for point in person:
                size += points[3, point]
            across, height, depth = points[0][person], points[1][person], points[2][person]
            score = _score(across, height, depth, size, own[:, 1].min() <= 1, limits)
            if score > 0:
                score *= min(max(2 * _free_share(image, own) - 0.2, 0.0), 1.0)
            if score >= min_score:
                for axis in range(2):
                    along = own[:, axis].astype(np.float64)
                    found[count, axis], found[count, 2 + axis] = _percentile(along, 0.02), _percentile(along, 0.98)
                trunk = depth[_rows(height, _TRUNK_ROWS[0], _TRUNK_ROWS[1])]
                found[count, 4] = select_median(trunk if len(trunk) else depth)
                found[count, 5] = score
                count += 1
    return found[:count].copy()
