"""The z-buffer: every pixel keeps the nearest fragment, by scattering packed keys.

A key is the depth's float bits above the surface's number. Positive floats sort as their bits
do, so the smallest key is the nearest surface, and of two at the same depth the one with the smaller
number: the result does not depend on the order of writing.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

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
