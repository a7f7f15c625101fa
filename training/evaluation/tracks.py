"""Rows of one person, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

#: Frames further apart than this many frame periods do not follow one another.
_LONGEST_STEP = 1.5


def rows_by_person(
    clips: NDArray[np.int64], ids: NDArray[np.str_], stamps_ns: NDArray[np.int64]
) -> dict[tuple[int, str], NDArray[np.intp]]:
    """Rows of each id in each clip, by time. Rows without an id belong to nobody."""
    people: dict[tuple[int, str], list[int]] = {}
    for row in np.argsort(stamps_ns, kind="stable"):
        if ids[row]:
            people.setdefault((int(clips[row]), str(ids[row])), []).append(int(row))
    return {person: np.array(rows, np.intp) for person, rows in people.items()}


def frame_periods(clips: NDArray[np.int64], stamps_ns: NDArray[np.int64]) -> dict[int, float]:
    """Median nanoseconds between the frames of each clip that has at least two."""
    periods = {}
    for clip in np.unique(clips):
        stamps = np.unique(stamps_ns[clips == clip])
        if len(stamps) > 1:
            periods[int(clip)] = float(np.median(np.diff(stamps)))
    return periods


def runs(
    clips: NDArray[np.int64], ids: NDArray[np.str_], stamps_ns: NDArray[np.int64], periods: dict[int, float]
) -> Iterator[NDArray[np.intp]]:
    """Rows of one person in frames that follow one another without a gap.

    Args:
        periods: nanoseconds between frames by clip, from :func:`frame_periods`.
    """
    for (clip, _), rows in rows_by_person(clips, ids, stamps_ns).items():
        longest = _LONGEST_STEP * periods.get(clip, 0.0)
        breaks = np.flatnonzero(np.diff(stamps_ns[rows]) > longest) + 1
        for start, end in pairwise([0, *breaks.tolist(), len(rows)]):
            yield rows[start:end]
