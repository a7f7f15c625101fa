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
from unipose_ros.detection.planes import Planes, find_planes
from unipose_ros.detection.proposals import Proposals
from unipose_ros.detection.silhouette import SilhouetteLimits, free_share, silhouette_score, split_at_heads
from unipose_ros.errors import EstimatorError
from unipose_ros.frame import RgbdFrame
from unipose_ros.geometry.crop import Letterbox

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
        clusters = [cloud.select(part) for part in _joined(cloud, _components(cloud))]
        people = [person for cluster in clusters for person in _people(cluster, image[0], self._config)]
        proposals = _propose(people, view)
        on_planes = 1 - len(cloud.depth) / max(int((image[0] > 0).sum()), 1)
        return proposals.without_duplicates(frame.camera), on_planes

    def reset(self) -> None:
        """Nothing is remembered."""

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
    order = np.argsort(labels, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    areas = [float(cloud.areas[part].sum()) for part in parts]
    largest = sorted(range(len(parts)), key=lambda number: -areas[number])[:_MOST_PARTS]
    return [parts[number] for number in largest if areas[number] > _SPECK]


@dataclass(frozen=True, eq=False)
class _Part:
    """Points that hang together, and what is asked of them again and again."""

    points: NDArray[np.intp]
    middle: FloatArray
    lowest: float
    highest: float

    @classmethod
    def of(cls, cloud: _Cloud, points: NDArray[np.intp]) -> _Part:
        middle = np.median(np.stack([cloud.across[points], cloud.depth[points]]), axis=1)
        return cls(points, middle, float(cloud.height[points].min()), float(cloud.height[points].max()))

    def is_above_or_below(self, other: _Part) -> bool:
        """Does one stand above the other, both no taller than a person?"""
        tall = max(self.highest, other.highest) - min(self.lowest, other.lowest)
        between = max(self.lowest, other.lowest) - min(self.highest, other.highest)
        return bool(np.abs(self.middle - other.middle).max() < _NEAR and tall < 2.1 and between > -0.2)


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
