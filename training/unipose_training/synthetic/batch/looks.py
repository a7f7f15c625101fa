"""Materials as tensors, so that all pixels of a batch are colored at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from unipose_training.synthetic.materials import PATTERNS, Mark, Material, noise

# Dataclasses of tensors that move to a device as a whole.

T = TypeVar("T", bound="OnDevice")


class OnDevice:
    """A dataclass of tensors, and of such dataclasses."""

    def to(self: T, device: torch.device | str) -> T:
        """The same on a device."""
        values = (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]  # a dataclass
        return type(self)(*(v.to(device) if isinstance(v, Tensor | OnDevice) else v for v in values))


#: Values along each side of the table of grain; it repeats after this many.
_GRAIN = 64
#: Of them per grain.
_FINE = 4


@dataclass(frozen=True, eq=False)
class Looks(OnDevice):
    """K materials, see :class:`unipose_training.synthetic.materials.Material`.

    Attributes:
        colors: (K, 2, 3) sRGB in [0, 1], the second is the pattern's.
        pattern: (K,) index into ``PATTERNS``.
        sizes: (K, 3) meters: period of the pattern, relative strength of grain, meters of grain.
        marks: (K, E, 9) ellipsoids: center, radii, color; radii 0 for none.
    """

    colors: Tensor
    pattern: Tensor
    sizes: Tensor
    marks: Tensor

    def __len__(self) -> int:
        return len(self.pattern)

    def __getitem__(self, rows: Tensor) -> Looks:
        return Looks(*(getattr(self, field.name)[rows] for field in fields(self)))

    def materials(self) -> tuple[Material, ...]:
        """Back to single materials."""
        return tuple(self._material(k) for k in range(len(self)))

    def _material(self, k: int) -> Material:
        first, second = ((float(r), float(g), float(b)) for r, g, b in self.colors[k].tolist())
        size, grain, grain_size = self.sizes[k].tolist()
        marks = tuple(
            Mark(tuple(m[:3]), tuple(m[3:6]), tuple(m[6:])) for m in self.marks[k].tolist() if max(m[3:6]) > 0
        )
        return Material(first, second, PATTERNS[int(self.pattern[k])], size, grain, grain_size, marks)


def looks_of(materials: Sequence[Material], marks: int = 0) -> Looks:
    """Materials -> tensors with room for at least ``marks`` marks each."""
    room = max([marks, *(len(material.marks) for material in materials)])
    table = torch.zeros(len(materials), room, 9)
    for k, material in enumerate(materials):
        for e, mark in enumerate(material.marks):
            table[k, e] = torch.tensor([*mark.center, *mark.radii, *mark.color])
    return Looks(
        colors=torch.tensor([[m.color, m.second] for m in materials], dtype=torch.float32).reshape(-1, 2, 3),
        pattern=torch.tensor([PATTERNS.index(m.pattern) for m in materials], dtype=torch.int64),
        sizes=torch.tensor([[m.size, m.grain, m.grain_size] for m in materials]).reshape(-1, 3),
        marks=table,
    )


def joined(looks: Sequence[Looks]) -> Looks:
    """All of them in one, in order; marks are padded."""
    room = max(each.marks.shape[1] for each in looks)
    padded = [torch.nn.functional.pad(each.marks, (0, 0, 0, room - each.marks.shape[1])) for each in looks]
    return Looks(
        torch.cat([each.colors for each in looks]),
        torch.cat([each.pattern for each in looks]),
        torch.cat([each.sizes for each in looks]),
        torch.cat(padded),
    )


def shade(looks: Looks, rows: Tensor, points: Tensor) -> Tensor:
    """(N, 3) points, each in its surface's own coordinates -> (N, 3) linear reflectance.

    As :func:`unipose_training.synthetic.materials.shade`, except that grain is looked up in a table
    of one period instead of being interpolated: one read per pixel in place of sixteen.

    Args:
        rows: (N,) which material.
    """
    size, grain, grain_size = looks.sizes[rows].unbind(-1)
    first, second = looks.colors[rows].unbind(1)
    table = _grain_table().to(points.device)
    color = first + _pattern(looks.pattern[rows], points / size[:, None], table)[:, None] * (second - first)
    _paint_marks(looks, rows, points, color)
    fine = _at(table, torch.floor(points * (_FINE / grain_size)[:, None]))
    return color.clamp(0, 1) ** 2.2 * (1 + grain * fine)[:, None]


def _paint_marks(looks: Looks, rows: Tensor, points: Tensor, color: Tensor) -> None:
    """Color what lies in a mark, in place; few materials have any."""
    for marks in looks.marks.unbind(1):
        here = (marks[:, 3] > 0)[rows].nonzero()[:, 0]
        center, radii, painted = torch.split(marks[rows[here]], 3, dim=1)
        inside = (((points[here] - center) / radii) ** 2).sum(dim=1) < 1
        color[here[inside]] = painted[inside]


def _pattern(kind: Tensor, places: Tensor, table: Tensor) -> Tensor:
    """(N,) share of the second color; places are in periods."""
    x, y = places[:, 0], places[:, 1]
    u, v, w = (places % 1).unbind(-1)
    row = torch.floor(x)
    along = y / 6 + 0.37 * row
    board = _at(table, torch.stack([row, torch.floor(along), 7 * row], dim=-1))
    joint = (u < 0.03) | (along % 1 < 0.005)
    shares = {
        "stripes": (w < 0.5).float(),
        "checks": 0.5 * (u < 0.5) + 0.5 * (w < 0.5),
        "planks": (0.25 + 0.2 * board + 0.6 * joint).clamp(0, 1),
        "tiles": ((u < 0.03) | (v < 0.03)).float(),
    }
    share = torch.zeros_like(x)
    for name, values in shares.items():
        share = torch.where(kind == PATTERNS.index(name), values, share)
    return share


def _at(table: Tensor, cells: Tensor) -> Tensor:
    """Values at whole (N, 3) coordinates, repeated for ever."""
    i, j, k = (cells % _GRAIN).long().unbind(-1)
    return table[(i * _GRAIN + j) * _GRAIN + k]


@cache
def _grain_table() -> Tensor:
    """Both octaves of grain over 16 grains along each side, which then repeat."""
    cells = np.stack(np.meshgrid(*[np.arange(_GRAIN)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    # At whole coordinates noise is as strong as it gets; interpolated it has (2/3)**3 of that variance.
    fine = noise(cells / _FINE) + 0.5 * (2 / 3) ** 1.5 * noise(cells.astype(np.float64))
    return torch.from_numpy(fine.astype(np.float32))
