"""Rooms and furniture: boxes met by rays, without triangles."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unipose_training.synthetic.batch.scenes import CEILING, FLOOR, WALL, Blocks, Cameras, Rooms
from unipose_training.synthetic.batch.triangles import NEAREST
from unipose_training.synthetic.batch.zbuffer import ZBuffer, grid, pack, tiles

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
        _draw_tiles(buffer, blocks, rays, side, block, origin, first)


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


def _draw_tiles(
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
