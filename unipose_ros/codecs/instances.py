"""Whose point is it? Points of people who stand close together or touch, and pixels, told apart by skeletons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project, rays
from unipose_ros.codecs.thinning import first_of_cells
from unipose_ros.compiled import compiled, compiled_part
from unipose_ros.joint_sets import ITOP15

FloatArray = NDArray[np.float64]
#: (M, 3) points -> (M,) which may be a person's own.
OwnPoints = Callable[[NDArray[np.float32]], NDArray[np.bool_]]

#: Pairs of joints, and meters from the line between them to the skin. Shoulders and hips carry the trunk.
_TABLE = (
    ("head", "head", 0.11),
    ("head", "neck", 0.07),
    ("left_shoulder", "right_shoulder", 0.09),
    ("left_hip", "right_hip", 0.11),
    ("left_shoulder", "left_hip", 0.11),
    ("right_shoulder", "right_hip", 0.11),
    ("neck", "torso", 0.12),
    *((f"{side}_{start}", f"{side}_{end}", radius) for side in ("left", "right") for start, end, radius in (
        ("shoulder", "elbow", 0.05), ("elbow", "hand", 0.04), ("hip", "knee", 0.08), ("knee", "foot", 0.06),
        ("hand", "hand", 0.08), ("foot", "foot", 0.12),
    )),
)  # fmt: skip
_ENDS = np.array([[ITOP15.index(start), ITOP15.index(end)] for start, end, _ in _TABLE])
_RADII = np.array([radius for _, _, radius in _TABLE])
#: A point is another person's when it is nearer to them by this many meters, and not within the person's own skin.
_NEARER, _SKIN = 0.03, 0.03
#: Meters from the skin within which a reading shows a person, and from the joints to what can be such.
_OUTSIDE, _REACH = 0.06, 0.25
#: Pixels from one that is looked at to the next, and meters between what is and what is not of the same surface.
_STEP, _EDGE = 2, 0.1
#: One byte, in which 0 is no person.
_MOST_PEOPLE = 255
#: Meters: points of one cell are one person's.
_CELL = 0.04
#: People farther than this many meters from another, between their nearest joints, need not be told apart.
_CLOSE = 0.6


@dataclass(frozen=True, eq=False)
class RoughBody:
    """A person's skeleton as it is known before the network looks.

    Attributes:
        ends: (B, 2, 3) meters.
        radii: (B,) meters to the skin.
    """

    ends: FloatArray
    radii: FloatArray

    @classmethod
    def of_joints(cls, joints: NDArray[np.floating]) -> RoughBody:
        """(15, 3) ITOP joints, NaN where unknown -> the parts of which both ends are known."""
        ends = np.asarray(joints, np.float64)[_ENDS]
        known = np.isfinite(ends).all(axis=(1, 2))
        return cls(ends[known], _RADII[known])

    def __len__(self) -> int:
        return len(self.ends)

    def distances(self, points: NDArray[np.floating]) -> FloatArray:
        """(K, 3) points -> (K,) meters to the skin, negative within."""
        if not len(self):
            return np.full(len(points), np.inf)
        return np.asarray((to_segments(points, self.ends) - self.radii).min(axis=1))


def is_own(points: NDArray[np.floating], own: RoughBody, others: Sequence[RoughBody]) -> NDArray[np.bool_]:
    """(K, 3) points -> (K,) those that are not clearly another person's.

    Args:
        own: the person who is cut out; without any known part, no point is given away.
        others: people close by.

    Raises:
        ValueError: a coordinate of a point is not finite.
    """
    ends = [other.ends for other in others if len(other)]
    if not len(own) or not len(points) or not ends:
        return np.ones(len(points), np.bool_)
    # Cell by cell: a person has some ten thousand points, which fill about a thousand cells.
    points = np.ascontiguousarray(points, np.float32)
    first, cell = first_of_cells(points, _CELL)
    radii = np.concatenate([other.radii for other in others])
    return _nearer_to_own(points[first], own.ends, own.radii, np.concatenate(ends), radii)[cell]


def nearer_to_own_by_numpy(
    points: NDArray[np.float32], ends: FloatArray, radii: FloatArray, other_ends: FloatArray, other_radii: FloatArray
) -> NDArray[np.bool_]:
    """(K, 3) points -> (K,) those that are a body's own and not nearer to the parts of others."""
    mine = RoughBody(ends, radii).distances(points)
    kept = np.ones(len(points), np.bool_)
    # Most points are within the person's own skin: those belong to no other person.
    uncertain = np.flatnonzero(mine >= _SKIN)
    kept[uncertain] = RoughBody(other_ends, other_radii).distances(points[uncertain]) > mine[uncertain] - _NEARER
    return kept


