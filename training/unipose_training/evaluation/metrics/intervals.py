"""How far the figures would differ on another recording of the same kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_training.evaluation.matching import PosePairs

#: Frames of a person within this time are alike, so they are drawn together, nanoseconds.
_BLOCK_NS = 1_000_000_000
_DRAWS = 2000


@dataclass(frozen=True)
class Intervals:
    """95 % intervals of the block bootstrap (Kuensch 1989); NaN with fewer than two blocks.

    They tell apart two methods on such recordings; they know nothing of other people, rooms
    and sensors than those recorded.

    Attributes:
        blocks: seconds of a person that were drawn from.
        mpjpe_mm: low and high.
        pck_10cm: low and high, of the share of all joints within 10 cm.
    """

    blocks: int
    mpjpe_mm: tuple[float, float]
    pck_10cm: tuple[float, float]


def bootstrap(pairs: PosePairs, seed: int = 0) -> Intervals:
    """Draw seconds of people with replacement; the same pairs give the same intervals."""
    blocks = _blocks(pairs)
    count = int(blocks.max()) + 1 if len(blocks) else 0
    if count < 2:
        return Intervals(count, (np.nan, np.nan), (np.nan, np.nan))
    errors = pairs.errors
    known = np.isfinite(errors)
    sums = np.stack(
        [
            np.bincount(blocks, values.sum(axis=1), count)
            for values in (np.where(known, errors, 0.0), known, errors < 0.10, pairs.counted)
        ]
    )
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=_DRAWS)
    total, found, hits, wanted = sums @ draws.T
    return Intervals(count, _interval(1e3 * total, found), _interval(hits, wanted))


def _blocks(pairs: PosePairs) -> NDArray[np.intp]:
    """Number of the block that each row belongs to."""
    seconds = pairs.stamps_ns // _BLOCK_NS
    keys = list(zip(pairs.clips.tolist(), pairs.true_ids.tolist(), seconds.tolist(), strict=True))
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], np.intp)


def _interval(parts: NDArray[np.float64], wholes: NDArray[np.float64]) -> tuple[float, float]:
    """2.5 and 97.5 % quantiles of the ratios; draws without a whole are left out."""
    usable = wholes > 0
    if not usable.any():
        return (float("nan"), float("nan"))
    low, high = np.quantile(parts[usable] / wholes[usable], [0.025, 0.975])
    return (float(low), float(high))
