"""Which detection is which track: distances between skeletons and their best matching."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from unipose_ros.geometry.nms import greedy_nms

#: Fewer joints in common than this say too little about the distance of two bodies.
MIN_COMMON_JOINTS = 3
#: Meters: two skeletons whose hips are farther apart are two people, however close the rest of them is.
HIPS_APART = 0.3


def skeleton_distances(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far apart the people of two lists stand.

    The median over the joints that both have: half of them may be wrong. With fewer than
    :data:`MIN_COMMON_JOINTS` in common it is the distance of the bodies' middles.

    Args:
        first: (A, J, 3) meters, NaN for a missing joint.
        second: (B, J, 3).

    Returns:
        (A, B) meters; infinite where one has no joint at all.
    """
    per_joint = np.linalg.norm(first[:, None] - second[None], axis=-1)
    distances = nan_median(per_joint)
    few = np.isfinite(per_joint).sum(axis=-1) < MIN_COMMON_JOINTS
    if few.any():
        middles = np.linalg.norm(_middle(first)[:, None] - _middle(second)[None], axis=-1)
        distances = np.where(few, middles, distances)
    return np.where(np.isnan(distances), np.inf, distances)


def mean_distances(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean distance over the joints that both have.

    Args:
        first, second: (A, J, 3) and (B, J, 3) meters, NaN for a missing joint.

    Returns:
        (A, B) meters; infinite without a joint in common.
    """
    distances = np.linalg.norm(np.asarray(first, np.float64)[:, None] - second[None], axis=-1)
    common = np.isfinite(distances)
    total = np.where(common, distances, 0.0).sum(axis=-1)
    mean = total / np.maximum(common.sum(axis=-1), 1)
    return np.asarray(np.where(common.any(axis=-1), mean, np.inf))


def _middle(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, J, 3) -> (N, 3) coordinate-wise median of the joints there are; NaN without any."""
    return nan_median(np.moveaxis(positions, 1, -1))


def nan_median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median along the last axis of what is not NaN; NaN where nothing is.

    ``np.nanmedian`` loops in Python along the other axes, which costs milliseconds here.
    """
    size = values.shape[-1]
    ordered = np.sort(values, axis=-1).reshape(-1, size)  # NaN sorts to the end
    count = size - np.isnan(ordered).sum(axis=-1)
    row = np.arange(len(ordered))
    low = ordered[row, np.maximum(count - 1, 0) // 2]
    high = ordered[row, np.minimum(count // 2, size - 1)]
    return np.asarray(0.5 * (low + high)).reshape(values.shape[:-1])


def match(distances: NDArray[np.float64], gates: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pair tracks with detections at the least total cost.

    A pair costs its distance, a track without a partner the widest gate. So two near pairs are
    never given up for the sake of one more, and a track with a wide gate has no advantage.

    Args:
        distances: (T, N) meters.
        gates: (T,) largest distance allowed to each track.

    Returns:
        Indices of the paired tracks and, in the same order, of their detections.
    """
    tracks, people = distances.shape
    if tracks == 0 or people == 0:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    unmatched = float(gates.max())
    allowed = distances <= gates[:, None]
    # One extra column per track is the choice to stay alone; a forbidden pair must cost more than that.
    costs = np.full((tracks, people + tracks), unmatched)
    costs[:, :people] = np.where(allowed, distances, 2 * unmatched + 1)
    rows, columns = linear_sum_assignment(costs)
    paired = columns < people
    return rows[paired], columns[paired]


def without_duplicates(
    positions: NDArray[np.float64], quality: NDArray[np.float64], distance: float, hips: Sequence[int] = ()
) -> NDArray[np.intp]:
    """Keep the best of detections that stand in the same place.

    Args:
        positions: (N, J, 3) meters, NaN for a missing joint.
        quality: (N,) the higher the better.
        distance: two detections nearer than this (meters) are one person.
        hips: joints whose middles are never :data:`HIPS_APART` from each other in two detections of one person.

    Returns:
        Indices to keep, ascending. A detection without any joint is not among them.
    """
    # The middles too: a detection with wrong limbs can be far off joint by joint, yet two trunks
    # cannot share one place.
    middles = _middle(positions)
    apart = np.linalg.norm(middles[:, None] - middles[None], axis=-1)
    distances = np.fmin(skeleton_distances(positions, positions), apart)
    if hips:
        pelvis = positions[:, list(hips)].mean(axis=1)
        two = np.linalg.norm(pelvis[:, None] - pelvis[None], axis=-1) >= HIPS_APART  # NaN compares false
        distances = np.where(two, np.inf, distances)
    placed = np.isfinite(np.diagonal(distances))
    return np.sort(greedy_nms(quality, lambda person, kept: distances[person, kept] < distance, placed))
