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
from unipose_ros.compiled import compiled, compiled_part
from unipose_ros.detection.heatmap import canonical_depth, canonical_view
from unipose_ros.detection.planes import Planes, find_planes
from unipose_ros.detection.proposals import Proposals
from unipose_ros.detection.selection import select_median
from unipose_ros.detection.silhouette import SilhouetteLimits, people_in
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
#: ... together no taller than a person, and one no more than so far beside the other, in meters.
_TALLEST, _OVERLAP = 2.1, 0.2
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
        points: (4, P) meters to the right, up, and along the optical axis, and square meters.
    """

    pixels: NDArray[np.intp]
    points: FloatArray


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
        order, ends = _clusters(cloud.pixels, cloud.points, image.shape[2], image.shape[1])
        breathe()
        limits, least = self._config.limits.numbers, self._config.min_score
        proposals = _propose(people_in(cloud.pixels, cloud.points, order, ends, image[0], limits, least), view)
        on_planes = 1 - len(cloud.pixels) / max(int(np.count_nonzero(image[0])), 1)
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
        points=np.stack([points[free] @ across, points[free] @ up, z[free], areas[free]]),
    )


def _axes(planes: Planes) -> tuple[FloatArray, FloatArray]:
    """Unit vectors to the right and up; right is level."""
    right = np.cross(planes.up, [0.0, 0.0, -1.0])
    return right / np.linalg.norm(right), planes.up


def _clusters_by_numpy(
    pixels: NDArray[np.intp], points: FloatArray, width: int, height: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    parts = _joined(points, _components(pixels, points[2], points[3]))
    return np.concatenate([np.zeros(0, np.intp), *parts]), np.cumsum([len(part) for part in parts], dtype=np.intp)


def _components(pixels: NDArray[np.intp], depth: FloatArray, areas: FloatArray) -> list[NDArray[np.intp]]:
    """Points that hang together in the image without a step in depth; largest surface first."""
    count = len(depth)
    if count == 0:
        return []
    index = np.full(pixels.max(axis=0) + 1, -1)
    index[tuple(pixels.T)] = np.arange(count)
    shifted = [(index[step:], index[:-step]) for step in _STEPS]
    shifted += [(index[:, step:], index[:, :-step]) for step in _STEPS]
    first, second = np.concatenate(
        [np.stack([one, other])[:, (one >= 0) & (other >= 0)] for one, other in shifted], axis=1
    )
    nearer = np.minimum(depth[first], depth[second])
    close = np.abs(depth[first] - depth[second]) < _GAP + _GAP_PART * nearer
    links = coo_matrix((np.ones(close.sum()), (first[close], second[close])), shape=(count, count))
    _, labels = connected_components(links, directed=False)
    # Most are single points: they are not even listed. The margin is for sums that are added up in another order.
    candidates = np.flatnonzero(np.bincount(labels, weights=areas) > 0.999 * _SPECK)
    order, counts = np.argsort(labels, kind="stable"), np.bincount(labels)
    ends = np.cumsum(counts)
    begins = ends - counts
    parts = [order[begins[label] : ends[label]] for label in candidates.tolist()]
    surfaces = [float(areas[part].sum()) for part in parts]
    largest = sorted(range(len(parts)), key=lambda number: -surfaces[number])[:_MOST_PARTS]
    return [parts[number] for number in largest if surfaces[number] > _SPECK]


@dataclass(frozen=True, eq=False)
class _Part:
    """Points that hang together, and what is asked of them again and again."""

    indices: NDArray[np.intp]
    across: float
    depth: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, points: FloatArray, indices: NDArray[np.intp]) -> _Part:
        across, height, depth = points[:3, indices]
        return cls(indices, float(median(across)), float(median(depth)), float(height.min()), float(height.max()))

    def is_above_or_below(self, other: _Part) -> bool:
        """Does one stand above the other, both no taller than a person?"""
        tall = max(self.highest, other.highest) - min(self.lowest, other.lowest)
        between = max(self.lowest, other.lowest) - min(self.highest, other.highest)
        apart = max(abs(self.across - other.across), abs(self.depth - other.depth))
        return apart < _NEAR and tall < _TALLEST and between > -_OVERLAP


def _joined(points: FloatArray, parts: list[NDArray[np.intp]]) -> list[NDArray[np.intp]]:
    """Parts, largest first; those one above the other are one cluster: a jacket without readings lies between."""
    joined: list[_Part] = []
    for indices in parts:
        part = _Part.of(points, indices)
        for number, other in enumerate(joined):
            if part.is_above_or_below(other):
                joined[number] = _Part.of(points, np.concatenate([other.indices, indices]))
                break
        else:
            joined.append(part)
    return [part.indices for part in joined]


# The same in loops.


@compiled_part()
def _hanging_together(
    pixels: NDArray[np.intp], depth: FloatArray, areas: FloatArray, width: int, height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], FloatArray]:
    """What hangs together and is no speck: indices, part after part, where each part ends, and square meters."""
    index = np.full((height, width), -1)
    for point in range(len(pixels)):
        index[pixels[point, 1], pixels[point, 0]] = point
    order, ends, surfaces = np.empty(len(pixels), np.int64), np.empty(len(pixels), np.int64), np.empty(len(pixels))
    free, parts, first = np.ones(len(pixels), np.bool_), 0, 0
    for seed in range(len(pixels)):
        if not free[seed]:
            continue
        # What is found is also what is still to be gone on from.
        order[first], free[seed] = seed, False
        end, at, surface = first + 1, first, 0.0
        while at < end:
            point = order[at]
            at += 1
            surface += areas[point]
            for step in _STEPS:
                for down, right in ((0, step), (0, -step), (step, 0), (-step, 0)):
                    v, u = pixels[point, 1] + down, pixels[point, 0] + right
                    if not (0 <= v < height and 0 <= u < width):
                        continue
                    other = index[v, u]
                    if other < 0 or not free[other]:
                        continue
                    nearer = min(depth[point], depth[other])
                    if abs(depth[point] - depth[other]) < _GAP + _GAP_PART * nearer:
                        order[end], free[other] = other, False
                        end += 1
        if surface > _SPECK:
            ends[parts], surfaces[parts], first = end, surface, end
            parts += 1
    return order[:first], ends[:parts], surfaces[:parts]


@compiled_part()
def _largest_first(
    order: NDArray[np.int64], ends: NDArray[np.int64], surfaces: FloatArray
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The largest parts in order of their surface; of equal ones the first stays ahead."""
    most = min(len(ends), _MOST_PARTS)
    sorted_order, sorted_ends, last = np.empty(len(order), np.int64), np.empty(most, np.int64), 0
    for number in range(most):
        part = int(np.argmax(surfaces))
        begin = ends[part - 1] if part else 0
        sorted_order[last : last + ends[part] - begin] = order[begin : ends[part]]
        last += ends[part] - begin
        sorted_ends[number], surfaces[part] = last, -1.0
    return sorted_order[:last], sorted_ends


