"""Many people cut out as clouds of points at once, as :func:`unipose_ros.codecs.points.encode_person` does it.

People have different numbers of points. All of them lie in one list, with the number of the person beside
each: no loop over people.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unipose_ros.codecs.points import PointCloudConfig
from unipose_ros.codecs.windows import DepthImageConfig

#: More cells along an axis than this are not told apart: 20 m at 2 cm.
_CELLS = 1024


@dataclass(frozen=True, eq=False)
class Clouds:
    """M people's points.

    Attributes:
        points: (M, N, 3) float32 meters about ``centers``; the first ones are spread evenly.
        centers: (M, 3) meters in the camera's optical frame.
        valid: (M,) bool: enough points to be a person; others have zeros.
    """

    points: Tensor
    centers: Tensor
    valid: Tensor


@dataclass(frozen=True, eq=False)
class Crops:
    """Where M people are to be cut out.

    Attributes:
        frames: (M,) number of the depth image.
        boxes: (M, 4) u0, v0, u1, v1 in pixels.
        distances: (M,) meters along z.
        max_pixels: (M,) see :class:`~unipose_ros.codecs.points.PointCloudConfig`; smaller numbers thin out.
    """

    frames: Tensor
    boxes: Tensor
    distances: Tensor
    max_pixels: Tensor


def cut_clouds(depth: Tensor, intrinsics: Tensor, crops: Crops, config: PointCloudConfig) -> Clouds:
    """Cut people out of depth images.

    Differs from the codec in what is a matter of rounding alone: means are summed in 32 bits, and of two
    equally large clusters another may be kept.

    Args:
        depth: (F, H, W) meters; 0 and NaN mean no reading.
        intrinsics: (F, 4) fx, fy, cx, cy.
        config: its ``max_pixels`` and paint are not used.
    """
    people = len(crops.frames)
    points, person = _points_in_boxes(depth, intrinsics, crops, config)
    if config.cluster and len(points):
        kept = largest_components(points, person, people, config.cluster)
        points, person = points[kept], person[kept]
    valid = torch.bincount(person, minlength=people) >= config.min_points
    kept = valid[person]
    points, person = _thinned(points[kept], person[kept], people, config)
    dense = _spread_first(points, person, people, config)
    middle = (crops.boxes[:, :2] + crops.boxes[:, 2:]) / 2
    camera = intrinsics[crops.frames]
    across = (middle - camera[:, 2:]) / camera[:, :2] * crops.distances[:, None]
    centers = torch.cat([across, crops.distances[:, None]], dim=1)
    return Clouds(torch.where(valid[:, None, None], dense - centers[:, None], 0.0), centers, valid)


def _points_in_boxes(
    depth: Tensor, intrinsics: Tensor, crops: Crops, config: PointCloudConfig
) -> tuple[Tensor, Tensor]:
    """(K, 3) points of all people near their distances, and (K,) whose they are."""
    height, width = depth.shape[1:]
    low, high = crops.boxes[:, :2], crops.boxes[:, 2:]
    middle, half = (low + high) / 2, (high - low) / 2 * config.margin
    limits = torch.tensor([width, height], device=depth.device)
    first = torch.minimum((middle - half).floor().long().clamp(min=0), limits)
    last = torch.minimum(((middle + half).ceil().long() + 1).clamp(min=0), limits)
    area = (last - first).clamp(min=0).prod(dim=1).clamp(min=1)
    step = (area / crops.max_pixels).sqrt().ceil().long().clamp(min=1)
    counts = (last - first + step[:, None] - 1).clamp(min=0) // step[:, None]
    total = counts[:, 0] * counts[:, 1]
    person = torch.repeat_interleave(torch.arange(len(total), device=depth.device), total)
    number = torch.arange(len(person), device=depth.device) - (total.cumsum(0) - total)[person]
    columns = counts[:, 0][person]
    row = number // columns
    u = first[:, 0][person] + (number - row * columns) * step[person]
    v = first[:, 1][person] + row * step[person]
    z = depth.flatten()[(crops.frames[person] * height + v) * width + u]
    near = ((z > 0) & ((z - crops.distances[person]).abs() < config.reach)).nonzero()[:, 0]
    person, z = person[near], z[near]
    camera = intrinsics[crops.frames][person]
    across = (torch.stack([u[near], v[near]], dim=1) - camera[:, 2:]) / camera[:, :2] * z[:, None]
    return torch.cat([across, z[:, None]], dim=1), person


def _lowest(points: Tensor, person: Tensor, people: int) -> Tensor:
    """(people, 3) least coordinates; infinite where there is no point."""
    low = points.new_full((people, 3), torch.inf)
    return low.scatter_reduce_(0, person[:, None].expand(-1, 3), points, "amin")


def largest_components(points: Tensor, person: Tensor, people: int, cell: float) -> Tensor:
    """Which of (K, 3) points belong to each person's largest cluster of touching cells of ``cell`` meters.

    Labels spread over the 26 neighbors of each cell and jump along what they point at (Shiloach and Vishkin,
    J. Algorithms 1982): a few rounds, however long the clusters are.

    Returns:
        (K,) bool.
    """
    cells = ((points - _lowest(points, person, people)[person]) / cell).floor().long()
    shape = cells.amax(dim=0) + 3  # a border without cells on either side
    key = ((person * shape[0] + cells[:, 0] + 1) * shape[1] + cells[:, 1] + 1) * shape[2] + cells[:, 2] + 1
    table = torch.full((people * int(shape.prod()),), -1, dtype=torch.int32, device=points.device)
    table[key] = 0
    occupied = (table >= 0).nonzero()[:, 0]
    table[occupied] = torch.arange(len(occupied), dtype=torch.int32, device=points.device)
    steps = torch.cartesian_prod(*[torch.arange(-1, 2, device=points.device)] * 3)
    offsets = (steps[:, 0] * shape[1] + steps[:, 1]) * shape[2] + steps[:, 2]
    neighbors = table[offsets[:, None] + occupied].long()
    own = torch.arange(len(occupied), device=points.device)
    neighbors = torch.where(neighbors >= 0, neighbors, own)
    labels = own
    while True:
        nearby = labels[neighbors].amin(dim=0)
        # The cell that a label names takes over what any cell of its cluster sees, and all follow it.
        joined = labels.scatter_reduce(0, labels, nearby, "amin").minimum(nearby)
        while not torch.equal(jumped := joined[joined], joined):
            joined = jumped
        if torch.equal(joined, labels):
            break
        labels = joined
    label = labels[table[key].long()]
    size = torch.bincount(label, minlength=len(occupied))
    best = torch.zeros(people, dtype=torch.int64, device=points.device)
    best.scatter_reduce_(0, person, size[label], "amax")
    winner = torch.full((people,), len(occupied), dtype=torch.int64, device=points.device)
    winner.scatter_reduce_(0, person, torch.where(size[label] == best[person], label, len(occupied)), "amin")
    return label == winner[person]


def _thinned(points: Tensor, person: Tensor, people: int, config: PointCloudConfig) -> tuple[Tensor, Tensor]:
    """Means of cells as fine as each person's number of points allows, in the order of the cells."""
    low = _lowest(points, person, people)
    size = torch.full((people,), float(config.cell), device=points.device)
    finished: list[tuple[Tensor, Tensor]] = []
    while len(points):
        means, owner = _cell_means(points, person, low, size)
        count = torch.bincount(owner, minlength=people)
        many = count > config.points
        kept = ~many[owner]
        finished.append((means[kept], owner[kept]))
        # Points lie on surfaces: their number falls with the square of the grid's width.
        size = torch.where(many, size * 1.02 * (count / config.points).sqrt(), size)
        again = many[person].nonzero()[:, 0]
        points, person = points[again], person[again]
    if not finished:
        return points, person
    means, owner = (torch.cat(parts) for parts in zip(*finished, strict=True))
    order = owner.argsort(stable=True)
    return means[order], owner[order]