@compiled_part()
def _to_skin(
    point: NDArray[np.float32], starts: FloatArray, along: FloatArray, radii: FloatArray, enough: float
) -> float:
    """Meters from (3,) to the nearest skin, or to one that is nearer than ``enough``.

    Args:
        along: (B, 4) from the starts of the parts to their ends, and 1 over the square of their lengths.
    """
    least = np.inf
    for part in range(len(starts)):
        x, y, z = point[0] - starts[part, 0], point[1] - starts[part, 1], point[2] - starts[part, 2]
        u, v, w = along[part, 0], along[part, 1], along[part, 2]
        where = min(max((x * u + y * v + z * w) * along[part, 3], 0.0), 1.0)
        x, y, z = x - where * u, y - where * v, z - where * w
        least = min(least, np.sqrt(x * x + y * y + z * z) - radii[part])
        if least < enough:
            break
    return least


@compiled_part()
def _along(ends: FloatArray) -> FloatArray:
    along = np.empty((len(ends), 4))
    for part in range(len(ends)):
        length = 0.0
        for axis in range(3):
            along[part, axis] = ends[part, 1, axis] - ends[part, 0, axis]
            length += along[part, axis] ** 2
        along[part, 3] = 1 / max(length, 1e-9)
    return along


@compiled(nearer_to_own_by_numpy, "b1[::1](f4[:,::1],f8[:,:,::1],f8[::1],f8[:,:,::1],f8[::1])")
def _nearer_to_own(
    points: NDArray[np.float32], ends: FloatArray, radii: FloatArray, other_ends: FloatArray, other_radii: FloatArray
) -> NDArray[np.bool_]:
    starts, other_starts = ends[:, 0].copy(), other_ends[:, 0].copy()
    along, other_along = _along(ends), _along(other_ends)
    kept = np.empty(len(points), np.bool_)
    for i in range(len(points)):
        mine = _to_skin(points[i], starts, along, radii, _SKIN)
        nearer = mine - _NEARER
        kept[i] = mine < _SKIN or _to_skin(points[i], other_starts, other_along, other_radii, nearer) > nearer
    return kept


def neighbors(joints: NDArray[np.floating]) -> list[list[int]]:
    """(N, 15, 3) rough joints, NaN where unknown -> for each person the others who are close enough to matter."""
    found: list[list[int]] = []
    for person, own in enumerate(joints):
        apart = np.linalg.norm(own[None, :, None] - joints[:, None], axis=-1)
        nearest = np.where(np.isfinite(apart), apart, np.inf).min(axis=(1, 2), initial=np.inf)
        found.append([other for other in np.flatnonzero(nearest < _CLOSE).tolist() if other != person])
    return found


def own_points(joints: FloatArray) -> list[OwnPoints | None]:
    """For each of N people what tells their points from those of people close by; ``None`` for who stands alone.

    Args:
        joints: (N, 15, 3) rough joints in meters, NaN where unknown.
    """
    bodies = [RoughBody.of_joints(person) for person in joints]
    near = neighbors(joints)
    return [
        partial(is_own, own=bodies[person], others=[bodies[other] for other in near[person]]) if near[person] else None
        for person in range(len(joints))
    ]


