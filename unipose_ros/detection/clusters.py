"""Person detection by depth alone and without a network: clusters of points of a person's size and shape.

It stands in where the trained person_detector is not to be had. People who lean on something, lie, or
show neither head nor shoulders are missed, and slim furniture of a person's size is proposed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from unipose_ros.camera import Camera
from unipose_ros.detection.heatmap import canonical_depth, canonical_view
from unipose_ros.detection.proposals import Proposals
from unipose_ros.detection.silhouette import SilhouetteLimits, free_share, silhouette_score, split_at_heads
from unipose_ros.errors import EstimatorError
from unipose_ros.frame import RgbdFrame
from unipose_ros.gaps import breathe
from unipose_ros.geometry.crop import Letterbox
from unipose_ros.geometry.medians import median

FloatArray = NDArray[np.float64]


#: Neighbors in the image belong together when their depths differ by less than this: meters, and part of the depth.
_GAP, _GAP_PART = 0.05, 0.03
#: Steps to the neighbors: the second one bridges single pixels without reading.
_STEPS = (1, 2)
#: Parts of a person beside a hole (dark clothes) are so close to each other across and along the view, in meters.
_NEAR = 0.3
#: Clusters of a smaller surface in square meters are noise.
_SPECK = 0.02
#: No more clusters are processed, largest first.
_MOST_PARTS = 40


@dataclass(frozen=True)
class ClusterConfig:
    """What of the clusters counts as a person.

    Attributes:
        focal: focal length in pixels of the image that is processed; larger is finer and slower.
        min_score: least score, in (0, 1).
        limits: sizes of people.

    Raises:
        ValueError: a value is out of range.
    """

    focal: float = 96.0
    min_score: float = 0.2
    limits: SilhouetteLimits = field(default_factory=SilhouetteLimits)

    def __post_init__(self) -> None:
        if not self.focal > 0:
            raise ValueError(f"clusters.focal = {self.focal}: must be positive")
        if not 0 < self.min_score < 1:
            raise ValueError(f"clusters.min_score = {self.min_score}: must be within (0, 1)")


@dataclass(frozen=True, eq=False)
class _Cloud:
    """Points off the planes.

    Attributes:
        pixels: (P, 2) u, v of the small image.
        across, height, depth: (P,) meters to the right, up, and along the optical axis.
        areas: (P,) square meters.
    """

    pixels: NDArray[np.intp]
    across: FloatArray
    height: FloatArray
    depth: FloatArray
    areas: FloatArray

    def select(self, points: NDArray[np.intp] | NDArray[np.bool_]) -> _Cloud:
        return _Cloud(**{name: value[points] for name, value in vars(self).items()})


class ClusterDetector:
    """Finds people in depth without a network."""

    def __init__(self, config: ClusterConfig | None = None) -> None:
        self._config = config or ClusterConfig()

    @property
    def runtime(self) -> str:
        """There is no network."""
        return "clusters of depth, no network"

    def __call__(self, frame: RgbdFrame) -> Proposals:
        """All people in the frame, best first.

        Raises:
            EstimatorError: the frame has no depth.
        """
        return self.look(frame)[0]

    def look(self, frame: RgbdFrame) -> tuple[Proposals, float]:
        """All people in the frame, best first, and the part of its readings that lies on floors, walls and the like.

        Raises:
            EstimatorError: the frame has no depth.
        """
        if frame.depth is None:
            raise EstimatorError("the frame has no depth; people are found in it. Find them in color instead")
        view = canonical_view(frame.camera, self._config.focal, multiple=1)
        image = canonical_depth(frame.depth, view)
        cloud = _off_planes(image, frame.camera, view)
        breathe()
        clusters = [cloud.select(part) for part in _joined(cloud, _components(cloud))]
        breathe()
        people = [person for cluster in clusters for person in _people(cluster, image[0], self._config)]
        proposals = _propose(people, view)
        on_planes = 1 - len(cloud.depth) / max(int((image[0] > 0).sum()), 1)
        return proposals.without_duplicates(frame.camera), on_planes

    def twin(self) -> ClusterDetector:
        """Itself: there is no state."""
        return self

    def reset(self) -> None:
        """There is no state."""

    def close(self) -> None:
        """There is nothing to free."""


def _off_planes(image: NDArray[np.float32], camera: Camera, view: Letterbox) -> _Cloud:
    """The points of the small image, (2, h, w) depth and part with readings, that lie on no large plane."""
    small, (depth, part) = camera.scaled(*view.content), image
    rows, columns = np.indices(depth.shape)
    z = np.where(depth > 0, depth, np.nan).astype(np.float64)
    points = np.stack([(columns - small.cx) / small.fx * z, (rows - small.cy) / small.fy * z, z], axis=-1)
    areas = part * z**2 / (small.fx * small.fy)
    planes = find_planes(points, areas)
    free = (depth > 0) & ~planes.members
    across, up = _axes(planes)
    return _Cloud(
        pixels=np.stack([columns[free], rows[free]], axis=1),
        across=points[free] @ across,
        height=points[free] @ up,
        depth=z[free],
        areas=areas[free],
    )


def _axes(planes: Planes) -> tuple[FloatArray, FloatArray]:
    """Unit vectors to the right and up; right is level."""
    right = np.cross(planes.up, [0.0, 0.0, -1.0])
    return right / np.linalg.norm(right), planes.up


def _components(cloud: _Cloud) -> list[NDArray[np.intp]]:
    """Points that hang together in the image without a step in depth; largest surface first."""
    count = len(cloud.depth)
    if count == 0:
        return []
    index = np.full(cloud.pixels.max(axis=0) + 1, -1)
    index[tuple(cloud.pixels.T)] = np.arange(count)
    shifted = [(index[step:], index[:-step]) for step in _STEPS]
    shifted += [(index[:, step:], index[:, :-step]) for step in _STEPS]
    first, second = np.concatenate(
        [np.stack([one, other])[:, (one >= 0) & (other >= 0)] for one, other in shifted], axis=1
    )
    nearer = np.minimum(cloud.depth[first], cloud.depth[second])
    close = np.abs(cloud.depth[first] - cloud.depth[second]) < _GAP + _GAP_PART * nearer
    links = coo_matrix((np.ones(close.sum()), (first[close], second[close])), shape=(count, count))
    _, labels = connected_components(links, directed=False)
    # Most are single points: they are not even listed. The margin is for sums that are added up in another order.
    candidates = np.flatnonzero(np.bincount(labels, weights=cloud.areas) > 0.999 * _SPECK)
    order, counts = np.argsort(labels, kind="stable"), np.bincount(labels)
    ends = np.cumsum(counts)
    begins = ends - counts
    parts = [order[begins[label] : ends[label]] for label in candidates.tolist()]
    areas = [float(cloud.areas[part].sum()) for part in parts]
    largest = sorted(range(len(parts)), key=lambda number: -areas[number])[:_MOST_PARTS]
    return [parts[number] for number in largest if areas[number] > _SPECK]


@dataclass(frozen=True, eq=False)
class _Part:
    """Points that hang together, and what is asked of them again and again."""

    points: NDArray[np.intp]
    across: float
    depth: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, cloud: _Cloud, points: NDArray[np.intp]) -> _Part:
        across, depth, height = cloud.across[points], cloud.depth[points], cloud.height[points]
        return cls(points, float(median(across)), float(median(depth)), float(height.min()), float(height.max()))

    def is_above_or_below(self, other: _Part) -> bool:
        """Does one stand above the other, both no taller than a person?"""
        tall = max(self.highest, other.highest) - min(self.lowest, other.lowest)
        between = max(self.lowest, other.lowest) - min(self.highest, other.highest)
        apart = max(abs(self.across - other.across), abs(self.depth - other.depth))
        return apart < _NEAR and tall < 2.1 and between > -0.2


def _joined(cloud: _Cloud, parts: list[NDArray[np.intp]]) -> list[NDArray[np.intp]]:
    """Parts, largest first; those one above the other are one cluster: a jacket without readings lies between."""
    joined: list[_Part] = []
    for points in parts:
        part = _Part.of(cloud, points)
        for number, other in enumerate(joined):
            if part.is_above_or_below(other):
                joined[number] = _Part.of(cloud, np.concatenate([other.points, points]))
                break
        else:
            joined.append(part)
    return [part.points for part in joined]


def _people(cluster: _Cloud, depth: NDArray[np.float32], config: ClusterConfig) -> list[tuple[_Cloud, float]]:
    """Who is in a cluster: points and score."""
    found = []
    for points in split_at_heads(cluster.across, cluster.height):
        person = cluster.select(points)
        headless, area = bool(person.pixels[:, 1].min() <= 1), float(person.areas.sum())
        shape = silhouette_score(person.across, person.height, person.depth, area, headless, config.limits)
        score = shape * float(np.clip(2 * free_share(depth, person.pixels) - 0.2, 0, 1)) if shape else 0.0
        if score >= config.min_score:
            found.append((person, score))
    return found


def _propose(people: list[tuple[_Cloud, float]], view: Letterbox) -> Proposals:
    if not people:
        return Proposals.empty()
    ends = np.array([np.percentile(person.pixels, [2, 98], axis=0) for person, _ in people])
    boxes = view.to_image(ends).reshape(-1, 4)
    distances = np.array([_trunk_depth(person) for person, _ in people], np.float32)
    scores = np.array([score for _, score in people], np.float32)
    order = np.argsort(-scores, kind="stable")
    return Proposals(boxes, distances, scores).select(order)


def _trunk_depth(person: _Cloud) -> float:
    """Depth of what is below the head and above the legs."""
    below = person.height.max() - person.height
    trunk = person.depth[(below > 0.25) & (below < 0.9)]
    return float(np.median(trunk if trunk.size else person.depth))


# Floors, walls and table tops in a grid of points: what is large and flat is no person.

#: A plane smaller than this many square meters may be a person's back.
_LEAST_AREA = 1.2
_MOST_PLANES = 5
_HYPOTHESES, _VOTERS, _BLOCK = 150, 1500, 50
#: Least cosine between the normals of a plane and of a point on it.
_SAME_DIRECTION = 0.8
#: The floor's normal is less than 60 degrees from the image's upward direction.
_UPRIGHT = 0.5


@dataclass(frozen=True, eq=False)
class Planes:
    """What was found in (H, W) points.

    Attributes:
        members: (H, W) points that lie on a plane.
        up: (3,) unit vector that is up: away from the lowest floor-like plane, or the image's
            upward direction where there is none.
    """

    members: NDArray[np.bool_]
    up: FloatArray


def find_planes(points: FloatArray, areas: FloatArray) -> Planes:
    """Planes by random sampling of points with their normals, largest first.

    Random sample consensus (Fischler and Bolles, Communications of the ACM 1981) with one point a
    hypothesis, since the point's neighbors give its normal. The sampling is the same every time.

    Args:
        points: (H, W, 3) meters in the optical frame, NaN without reading.
        areas: (H, W) square meters that each point stands for.
    """
    normals = _normals(points)
    members, floors = np.zeros(points.shape[:2], np.bool_), []
    tolerance = _tolerance(points)
    usable = np.isfinite(normals[..., 0]) & np.isfinite(areas)
    rng = np.random.default_rng(0)
    for _ in range(_MOST_PLANES):
        breathe()
        free = np.flatnonzero(usable & ~members)
        plane = _largest(points.reshape(-1, 3)[free], normals.reshape(-1, 3)[free], areas.reshape(-1)[free], rng)
        if plane is None:
            break
        normal, center = plane
        members |= _on_plane(points, normals, tolerance, normal, center)
        if abs(normal[1]) > _UPRIGHT:
            floors.append((center, normal * -np.sign(normal[1])))
    return Planes(members, _up(floors))


def _normals(points: FloatArray) -> FloatArray:
    """(H, W, 3) unit normals from the neighbors two steps apart; NaN where one of them has no reading."""
    normals = np.full_like(points, np.nan)
    across, down = points[1:-1, 2:] - points[1:-1, :-2], points[2:, 1:-1] - points[:-2, 1:-1]
    (ax, ay, az), (dx, dy, dz) = np.moveaxis(across, -1, 0), np.moveaxis(down, -1, 0)
    # Written out: np.cross takes three times as long.
    x, y, z = ay * dz - az * dy, az * dx - ax * dz, ax * dy - ay * dx
    with np.errstate(invalid="ignore", divide="ignore"):
        length = np.sqrt(x * x + y * y + z * z)
        for axis, component in enumerate((x, y, z)):
            normals[1:-1, 1:-1, axis] = component / length
    return normals


def _largest(
    points: FloatArray, normals: FloatArray, areas: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray] | None:
    """Normal and center of the plane of the greatest area, if it is large enough."""
    if len(points) < 50:
        return None
    voters = rng.integers(len(points), size=min(_VOTERS, len(points)))
    # Area counts, not points: near things have most of those.
    seeds = rng.choice(len(points), size=_HYPOTHESES, p=areas / areas.sum())
    voted, facing, weights = points[voters], normals[voters], areas[voters]
    agree = _agreement(points[seeds], normals[seeds], voted, facing)
    room, narrow = np.empty((_BLOCK, len(voters)), np.float32), weights.astype(np.float32)
    votes = np.concatenate(
        [np.multiply(block, narrow, out=room).sum(axis=1) for block in agree.reshape(-1, _BLOCK, len(voters))]
    )
    best = int(votes.argmax())
    if votes[best] * areas.sum() / weights.sum() < _LEAST_AREA:
        return None
    on = voted[agree[best]]
    center = on.mean(axis=0)
    off = on - center
    # The direction in which the points spread least.
    normal = np.linalg.eigh((off[:, :, None] * off[:, None]).sum(axis=0))[1][:, 0]
    return normal, center


def _agreement(points: FloatArray, directions: FloatArray, voted: FloatArray, facing: FloatArray) -> NDArray[np.bool_]:
    """(H, V) which of V points lie on, and face as, each of H planes through points with normals.

    In single precision and in the same memory for block after block. The blocks are so small that BLAS does not wake
    its threads for them, which takes ten times as long as the product where other programs keep the cores busy.
    """
    normals = directions.astype(np.float32)
    across = [np.ascontiguousarray(each.T, np.float32) for each in (voted, facing)]
    through = (directions * points).sum(axis=1, keepdims=True).astype(np.float32)
    tolerance = _tolerance(voted).astype(np.float32)
    agree = np.empty((len(normals), len(voted)), np.bool_)
    room, faces = np.empty((_BLOCK, len(voted)), np.float32), np.empty((_BLOCK, len(voted)), np.bool_)
    for first in range(0, len(normals), _BLOCK):
        block = slice(first, first + _BLOCK)
        np.dot(normals[block], across[0], out=room)
        np.subtract(room, through[block], out=room)
        np.less(np.abs(room, out=room), tolerance, out=agree[block])
        np.dot(normals[block], across[1], out=room)
        np.greater(np.abs(room, out=room), np.float32(_SAME_DIRECTION), out=faces)
        np.logical_and(agree[block], faces, out=agree[block])
    return agree


def _on_plane(
    points: FloatArray, normals: FloatArray, tolerance: FloatArray, normal: FloatArray, center: FloatArray
) -> NDArray[np.bool_]:
    """(H, W) points on a plane that face as it does, or whose direction is not known."""
    with np.errstate(invalid="ignore"):
        x, y, z = normal
        near = (
            np.abs(x * points[..., 0] + y * points[..., 1] + z * points[..., 2] - (center * normal).sum()) < tolerance
        )
        facing = x * normals[..., 0] + y * normals[..., 1] + z * normals[..., 2]
        away = np.abs(facing) < _SAME_DIRECTION  # False for NaN
    return np.asarray(near & ~away)


def _tolerance(points: FloatArray) -> FloatArray:
    """Meters; depth noise grows with the square of the distance."""
    tolerance: FloatArray = 0.03 + 0.004 * points[..., 2] ** 2
    return tolerance


def _up(floors: list[tuple[FloatArray, FloatArray]]) -> FloatArray:
    if not floors:
        return np.array([0.0, -1.0, 0.0])
    # The floor is the one with the most of the others above it: the lowest along its own normal.
    return min(floors, key=lambda floor: float(floor[0] @ floor[1]))[1]