def _cell_means(points: Tensor, person: Tensor, low: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """(K, 3) points -> the means of each person's occupied cells, and whose they are."""
    cells = ((points - low[person]) / size[person, None]).floor().long().clamp(max=_CELLS - 1)
    key = ((person * _CELLS + cells[:, 0]) * _CELLS + cells[:, 1]) * _CELLS + cells[:, 2]
    ordered, order = key.sort()
    starts = torch.ones_like(ordered, dtype=torch.bool)
    starts[1:] = ordered[1:] != ordered[:-1]
    group = starts.cumsum(0) - 1
    first = starts.nonzero()[:, 0]
    number = len(first)
    sums = points.new_zeros(number, 3).index_add_(0, group, points[order])
    return sums / torch.bincount(group, minlength=number)[:, None], ordered[first] // _CELLS**3


def _spread_first(points: Tensor, person: Tensor, people: int, config: PointCloudConfig) -> Tensor:
    """(people, N, 3): farthest points first (see ``codecs.sampling.farthest_first``), then the rest, then all again."""
    count = torch.bincount(person, minlength=people)
    start = count.cumsum(0) - count
    numbers = torch.arange(config.points, device=points.device)
    if not len(points):
        return points.new_zeros(people, config.points, 3)
    padded = points[(start[:, None] + numbers % count.clamp(min=1)[:, None]).clamp(max=len(points) - 1)]
    given = numbers < count[:, None]
    mean = (padded * given[..., None]).sum(dim=1) / count.clamp(min=1)[:, None]
    x, y, z = (axis.contiguous() for axis in padded.unbind(-1))
    rows = torch.arange(people, device=points.device)

    def squared(place: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        total = (x - place[0][:, None]).square_()
        return total.add_((y - place[1][:, None]).square_()).add_((z - place[2][:, None]).square_())

    latest = squared((mean[:, 0], mean[:, 1], mean[:, 2])).argmin(dim=1)
    chosen = [latest]
    distance = torch.full_like(x, torch.inf)
    for _ in range(1, config.centers):
        torch.minimum(distance, squared((x[rows, latest], y[rows, latest], z[rows, latest])), out=distance)
        latest = distance.argmax(dim=1)
        chosen.append(latest)
    order = torch.stack(chosen, dim=1)
    # A cloud with fewer points than centers has all of them chosen before any comes a second time.
    rank = config.centers + numbers.expand(people, -1).clone()
    for place in range(config.centers - 1, -1, -1):
        rank[rows, order[:, place]] = place
    rank = torch.where(given, rank, config.centers + config.points + numbers)
    ordered = rank.argsort(dim=1)
    ordered = ordered.gather(1, numbers % count.clamp(min=1)[:, None])
    return padded.gather(1, ordered[..., None].expand(-1, -1, 3))


# Many people's windows of depth images at once, as :mod:`unipose_ros.codecs.windows` cuts them.


def cut_windows(depth: Tensor, intrinsics: Tensor, crops: Crops, config: DepthImageConfig) -> tuple[Tensor, Tensor]:
    """Windows of meters, not yet made relative, and the pinhole cameras that see them.

    Args:
        depth: (F, H, W) meters, 0 without a reading.
        intrinsics: (F, 4) fx, fy, cx, cy.

    Returns:
        (M, S, S) meters, 0 outside of the image, and (M, 4) fx, fy, cx, cy of the windows.
    """
    height, width = depth.shape[1:]
    camera = intrinsics[crops.frames]
    middle = (crops.boxes[:, :2] + crops.boxes[:, 2:]) / 2
    scale = config.size * crops.distances[:, None] / (camera[:, :2] * config.extent)
    half = (config.size - 1) / 2
    ticks = torch.arange(config.size, device=depth.device) - half
    # Half a pixel is rounded up, as OpenCV does.
    u = (ticks / scale[:, :1] + middle[:, :1] + 0.5).floor().long()
    v = (ticks / scale[:, 1:] + middle[:, 1:] + 0.5).floor().long()
    inside = ((u >= 0) & (u < width))[:, None, :] & ((v >= 0) & (v < height))[:, :, None]
    place = (crops.frames[:, None] * height + v.clamp(0, height - 1))[:, :, None] * width
    values = depth.flatten()[place + u.clamp(0, width - 1)[:, None, :]]
    seen = torch.cat([camera[:, :2] * scale, (camera[:, 2:] - middle) * scale + half], dim=1)
    return torch.where(inside & torch.isfinite(values), values, 0.0), seen