def body_index(
    camera: Camera, depth: NDArray[np.float32], joints: NDArray[np.floating], people: Sequence[int]
) -> NDArray[np.uint8]:
    """Which person each pixel of depth shows: (H, W), 0 for none, else one more than the person's number.

    A reading is the nearest person's whose skin is at most 6 cm away, by the skeleton's capsules: the floor under the
    feet and what a hand holds are taken for the person.

    Args:
        camera: of the depth image.
        depth: (H, W) meters; 0 or not finite without reading.
        joints: (N, 15, 3) ITOP joints in the optical frame, NaN where unknown.
        people: numbers of those who are looked for; there is no room for those beyond 254.
    """
    # Every second row and column, which takes a quarter of the time; the others show what they are beside.
    coarse = np.nan_to_num(depth[::_STEP, ::_STEP])
    index = np.zeros(coarse.shape, np.uint8)
    nearest = np.full(coarse.shape, _OUTSIDE, np.float32)
    for person in people:
        own = RoughBody.of_joints(joints[person])
        if not len(own) or person >= _MOST_PEOPLE:
            continue
        rows, columns = _window(camera, coarse.shape, own)
        part = coarse[rows, columns]
        near, far = own.ends[..., 2].min() - _REACH, own.ends[..., 2].max() + _REACH
        v, u = np.nonzero((part > max(near, 0)) & (part < far))
        pixels = np.stack([u + columns.start, v + rows.start], axis=1)
        points = rays(camera, pixels.astype(np.float64) * _STEP)
        points = points * (part[v, u] / points[:, 2])[:, None]
        distances = own.distances(points)
        closer = distances < nearest[pixels[:, 1], pixels[:, 0]]
        u, v = pixels[closer].T
        nearest[v, u], index[v, u] = distances[closer], person + 1
    fine, beside = (
        each.repeat(_STEP, 0).repeat(_STEP, 1)[: depth.shape[0], : depth.shape[1]] for each in (index, coarse)
    )
    return np.where(np.abs(depth - beside) < _EDGE, fine, 0).astype(np.uint8)


def _window(camera: Camera, shape: tuple[int, ...], body: RoughBody) -> tuple[slice, slice]:
    """Rows and columns that hold a body, of every :data:`_STEP`-th each."""
    corners = body.ends.reshape(-1, 3)
    reaches = np.array([(x, y, 0.0) for x in (-_REACH, _REACH) for y in (-_REACH, _REACH)])
    corners = (corners[:, None] + reaches).reshape(-1, 3)
    pixels = project(camera, corners[corners[:, 2] > _REACH])
    pixels = pixels[np.isfinite(pixels).all(axis=1)]
    if not len(pixels):
        return slice(0, 0), slice(0, 0)
    low, high = np.floor(pixels.min(axis=0) / _STEP), np.ceil(pixels.max(axis=0) / _STEP) + 1
    left, top = np.clip(low, 0, shape[::-1]).astype(int).tolist()
    right, bottom = np.clip(high, 0, shape[::-1]).astype(int).tolist()
    return slice(top, bottom), slice(left, right)


def to_segments(points: NDArray[np.floating], ends: NDArray[np.floating]) -> FloatArray:
    """(K, 3) points and (B, 2, 3) ends of segments -> (K, B) meters to each."""
    if not len(ends):
        return np.zeros((len(points), 0))
    # From one of the ends on, so that single precision is exact to a few micrometers, a body's length away.
    origin = ends[0, 0]
    offset, start = (points - origin).astype(np.float32), (ends[:, 0] - origin).astype(np.float32)
    along = (ends[:, 1] - ends[:, 0]).astype(np.float32)
    own_length = (along * along).sum(axis=-1)
    # |p - s - t a|^2 multiplied out: all products of points and segments are those of two matrices.
    ahead = offset @ along.T
    ahead -= (start * along).sum(axis=-1)
    squared = offset @ (-2 * start.T)
    squared += (offset * offset).sum(axis=-1)[:, None]
    squared += (start * start).sum(axis=-1)
    part = ahead / np.maximum(own_length, np.float32(1e-9))
    np.clip(part, 0, 1, out=part)
    ahead *= -2
    ahead += part * own_length
    ahead *= part
    squared += ahead
    return np.asarray(np.sqrt(np.maximum(squared, 0, out=squared), out=squared), np.float64)
