"""Left and right over time: a body does not turn by 180 degrees between two frames.

An estimator may exchange all of a person's left and right joints in single frames. Where a measurement fits the
predicted track clearly better with its sides exchanged, they are exchanged. If that goes on for longer than
``side_hold``, it is the track that was wrong, and the measurement is believed. So the sides of a track change at most
once in that time, and never to and fro.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.config import TrackerConfig
from unipose_ros.frame import JointStatus
from unipose_ros.tracking.tracks import NANOSECONDS, Tracks

FloatArray = NDArray[np.float64]

#: Exchanged fits clearly better when joints are nearer to their predictions by this many meters on average, and at
#: most this fraction as far from them.
_NEARER, _FRACTION = 0.08, 0.5
#: Fewer joints of the two sides than this do not tell.
_LEAST_JOINTS = 4
#: Seconds after the last sight within which a body is taken not to turn round.
_TURNS = 0.35
#: What the confidences of an exchanged measurement are multiplied with, and the probability that it was right.
_TRUST, _DOUBT = 0.6, 0.1
#: Row and column of xx, xy, xz, yy, yz, zz.
_UPPER = np.triu_indices(3)


def keep_sides(
    predicted: Tracks, seen: Tracks, mirror: Sequence[int], dt_ns: int, config: TrackerConfig
) -> tuple[Tracks, Tracks, int]:
    """Exchange the sides of measurements that contradict their tracks.

    Args:
        predicted: tracks at the time of the measurements.
        seen: what was measured of the same people, row by row.
        mirror: permutation of the joints that exchanges left and right.
        dt_ns: since the last frame.
        config: ``side_hold`` 0 takes measurements as they are.

    Returns:
        The tracks with their trust in their own sides brought up to date, the measurements, and how many of them
        were exchanged.
    """
    if not len(predicted) or config.side_hold <= 0:
        return predicted, seen, 0
    dt = dt_ns / NANOSECONDS
    recent = seen.seen_ns - predicted.seen_ns <= _TURNS * NANOSECONDS
    contradicts = recent & _fits_exchanged(predicted.positions, seen.positions, mirror)
    trust = np.where(contradicts, predicted.side_trust - dt, np.minimum(predicted.side_trust + dt, config.side_hold))
    # Half of the time until the sides may change again.
    believed = contradicts & (trust < 0)
    trust = np.where(believed, config.side_hold / 2, trust)
    exchanged = contradicts & ~believed
    predicted = replace(predicted, side_trust=trust)
    if believed.any():
        turned = _exchanged(predicted, mirror, believed)
        predicted = replace(predicted, positions=turned.positions, status=turned.status, missing_ns=turned.missing_ns)
    if not exchanged.any():
        return predicted, seen, 0
    return predicted, _doubted(_exchanged(seen, mirror, exchanged), mirror, exchanged), int(exchanged.sum())


def _fits_exchanged(predicted: FloatArray, seen: FloatArray, mirror: Sequence[int]) -> NDArray[np.bool_]:
    """(T,) whether measured joints (T, J, 3) are clearly nearer to the predicted ones with left and right exchanged."""
    order = np.array(mirror)
    sided = order != np.arange(len(order))
    straight = np.linalg.norm(seen - predicted, axis=-1)
    crossed = np.linalg.norm(seen[:, order] - predicted, axis=-1)
    both = sided & np.isfinite(straight) & np.isfinite(crossed)
    count = np.maximum(both.sum(axis=1), 1)
    near, far = (np.where(both, each, 0.0).sum(axis=1) / count for each in (crossed, straight))
    return np.asarray((both.sum(axis=1) >= _LEAST_JOINTS) & (far - near > _NEARER) & (near < _FRACTION * far))


def _exchanged(people: Tracks, mirror: Sequence[int], chosen: NDArray[np.bool_]) -> Tracks:
    """Left and right of some people exchanged."""
    order = np.array(mirror)

    def exchange(values: NDArray[Any]) -> NDArray[Any]:
        pick = chosen.reshape(-1, *(1,) * (values.ndim - 1))
        return np.where(pick, values[:, order], values)

    names = ("positions", "confidences", "status", "covariances", "missing_ns")
    exchanged: dict[str, Any] = {name: exchange(getattr(people, name)) for name in names}
    return replace(people, **exchanged)


def _doubted(people: Tracks, mirror: Sequence[int], chosen: NDArray[np.bool_]) -> Tracks:
    """Less sure of what was exchanged: it may have been right."""
    apart = people.positions[:, np.array(mirror)] - people.positions
    outer = (apart[..., :, None] * apart[..., None, :])[..., _UPPER[0], _UPPER[1]]
    there = chosen[:, None] & (people.status != JointStatus.MISSING)
    doubt = np.where(np.isfinite(outer), _DOUBT * outer, 0.0)
    return replace(
        people,
        confidences=np.where(there, _TRUST * people.confidences, people.confidences),
        covariances=np.where(there[..., None], people.covariances + doubt, people.covariances),
    )
