"""People's triangles into the z-buffer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unipose_training.synthetic.batch.scenes import Cameras
from unipose_training.synthetic.batch.zbuffer import ZBuffer, grid, tiles

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
