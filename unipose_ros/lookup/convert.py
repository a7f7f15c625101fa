"""The 13 lifted joints -> the canonical 15, with what is known about them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.lookup.body import BODY13
from unipose_ros.lookup.lift import LiftedPeople
from unipose_ros.skeletons import ITOP15, conversion_weights

FloatArray = NDArray[np.float64]


@cache
def _recipes() -> tuple[FloatArray, ...]:
    """(15, 13) weights of the best recipes of all joints, of the second best, ...; 0 where none is left."""
    table = conversion_weights(BODY13, ITOP15)
    depth = max(len(recipes) for recipes in table)
    none = np.zeros(len(BODY13))
    return tuple(
        np.stack([recipes[rank][1] if rank < len(recipes) else none for recipes in table]) for rank in range(depth)
    )


def to_skeletons(people: LiftedPeople, stamp_ns: int, frame_id: str, modality: str) -> Skeletons:
    """Lifted people as untracked :class:`~unipose_ros.frame.Skeletons` in ITOP order.

    A joint mixed from others is as confident as the least confident of them and MEASURED only if
    all of them are; one that is extrapolated (the head from the trunk) is INFERRED. Its covariance
    is the mixture of theirs: their errors go together, so no credit is taken for averaging.
    """
    count, joints = len(people.scores), len(ITOP15)
    positions = np.full((count, joints, 3), np.nan, np.float32)
    confidences = np.zeros((count, joints), np.float32)
    status = np.full((count, joints), JointStatus.MISSING, np.uint8)
    covariances = np.full((count, joints, 6), np.nan, np.float32)
    present = people.status != JointStatus.MISSING
    for weights in _recipes():
        used = weights != 0
        usable = used.any(axis=1) & ~(~present @ used.T)
        fill = usable & (status == JointStatus.MISSING)
        if not fill.any():
            continue
        positions[fill] = (weights @ np.nan_to_num(people.positions))[fill]
        confidences[fill] = _least(people.confidences, used)[fill]
        grade = np.where((weights < 0).any(axis=1), JointStatus.INFERRED, _least(people.status, used))
        status[fill] = grade[fill].astype(np.uint8)
        covariances[fill] = (np.abs(weights) @ np.nan_to_num(people.covariances))[fill]
    return Skeletons(
        stamp_ns=stamp_ns,
        frame_id=frame_id,
        modality=modality,
        positions=positions,
        confidences=confidences,
        status=status,
        scores=people.scores.astype(np.float32),
        covariances=covariances,
    )


def _least(values: NDArray[Any], used: NDArray[np.bool_]) -> FloatArray:
    """(N, 13) values -> (N, 15) least of those that each target joint uses."""
    result: FloatArray = np.where(used, values[:, None], np.inf).min(axis=-1)
    return result
