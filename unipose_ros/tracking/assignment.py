"""Which detection is which track: distances between skeletons and their best matching."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from unipose_ros.compiled import compiled
from unipose_ros.geometry.medians import nan_median
from unipose_ros.geometry.nms import greedy_nms
from unipose_ros.tracking import loops

_JOINTS = "f8[:,:,::1]"
#: Fewer joints in common than this say too little about the distance of two bodies.
MIN_COMMON_JOINTS = 3
#: Meters: two skeletons whose hips are farther apart are two people, however close the rest of them is.
HIPS_APART = 0.3
#: Meters that the median joint is off because the limbs move, and standard deviations within which a person is.
_POSE_STD, _MOST_STDS = 0.1, 3.5
#: Standard deviation of a measured size, and the square of most that it may count.
_SIZE_STD, _MOST_UNLIKE = 0.08, 6.0
#: Probabilities that a person is missed in a frame: after having been detected in the last one, and after not.
_MISSED_VISIBLE, _MISSED_HIDDEN = 0.05, 0.75
#: New people on a square meter of floor in a frame.
_APPEARING = 0.02


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
    return _distances(np.ascontiguousarray(first), np.ascontiguousarray(second), MIN_COMMON_JOINTS)


def distances_by_numpy(first: NDArray[np.float64], second: NDArray[np.float64], fewest: int) -> NDArray[np.float64]:
    """:func:`skeleton_distances` with ``fewest`` joints in common."""
    per_joint = np.linalg.norm(first[:, None] - second[None], axis=-1)
    distances = nan_median(per_joint)
    few = np.isfinite(per_joint).sum(axis=-1) < fewest
    if few.any():
        middles = np.linalg.norm(_middle(first)[:, None] - _middle(second)[None], axis=-1)
        distances = np.where(few, middles, distances)
    return np.where(np.isnan(distances), np.inf, distances)


_distances = compiled(distances_by_numpy, f"f8[:,::1]({_JOINTS},{_JOINTS},i8)")(loops.distances)


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


def match(distances: NDArray[np.float64], gates: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pair tracks with detections at the least total distance.

    A pair costs its distance, a track without a partner the widest gate. So two near pairs are
    never given up for the sake of one more, and a track with a wide gate has no advantage.

    Args:
        distances: (T, N) meters.
        gates: (T,) largest distance allowed to each track.

    Returns:
        Indices of the paired tracks and, in the same order, of their detections.
    """
    if 0 in distances.shape:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    return least_cost_pairs(distances, np.full(len(gates), gates.max()), distances <= gates[:, None])


def match_likeliest(
    distances: NDArray[np.float64],
    gates: NDArray[np.float64],
    stds: NDArray[np.float64],
    visible: NDArray[np.bool_],
    sizes: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pair tracks with detections so that what is seen is likeliest.

    A person is where they are predicted with a normal error on the floor, has the size they had, is missed with a
    probability that depends on whether the last frame showed them, and people appear anywhere alike (Bar-Shalom and
    Li, Multitarget-Multisensor Tracking, 1995: the negative log-likelihood ratio of a pair). So the track of a person
    who has been hidden, whose place is hardly known, does not take the detection of who stands in front, and takes
    its own when it comes.

    Args:
        distances: (T, N) meters.
        gates: (T,) largest distance allowed to each track.
        stds: (T,) meters, standard deviation of the places.
        visible: (T,) whether the person was seen in the last frame.
        sizes: (T,) of the tracks and (N,) of the detections; NaN where unknown.

    Returns:
        Indices of the paired tracks and, in the same order, of their detections.
    """
    if 0 in distances.shape:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    std = np.hypot(stds, _POSE_STD)
    missed = np.where(visible, -np.log(_MISSED_VISIBLE), -np.log(_MISSED_HIDDEN))
    allowed = distances <= np.minimum(gates, _MOST_STDS * std)[:, None]
    squared = np.where(allowed, distances, 0.0) ** 2 / std[:, None] ** 2
    unlike = (sizes[0][:, None] - sizes[1][None]) / _SIZE_STD
    squared += np.minimum(np.where(np.isnan(unlike), 1.0, unlike**2), _MOST_UNLIKE)
    costs = 0.5 * squared + 2 * np.log(std)[:, None] + np.log(2 * np.pi) + np.log(_APPEARING)
    return least_cost_pairs(costs, missed, allowed)


def least_cost_pairs(
    costs: NDArray[np.float64], alone: NDArray[np.float64], allowed: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The pairs of rows and columns at the least total cost, where a row may stay alone.

    Args:
        costs: (T, N) of each pair.
        alone: (T,) of each row without a partner.
        allowed: (T, N) pairs that may be.
    """
    tracks, people = costs.shape
    # A forbidden pair must cost more than whatever could be saved by it.
    most = np.abs(costs[allowed]).max(initial=0.0) + np.abs(alone).max()
    table = np.full((tracks, people + tracks), 2 * (tracks + 1) * most + 1.0)
    table[:, :people][allowed] = costs[allowed]
    # One extra column per track is the choice to stay alone.
    table[:, people:] = alone[:, None]
    rows, columns = linear_sum_assignment(table)
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
    if len(positions) < 2:
        return np.flatnonzero(np.isfinite(positions.sum(axis=2)).any(axis=1))
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
