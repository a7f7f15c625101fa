"""Whether limbs keep their lengths, and whether the lengths are right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.skeletons import JointSet


@dataclass(frozen=True)
class BoneLength:
    """One bone over all tracks.

    Attributes:
        name: of the joint at its far end and the one it hangs on.
        tracks: people who had it in at least two frames.
        mean_mm: mean length over the tracks.
        spread_mm: standard deviation over time within a track, averaged over tracks.
        error_mm: predicted less true length, averaged over frames; NaN without truth.
    """

    name: str
    tracks: int
    mean_mm: float
    spread_mm: float
    error_mm: float


def bone_lengths(positions: NDArray[np.floating], joint_set: JointSet) -> NDArray[np.float64]:
    """(..., J, 3) -> (..., B) metres in the order of ``joint_set.bones``; NaN without both ends."""
    ends = np.array([[bone.parent, bone.child] for bone in joint_set.bones])
    values = np.asarray(positions, np.float64)
    return np.asarray(np.linalg.norm(values[..., ends[:, 1], :] - values[..., ends[:, 0], :], axis=-1))


def bone_consistency(
    predicted: NDArray[np.floating],
    truth: NDArray[np.floating] | None,
    tracks: Iterable[NDArray[np.intp]],
    joint_set: JointSet,
) -> list[BoneLength]:
    """Every bone's length over time.

    Args:
        predicted: (N, J, 3) metres.
        truth: the same rows, or ``None``.
        tracks: rows of one person each.
    """
    lengths = bone_lengths(predicted, joint_set)
    errors = np.full_like(lengths, np.nan) if truth is None else lengths - bone_lengths(truth, joint_set)
    rows = list(tracks)
    return [_bone(_name(joint_set, b), lengths[:, b], errors[:, b], rows) for b in range(lengths.shape[1])]


def _name(joint_set: JointSet, bone: int) -> str:
    ends = joint_set.bones[bone]
    return f"{joint_set.joints[ends.child]}-{joint_set.joints[ends.parent]}"


def _bone(
    name: str, lengths: NDArray[np.float64], errors: NDArray[np.float64], tracks: Sequence[NDArray[np.intp]]
) -> BoneLength:
    known = [lengths[rows][np.isfinite(lengths[rows])] for rows in tracks]
    known = [values for values in known if len(values) > 1]
    return BoneLength(
        name=name,
        tracks=len(known),
        mean_mm=_mean([float(values.mean()) for values in known]),
        spread_mm=_mean([float(values.std()) for values in known]),
        error_mm=_mean(errors[np.isfinite(errors)].tolist()),
    )


def _mean(metres: list[float]) -> float:
    return 1e3 * float(np.mean(metres)) if metres else float("nan")