@compiled_part()
def _members(
    order: NDArray[np.int64], ends: NDArray[np.int64], cluster_of: NDArray[np.int64], cluster: int
) -> NDArray[np.int64]:
    """Indices of the points of all parts of a cluster."""
    members, count, first = np.empty(len(order), np.int64), 0, 0
    for part in range(len(ends)):
        if cluster_of[part] == cluster:
            members[count : count + ends[part] - first] = order[first : ends[part]]
            count += ends[part] - first
        first = ends[part]
    return members[:count]


@compiled_part()
def _measured(points: FloatArray, indices: NDArray[np.int64]) -> tuple[float, float, float, float]:
    """Medians across and along the view, and the lowest and highest of some points, as of a :class:`_Part`."""
    height = points[1][indices]
    across, depth = select_median(points[0][indices]), select_median(points[2][indices])
    return across, depth, height.min(), height.max()


@compiled(_clusters_by_numpy, "UniTuple(i8[::1],2)(i8[:,::1],f8[:,::1],i8,i8)")
def _clusters(
    pixels: NDArray[np.intp], points: FloatArray, width: int, height: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Points that hang together, and what stands above the other of these.

    Args:
        pixels, points: of a :class:`_Cloud`.
        width, height: of the small image.

    Returns:
        Indices of the points, cluster after cluster, and where each cluster ends in these.
    """
    order, ends, surfaces = _hanging_together(pixels, points[2], points[3], width, height)
    order, ends = _largest_first(order, ends, surfaces)
    cluster_of, clusters, measures = np.full(len(ends), -1), 0, np.empty((len(ends), 4))
    for part in range(len(ends)):
        cluster_of[part] = clusters
        across, depth, lowest, highest = _measured(points, _members(order, ends, cluster_of, clusters))
        for other in range(clusters):
            beside, behind, low, high = measures[other]
            apart, between = max(abs(across - beside), abs(depth - behind)), max(lowest, low) - min(highest, high)
            if apart < _NEAR and max(highest, high) - min(lowest, low) < _TALLEST and between > -_OVERLAP:
                cluster_of[part] = other
                across, depth, lowest, highest = _measured(points, _members(order, ends, cluster_of, other))
                break
        cluster = cluster_of[part]
        measures[cluster, 0], measures[cluster, 1] = across, depth
        measures[cluster, 2], measures[cluster, 3] = lowest, highest
        clusters = max(clusters, cluster + 1)
    result, result_ends, last = np.empty(len(order), np.int64), np.empty(clusters, np.int64), 0
    for cluster in range(clusters):
        members = _members(order, ends, cluster_of, cluster)
        result[last : last + len(members)] = members
        last += len(members)
        result_ends[cluster] = last
    return result[:last].copy(), result_ends


def _propose(people: FloatArray, view: Letterbox) -> Proposals:
    """(N, 6) of :func:`people_in` -> proposals, best first."""
    distances, scores = people[:, 4].astype(np.float32), people[:, 5].astype(np.float32)
    boxes = view.to_image(people[:, :4].reshape(-1, 2, 2)).reshape(-1, 4)
    return Proposals(boxes, distances, scores).select(np.argsort(-scores, kind="stable"))
