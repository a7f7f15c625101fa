"""Whether the focal length fits the room: floors and ceilings stand at right angles to walls.

A focal length that is too short by a factor s spreads all points across the optical axis by s and leaves them along it.
Two planes with the normals a and b (any length, in the camera's frame as given) are truly at right angles if

    s^2 (a_x b_x + a_y b_y) + a_z b_z = 0,   s = true focal length / given focal length.

The cosine of their angle changes by ``2 a_z b_z`` (unit normals) per log s: by 1 for a camera that looks 45 degrees
down, by nothing for one that looks straight at the wall. The scale of depth and people's statures do not enter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, rays
from unipose_ros.frame import RgbdFrame
from unipose_ros.joint_sets import ITOP15

FloatArray = NDArray[np.float64]


#: Frames whose median shows the room without noise and without people who move; the longest pause between them, and
#: how many medians are used.
_FRAMES, _PAUSE_S, _MOST_MEDIANS = 8, 2.0, 30
#: A pixel has changed by this part of its inverse depth and 1/m; more than this fraction of them: the camera moved.
_CHANGED, _CHANGED_ALSO, _MOST_CHANGED = 0.05, 0.02, 0.35
#: Degrees to the people's upright within which a normal is that of a floor, and beyond 90 minus which of a wall.
_UPRIGHT = 30.0
#: Least change of the cosine per log s that says something, and most log s that is believed to be a focal length.
_LEAST_LEVER, _MOST_LOG = 0.4, 0.5
#: Degrees by which floors and walls may be off a right angle as they are measured: errors of lens, depth and builders.
_OFF_SQUARE = 4.0
#: Medians with floor and wall that are needed; resamples of the bootstrap.
_FEWEST, _RESAMPLES = 3, 500
#: Trunks that are needed to know where up is.
_FEWEST_TRUNKS = 20

_NECK = ITOP15.index("neck")
_HIPS = [ITOP15.index(f"{side}_hip") for side in ("left", "right")]


@dataclass(frozen=True)
class FocalEvidence:
    """What the room says about the focal length.

    Attributes:
        ratio: true over given focal length; NaN where the room says nothing.
        low, high: its 95 % interval over the recording.
        margin: log ratio that 4 degrees off the right angle would explain.
        views: medians of some frames that showed a floor or ceiling, and a wall.
    """

    ratio: float
    low: float
    high: float
    margin: float
    views: int

    @property
    def wrong(self) -> bool:
        """Whether the whole interval is beyond what an error of the angle explains."""
        return self.views > 0 and bool(np.log(self.low) > self.margin or np.log(self.high) < -self.margin)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it, with a sentence for people."""
        if not self.views:
            return {"views": 0, "meaning": NOT_TOLD}
        least = 100 * float(np.expm1(self.margin))
        meaning = f"a focal length that is off by less than {least:.0f} % cannot be told from one that is right"
        return {**asdict(self), "meaning": meaning}


NOT_TOLD = (
    "the room does not tell whether the focal length is right: no floor or ceiling together with a wall is seen by a "
    "camera that stands still and is tilted by 12 degrees or more"
)
NOTHING_TOLD = FocalEvidence(float("nan"), float("nan"), float("nan"), float("nan"), 0)


@dataclass(frozen=True)
class _Pair:
    log_ratio: float
    lever: float
    weight: float


def people_upright(joints: NDArray[np.floating]) -> FloatArray | None:
    """(3,) median direction from hips to neck of (N, 15, 3) people, unit length; ``None`` of fewer than 20."""
    trunk = np.asarray(joints[:, _NECK] - joints[:, _HIPS].mean(axis=1), np.float64)
    trunk = trunk[np.isfinite(trunk).all(axis=1)]
    if len(trunk) < _FEWEST_TRUNKS:
        return None
    up = np.asarray(np.median(trunk / np.maximum(np.linalg.norm(trunk, axis=1, keepdims=True), 1e-6), axis=0))
    length = float(np.linalg.norm(up))
    return up / length if length > 0.5 else None


def focal_evidence(parts: Iterable[Iterable[RgbdFrame]], up: FloatArray | None) -> FocalEvidence:
    """From the floors and walls of recordings whose camera stands still for some frames now and then.

    Args:
        parts: frames of each recording, in the order of time.
        up: of :func:`people_upright`.
    """
    if up is None:
        return NOTHING_TOLD
    rooms = [room for part in parts for room in _medians(part)]
    chosen = np.unique(np.linspace(0, len(rooms) - 1, min(len(rooms), _MOST_MEDIANS)).round().astype(int))
    found = [_pairs(find_planes(*rooms[number]), up) for number in chosen]
    return _estimate([pairs for pairs in found if pairs])


def _medians(frames: Iterable[RgbdFrame]) -> Iterator[tuple[Camera, FloatArray]]:
    """The camera and the inverse depths of the room, of each few frames in which the camera stands still."""
    camera: Camera | None = None
    window: list[FloatArray] = []
    last = 0
    for frame in frames:
        if frame.depth is None:
            continue
        if frame.camera != camera or frame.stamp_ns - last > _PAUSE_S * 1e9:
            window = []
        camera, last = frame.camera, frame.stamp_ns
        window.append(inverse_depths(frame.depth))
        if len(window) == _FRAMES:
            room = _room(np.stack(window))
            if room is not None:
                yield camera, room
            window = []


