"""People's triangles into the z-buffer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unipose_training.synthetic.batch.scenes import CEILING, FLOOR, WALL, Blocks, Cameras, Rooms

#: Meters: a triangle that comes nearer to the camera than this is left out.
NEAREST = 0.05
#: Share of a triangle by which it is widened, so that rounding leaves no crack between two.
_OVERLAP = 1e-4


@dataclass(frozen=True, eq=False)
class _Projected:
    """K triangles that may cover a pixel.

    Attributes:
        surface: (K,) number in the batch.
        frame: (K,).
        pixels: (K, 3, 2) corners.
        inverse: (K, 3) 1 / depth of the corners.
        low, high: (K, 2) first and last pixel.
    """

    surface: Tensor
    frame: Tensor
    pixels: Tensor
    inverse: Tensor
    low: Tensor
    high: Tensor


def draw_people(
    buffer: ZBuffer, cameras: Cameras, vertices: Tensor, faces: Tensor, frames: Tensor, budget: int, cull: bool = False
) -> None:
    """Draw N people; triangle t of person n has the surface number ``n * T + t``.

    Args:
        vertices: (N, V, 3) meters, world.
        faces: (N, T, 3).
        frames: (N,).
        budget: pixels that may be processed together.
        cull: leave out triangles that are seen from behind.
    """
    if not len(frames):
        return
    shown = _project(cameras, vertices, faces, frames, cull)
    for side, triangle, origin in tiles(shown.low, shown.high, budget):
        _draw_tiles(buffer, shown, side, triangle, origin)


def _project(cameras: Cameras, vertices: Tensor, faces: Tensor, frames: Tensor, cull: bool) -> _Projected:
    people, triangles = faces.shape[:2]
    optical = cameras.to_optical(vertices, frames)
    inverse = 1 / optical[..., 2].clamp(min=NEAREST)
    # Depth with the pixel, so that corners are gathered once; too near is marked by infinite pixels.
    pixels = cameras.project(optical, frames).masked_fill((optical[..., 2] < NEAREST)[..., None], torch.inf)
    packed = torch.cat([pixels, inverse[..., None]], dim=-1).flatten(0, 1)
    start = torch.arange(people, device=faces.device)[:, None, None] * vertices.shape[1]
    corners = packed[(faces + start).reshape(-1, 3)]
    size = corners.new_tensor([cameras.width - 1, cameras.height - 1])
    a, b, c = corners[..., :2].unbind(1)
    # Of three at a time: reducing a dimension of three is many times slower on a CPU.
    low = torch.minimum(torch.minimum(a, b), c).ceil().clamp(min=0)
    peak = torch.maximum(torch.maximum(a, b), c)
    high = torch.minimum(peak.floor(), size)
    u, v = ((low <= high) & (low <= size) & (peak < torch.inf)).unbind(1)
    chosen = u & v
    if cull:
        # Outward faces turn counterclockwise, which the image's downward v makes negative.
        along, across = b - a, c - a
        chosen &= along[:, 0] * across[:, 1] < along[:, 1] * across[:, 0]
    kept = chosen.nonzero()[:, 0]
    frame = frames[kept // triangles]
    shown = corners[kept]
    return _Projected(kept, frame, shown[..., :2], shown[..., 2], low[kept].int(), high[kept].int())


def _draw_tiles(buffer: ZBuffer, shown: _Projected, side: int, triangle: Tensor, origin: Tensor) -> None:
    offsets = grid(side, origin.device)
    places = torch.cat([offsets, torch.ones_like(offsets[:1])]).float()
    forms = _barycentric_forms(shown.pixels[triangle] - origin[:, None].float())
    # (K, 3, side * side): how much of each corner there is in each pixel.
    weights = forms @ places
    one, two, three = weights.unbind(1)
    inside = torch.minimum(torch.minimum(one, two), three) >= -_OVERLAP
    if side > 1:
        inside &= origin[:, :1] + offsets[0] < buffer.width
        inside &= origin[:, 1:] + offsets[1] < buffer.height
    tile, place = inside.nonzero().unbind(1)
    which = triangle[tile]
    inverse = shown.inverse[which]
    # 1 / depth is linear in the image; held between the corners' where the triangle is seen edge-on.
    between = (weights[tile, :, place] * inverse).sum(dim=1)
    least, most = inverse.aminmax(dim=1)
    depth = 1 / between.clamp(least, most)
    column, row = (origin[tile] + offsets.T[place]).unbind(1)
    buffer.write(shown.frame[which], column, row, depth, shown.surface[which])


def _barycentric_forms(corners: Tensor) -> Tensor:
    """(K, 3, 2) corners in pixels -> (K, 3, 3): corner i's weight at (u, v) is ``form_i . (u, v, 1)``.

    A triangle without area gives infinite or undefined forms, which no pixel is inside of.
    """
    following, last = corners.roll(-1, dims=1), corners.roll(-2, dims=1)
    along = last - following
    lines = torch.stack(
        [-along[..., 1], along[..., 0], following[..., 0] * last[..., 1] - following[..., 1] * last[..., 0]], dim=-1
    )
    return lines / lines[..., 2].sum(dim=1)[:, None, None]


# The z-buffer: every pixel keeps the nearest fragment, by scattering packed keys.
#
# A key is the depth's float bits above the surface's number. Positive floats sort as their bits
# do, so the smallest key is the nearest surface, and of two at the same depth the one with the smaller
# number: the result does not depend on the order of writing.

#: Pixels along a side of the largest tile.
LARGEST_TILE = 16


def pack(depth: Tensor, surface: Tensor) -> Tensor:
    """Depths (> 0, float32) and surface numbers (< 2**31) -> int64 keys."""
    return (depth.view(torch.int32).long() << 32) | surface


def unpack(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Keys -> depths and surface numbers."""
    return (keys >> 32).int().view(torch.float32), keys & 0x7FFFFFFF


