"""Stored clouds have more points than small networks take."""

from __future__ import annotations

import torch
from torch import Tensor


def thinned(points: Tensor, spread: int, count: int, centres: int, generator: torch.Generator) -> Tensor:
    """A part of each cloud's points.

    Farthest-point sampling chooses one after the other, so the first of its points are spread evenly too.

    Args:
        points: (B, T, N, 3); the first ``spread`` of each frame are spread evenly.
        spread: of the points as stored.
        count, centres: of the network.
        generator: draws the other points.

    Returns:
        (B, T, count, 3).

    Raises:
        ValueError: there are fewer points, or fewer evenly spread ones, than the network takes.
    """
    stored = points.shape[2]
    if count > stored or centres > spread:
        raise ValueError(
            f"the samples have {stored} points with {spread} centres, the network takes {count} with {centres}; "
            "build the samples with as many"
        )
    if count == stored and centres == spread:
        return points
    rest = torch.randperm(stored - centres, generator=generator)[: count - centres] + centres
    return torch.cat([points[:, :, :centres], points[:, :, rest.to(points.device)]], dim=2)
