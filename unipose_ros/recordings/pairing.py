"""Which color image goes with which depth image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def pair_stamps(color: Sequence[int], depth: Sequence[int], max_gap_ns: int | None = None) -> dict[int, int]:
    """Pair two streams by their stamps, each image at most once.

    Equal stamps go together first. Of the rest, two go together when each is the other's nearest
    and they are at most half a frame period apart.

    Args:
        color, depth: stamps in nanoseconds, in any order, without repetitions.
        max_gap_ns: instead of half of the depth stream's median period.

    Returns:
        Stamp of the color image by stamp of the depth image.
    """
    exact = set(color) & set(depth)
    pairs = {stamp: stamp for stamp in exact}
    rest_c = np.array(sorted(set(color) - exact), np.int64)
    rest_d = np.array(sorted(set(depth) - exact), np.int64)
    if not len(rest_c) or not len(rest_d):
        return pairs
    gap = max_gap_ns if max_gap_ns is not None else _half_period(depth)
    to_color, to_depth = _nearest(rest_d, rest_c), _nearest(rest_c, rest_d)
    for d, c in enumerate(to_color):
        if to_depth[c] == d and abs(int(rest_d[d]) - int(rest_c[c])) <= gap:
            pairs[int(rest_d[d])] = int(rest_c[c])
    return pairs


def _half_period(stamps: Sequence[int]) -> int:
    """Half of the median time between images; 0 for a single image, which leaves only exact pairs."""
    return int(np.median(np.diff(np.sort(stamps))) // 2) if len(stamps) > 1 else 0


def _nearest(values: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.intp]:
    """Index in the sorted ``among`` of the element nearest to each value."""
    right = np.clip(np.searchsorted(among, values), 1, len(among) - 1) if len(among) > 1 else np.zeros(len(values), int)
    left = np.maximum(right - 1, 0)
    return np.where(np.abs(values - among[left]) <= np.abs(among[right] - values), left, right)