def _room(window: FloatArray) -> FloatArray | None:
    """(K, H, W) -> (H, W) median, NaN where fewer than half of the frames have depth; ``None``: the camera moved."""
    first, second = _median(window[: _FRAMES // 2]), _median(window[_FRAMES // 2 :])
    room = _median(window)
    known = np.isfinite(first) & np.isfinite(second)
    with np.errstate(invalid="ignore"):
        changed = np.abs(first - second) > _CHANGED * room + _CHANGED_ALSO
    if not known.any() or changed[known].mean() > _MOST_CHANGED:
        return None
    return room


def _median(window: FloatArray) -> FloatArray:
    # NaN are sorted to the end: the middle of the finite ones is at half of their number.
    count = np.isfinite(window).sum(axis=0)
    middle = np.maximum(count - 1, 0)
    ordered = np.sort(window, axis=0)
    low, high = (np.take_along_axis(ordered, (each)[None], axis=0)[0] for each in (middle // 2, (middle + 1) // 2))
    return np.where(2 * count >= len(window), (low + high) / 2, np.nan)


def _pairs(planes: Sequence[Plane], up: FloatArray) -> list[_Pair]:
    """Each floor or ceiling with each wall, as far as the camera is tilted towards both."""
    normals = [plane.parameters / np.linalg.norm(plane.parameters) for plane in planes]
    tilts = [np.degrees(np.arccos(min(abs(float(normal @ up)), 1.0))) for normal in normals]
    pairs = []
    for i, floor in enumerate(normals):
        for j, wall in enumerate(normals):
            if tilts[i] > _UPRIGHT or tilts[j] < 90 - _UPRIGHT:
                continue
            across, along = float(floor[:2] @ wall[:2]), float(floor[2] * wall[2])
            lever = 2 * abs(along)
            if lever < _LEAST_LEVER or across * along >= 0:
                continue
            log_ratio = 0.5 * np.log(-along / across)
            if abs(log_ratio) < _MOST_LOG:
                pairs.append(_Pair(log_ratio, lever, lever * min(planes[i].area, planes[j].area)))
    return pairs


def _estimate(found: Sequence[Sequence[_Pair]]) -> FocalEvidence:
    """Weighted median of all pairs; a bootstrap over the views of the room."""
    if len(found) < _FEWEST:
        return NOTHING_TOLD
    rng = np.random.default_rng(0)
    logs = [_weighted_median([pair for pairs in found for pair in pairs])]
    for _ in range(_RESAMPLES):
        chosen = rng.integers(0, len(found), len(found))
        logs.append(_weighted_median([pair for number in chosen for pair in found[number]]))
    low, high = np.exp(np.percentile(logs[1:], (2.5, 97.5)))
    weights = np.array([pair.weight for pairs in found for pair in pairs])
    lever = float(np.average([pair.lever for pairs in found for pair in pairs], weights=weights))
    return FocalEvidence(
        float(np.exp(logs[0])), float(low), float(high), float(np.sin(np.radians(_OFF_SQUARE)) / lever), len(found)
    )


def _weighted_median(pairs: Sequence[_Pair]) -> float:
    values, weights = np.array([[pair.log_ratio, pair.weight] for pair in pairs]).T
    order = values.argsort()
    total = weights[order].cumsum()
    return float(values[order][np.searchsorted(total, 0.5 * total[-1])])


# Large planes of a depth image: floors, walls, ceilings, tops of tables.
#
# On a plane the inverse of the depth is linear in the pixel: of the points p with ``m . p = 1`` it is ``1 / z = m .
# r``
# on the ray r with z = 1. So a plane is a linear regression of inverse depths, whose errors are alike near and far for
# stereo and structured light, and which no focal length enters.

#: Every so many pixels count, in tiles of so many of them each way: 32 x 32 pixels.
STRIDE, _TILE = 4, 8
#: Meters within which depth is used.
_NEAREST, _FARTHEST = 0.2, 10.0
#: A point lies on a plane within so many standard deviations of the noise, and within these limits, 1/m.
_SIGMAS, _LEAST_TOLERANCE, _MOST_TOLERANCE = 3.0, 0.005, 0.03
#: Fraction of a tile that must have depth for a first guess of a plane, and that must lie on the plane to support it.
_FILLED, _SUPPORT = 0.6, 0.6
#: Share of the image that a plane must have, and how many planes are looked for.
_LEAST_AREA, _MOST_PLANES = 0.05, 6
#: Guesses that are refined, rounds of refinement, of which the first ones with twice the tolerance.
_GUESSES, _ROUNDS, _WIDE_ROUNDS = 5, 6, 2
#: Keeps regressions solvable whose points lie on a line; far below the weight of any tile.
_PRIOR = 1e-9


@dataclass(frozen=True, eq=False)
class Plane:
    """The points p with ``parameters . p = 1``.

    Attributes:
        parameters: (3,) normal over distance, 1/m, in the optical frame.
        area: share of the image.
    """

    parameters: FloatArray
    area: float


def inverse_depths(depth: NDArray[np.float32]) -> FloatArray:
    """(H, W) meters -> (H', W') 1/m of every :data:`STRIDE` th pixel, whole tiles; NaN without a reading."""
    sparse = np.asarray(depth[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE], np.float64)
    height, width = (side - side % _TILE for side in sparse.shape)
    sparse = sparse[:height, :width]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((sparse > _NEAREST) & (sparse < _FARTHEST), 1 / sparse, np.nan)


def find_planes(camera: Camera, inverse: FloatArray) -> list[Plane]:
    """The large planes, the largest first.

    Each tile's own plane is a guess; those on which most points lie are refined by least squares over the tiles that
    lie on them for the most part, so that no plane is made of strips of other surfaces. The best one is taken out, and
    the next one is looked for in the rest.

    Args:
        inverse: of :func:`inverse_depths`.
    """
    height, width = inverse.shape
    v, u = np.mgrid[:height, :width] * STRIDE + STRIDE // 2
    directions, values = _tiles(rays(camera, np.stack([u, v], axis=-1))), _tiles(inverse)
    left = np.isfinite(values) & np.isfinite(directions).all(axis=-1)
    directions, values = np.where(left[..., None], directions, 0.0), np.where(left, values, 0.0)
    there = left.mean(axis=1)
    planes: list[Plane] = []
    tolerance = _tolerance(directions, values, left)
    while len(planes) < _MOST_PLANES and left.any():
        plane = _largest(directions, values, left, there, tolerance)
        if plane is None or plane.area < _LEAST_AREA:
            break
        planes.append(plane)
        left &= np.abs(directions @ plane.parameters - values) >= 2 * tolerance
    return sorted(planes, key=lambda plane: -plane.area)


def _tiles(image: FloatArray) -> FloatArray:
    """(H, W, ...) -> (T, P, ...) the pixels of each tile."""
    height, width = image.shape[:2]
    parts = image.reshape(height // _TILE, _TILE, width // _TILE, _TILE, *image.shape[2:])
    return np.asarray(parts.swapaxes(1, 2).reshape(-1, _TILE * _TILE, *image.shape[2:]))


def _tile_planes(directions: FloatArray, values: FloatArray, used: NDArray[np.bool_]) -> FloatArray:
    """(T, 3) the plane of each tile."""
    weighted = directions * used[..., None]
    normal = weighted.transpose(0, 2, 1) @ directions + _PRIOR * np.eye(3)
    right = (weighted * values[..., None]).sum(axis=1)
    return np.asarray(np.linalg.solve(normal, right[..., None])[..., 0])


def _tolerance(directions: FloatArray, values: FloatArray, used: NDArray[np.bool_]) -> float:
    """1/m; the noise is that of the smoother tiles, a quarter of which are on planes in any room."""
    full = used.mean(axis=1) > _FILLED
    if not full.any():
        return _LEAST_TOLERANCE
    planes = _tile_planes(directions[full], values[full], used[full])
    off = (values[full] - (directions[full] @ planes[..., None])[..., 0]) * used[full]
    noise = np.percentile(np.sqrt((off**2).sum(axis=1) / used[full].sum(axis=1)), 25)
    return float(np.clip(_SIGMAS * noise, _LEAST_TOLERANCE, _MOST_TOLERANCE))


def _largest(
    directions: FloatArray, values: FloatArray, left: NDArray[np.bool_], there: FloatArray, tolerance: float
) -> Plane | None:
    full = left.mean(axis=1) > _FILLED
    if not full.any():
        return None
    guesses = _tile_planes(directions[full], values[full], left[full])
    flat, few = directions.reshape(-1, 3)[::4], left.reshape(-1)[::4]
    on = np.abs(flat @ guesses.T - values.reshape(-1)[::4, None]) < tolerance
    votes = (on & few[:, None]).sum(axis=0)
    found = [
        _refined(guesses[guess], directions, values, left, there, tolerance) for guess in np.argsort(-votes)[:_GUESSES]
    ]
    return max((plane for plane in found if plane is not None), key=lambda plane: plane.area, default=None)


def _refined(
    parameters: FloatArray, directions: FloatArray, values: FloatArray, left: NDArray[np.bool_], there: FloatArray,
    tolerance: float,
) -> Plane | None:  # fmt: skip
    area = 0.0
    for step in range(_ROUNDS):
        near = tolerance * (2 if step < _WIDE_ROUNDS else 1)
        on = (np.abs(directions @ parameters - values) < near) & left
        on &= (on.mean(axis=1) > _SUPPORT * np.maximum(there, 0.5))[:, None]
        if on.sum() < 3 * _TILE:
            return None
        points = directions[on]
        normal = points.T @ points + _PRIOR * np.eye(3)
        parameters = np.asarray(np.linalg.solve(normal, points.T @ values[on]), np.float64)
        area = float(on.mean())
    return Plane(parameters, area)