class ZBuffer:
    """F images of H x W pixels.

    Attributes:
        keys: (F * H * W,) int64.
    """

    def __init__(self, background: Tensor) -> None:
        """Start with (F, H, W) keys."""
        self.frames, self.height, self.width = background.shape
        self.keys = background.flatten()

    def write(self, frames: Tensor, u: Tensor, v: Tensor, depth: Tensor, surface: Tensor) -> None:
        """Put fragments in: all (N,)."""
        pixel = (frames * self.height + v) * self.width + u
        self.keys.scatter_reduce_(0, pixel, pack(depth, surface), "amin")

    def read(self) -> tuple[Tensor, Tensor]:
        """(F, H, W) depths and surface numbers."""
        depth, surface = unpack(self.keys.view(self.frames, self.height, self.width))
        return depth, surface


def tiles(low: Tensor, high: Tensor, budget: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Cover rectangles of pixels with square tiles, small ones for small rectangles.

    Args:
        low, high: (N, 2) first and last pixel (u, v) of each rectangle.
        budget: pixels that may be processed together.

    Yields:
        Side of the tiles, (K,) rectangle of each tile and (K, 2) its first pixel.
    """
    extent = (high - low + 1).clamp(min=0)
    wide, tall = extent.unbind(1)
    longest, shortest = torch.maximum(wide, tall), torch.minimum(wide, tall)
    at_least = 0
    for side in (1, 2, 4, 8, LARGEST_TILE):
        limit = torch.iinfo(longest.dtype).max if side == LARGEST_TILE else side
        chosen = ((longest > at_least) & (longest <= limit) & (shortest > 0)).nonzero()[:, 0]
        at_least = side
        for part in torch.split(chosen, max(budget // side**2, 1)):
            for rectangle, origin in _tiled(low, extent, part, side, budget):
                yield side, rectangle, origin


def _tiled(low: Tensor, extent: Tensor, chosen: Tensor, side: int, budget: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(K,) rectangles and (K, 2) first pixels of the tiles that cover the chosen rectangles."""
    across = (extent[chosen] + side - 1) // side
    count = across[:, 0] * across[:, 1]
    rectangle = torch.repeat_interleave(chosen, count)
    columns = torch.repeat_interleave(across[:, 0], count)
    number = torch.arange(len(rectangle), device=low.device) - torch.repeat_interleave(count.cumsum(0) - count, count)
    origin = low[rectangle] + side * torch.stack([number % columns, number // columns], dim=1)
    step = max(budget // side**2, 1)
    yield from zip(torch.split(rectangle, step), torch.split(origin, step), strict=True)


def grid(side: int, device: torch.device) -> Tensor:
    """(2, side * side) offsets u, v of a tile's pixels."""
    along = torch.arange(side, device=device, dtype=torch.int32)
    v, u = torch.meshgrid(along, along, indexing="ij")
    return torch.stack([u.flatten(), v.flatten()])


# Rooms and furniture: boxes met by rays, without triangles.

#: Stands for a direction of 0, which nothing can be divided by.
_TINY = 1e-12


def ray_maps(cameras: Cameras) -> Tensor:
    """(F, 3, 3): pixel (u, v, 1) -> ray in the world whose length along the optical axis is 1."""
    fx, fy, cx, cy = cameras.intrinsics.unbind(1)
    one, zero = torch.ones_like(fx), torch.zeros_like(fx)
    rows = torch.stack([1 / fx, zero, -cx / fx, zero, 1 / fy, -cy / fy, zero, zero, one], dim=-1)
    return cameras.rotations.transpose(1, 2) @ rows.reshape(-1, 3, 3)


def room_background(cameras: Cameras, rooms: Rooms, first: int, budget: int) -> Tensor:
    """(F, H, W) keys of floor, ceiling and walls; infinitely far where there are none.

    Args:
        first: surface number of the first room's floor; its ceiling and walls follow.
        budget: pixels that may be processed together.
    """
    size = cameras.height, cameras.width
    v, u = torch.meshgrid(*[torch.arange(n, device=rooms.low.device) for n in size], indexing="ij")
    pixels = torch.stack([u, v, torch.ones_like(u)]).flatten(1).float()
    numbers = torch.arange(len(cameras), device=pixels.device)
    maps, low, high = ray_maps(cameras), rooms.low - cameras.positions, rooms.high - cameras.positions
    keys = torch.empty((len(cameras), u.numel()), dtype=torch.int64, device=pixels.device)
    for some in torch.split(numbers, max(budget // u.numel(), 1)):
        rays = _not_zero(maps[some] @ pixels)
        depth, axis = (torch.where(rays > 0, high[some, :, None], low[some, :, None]) / rays).min(dim=1)
        look = torch.where(axis == 2, torch.where(rays[:, 2] > 0, CEILING, FLOOR), WALL) + 3 * some[:, None]
        keys[some] = pack(depth.clamp(min=NEAREST), first + look)
    return keys.view(len(cameras), *size)


def _not_zero(values: Tensor) -> Tensor:
    return torch.where(values.abs() < _TINY, torch.full_like(values, _TINY), values)


@dataclass(frozen=True, eq=False)
class _LocalRays:
    """Rays seen from M blocks, their sides along the axes.

    Attributes:
        origins: (M, 3).
        maps: (M, 3, 3) pixel (u, v, 1) -> direction.
        halves: (M, 3) half of the size.
    """

    origins: Tensor
    maps: Tensor
    halves: Tensor


def draw_blocks(buffer: ZBuffer, cameras: Cameras, blocks: Blocks, first: int, budget: int) -> None:
    """Draw all blocks; block m has the surface number ``first + m``. A camera inside of one does not see it."""
    if not len(blocks):
        return
    low, high = _rectangles(cameras, blocks)
    turn = block_turns(blocks)
    origins = ((cameras.positions[blocks.frames] - blocks.centers)[:, None] @ turn)[:, 0]
    rays = _LocalRays(origins, turn.transpose(1, 2) @ ray_maps(cameras)[blocks.frames], blocks.sizes / 2)
    for side, block, origin in tiles(low, high, budget):
        _draw_box_tiles(buffer, blocks, rays, side, block, origin, first)


def block_turns(blocks: Blocks) -> Tensor:
    """(M, 3, 3) rotation from a block's own axes to the world's."""
    c, s = blocks.yaws.cos(), blocks.yaws.sin()
    zero, one = torch.zeros_like(c), torch.ones_like(c)
    return torch.stack([c, -s, zero, s, c, zero, zero, zero, one], dim=-1).reshape(-1, 3, 3)


def _rectangles(cameras: Cameras, blocks: Blocks) -> tuple[Tensor, Tensor]:
    """(M, 2) first and last pixel that may show each block: the whole image if it reaches behind the camera."""
    signs = torch.cartesian_prod(*[torch.tensor([-0.5, 0.5], device=blocks.sizes.device)] * 3)
    corners = (signs * blocks.sizes[:, None]) @ block_turns(blocks).transpose(1, 2) + blocks.centers[:, None]
    optical = cameras.to_optical(corners, blocks.frames)
    pixels = cameras.project(optical, blocks.frames)
    size = pixels.new_tensor([cameras.width - 1, cameras.height - 1])
    near = (optical[..., 2] < NEAREST).any(dim=1)[:, None]
    low = torch.where(near, torch.zeros_like(size), pixels.amin(dim=1).floor().clamp(min=0))
    high = torch.where(near, size, torch.minimum(pixels.amax(dim=1).ceil(), size))
    behind = (optical[..., 2] < NEAREST).all(dim=1)[:, None]
    # Clamped, as what is far outside of the image has no whole number.
    return torch.minimum(low, size + 1).int(), torch.where(behind, -1, high.clamp(min=-1)).int()


def _draw_box_tiles(
    buffer: ZBuffer, blocks: Blocks, rays: _LocalRays, side: int, block: Tensor, origin: Tensor, first: int
) -> None:
    offsets = grid(side, origin.device)
    pixels = origin[:, :, None] + offsets
    places = torch.cat([pixels, torch.ones_like(pixels[:, :1])], dim=1).float()
    directions = _not_zero(rays.maps[block] @ places)
    origins, halves = rays.origins[block][..., None], rays.halves[block][..., None]
    one, other = (-halves - origins) / directions, (halves - origins) / directions
    enter = torch.minimum(one, other).amax(dim=1)
    leave = torch.maximum(one, other).amin(dim=1)
    u, v = pixels.unbind(1)
    hit = (enter <= leave) & (enter > NEAREST) & (u < buffer.width) & (v < buffer.height)
    tile, place = hit.nonzero().unbind(1)
    which = block[tile]
    buffer.write(blocks.frames[which], u[tile, place], v[tile, place], enter[tile, place], first + which)
