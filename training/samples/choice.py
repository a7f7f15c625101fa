"""Which rows of a store teach, which validate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_training.data.errors import DataError
from unipose_training.samples.store import SampleStore

Rows = NDArray[np.integer[Any]]


def split_rows(store: SampleStore, every: int, least_confidence: float = 0.0) -> tuple[Rows, Rows]:
    """Rows for training and for validation; no clip is in both.

    Args:
        every: of so many clips, the last is for validation.
        least_confidence: people of whom the 2D network is less sure are not trained on, in [0, 1].

    Raises:
        DataError: one of the two would be empty.
    """
    validates = np.asarray(store["clip"]) % every == every - 1
    sure = np.asarray(store["score"]) >= least_confidence
    training, validation = np.flatnonzero(~validates & sure), np.flatnonzero(validates)
    if not len(training) or not len(validation):
        raise DataError(f"{store.folder}: {len(store)} rows of {len(store.clips)} clips; too few to train and validate")
    return training, validation


def part_of_clips(store: SampleStore, rows: Rows, part: float, seed: int = 0) -> Rows:
    """The rows that belong to a part of the clips; a larger part holds all of a smaller one.

    Whole clips are taken, as somebody would label them: frames of one clip look alike.

    Args:
        part: of the clips, in (0, 1]; at least one clip is taken.

    Raises:
        ValueError: the part is out of range.
    """
    if not 0 < part <= 1:
        raise ValueError(f"part = {part}: must be within (0, 1]")
    clips = np.unique(store["clip"][rows])
    order = np.random.default_rng(seed).permutation(len(clips))
    chosen = clips[order[: max(1, round(part * len(clips)))]]
    return np.asarray(rows)[np.isin(store["clip"][rows], chosen)]
