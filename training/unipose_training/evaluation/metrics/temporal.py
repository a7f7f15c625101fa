"""Speed, and how much joints tremble from frame to frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from unipose_ros.joint_sets import JointSet

# Whether limbs keep their lengths, and whether the lengths are right.


@dataclass(frozen=True)
class BoneLength:
    """One bone over all tracks.

    Attributes:
        name: of the joint at its far end and the one it hangs on.
        tracks: people who had it in at least two frames.
        mean_mm: mean length over the tracks.
        std_mm: standard deviation over time within a track, averaged over tracks.
        error_mm: predicted less true length, averaged over frames; NaN without ground truth.
    """

    name: str
    tracks: int
    mean_mm: float
    std_mm: float
    error_mm: float


@dataclass(frozen=True)
class LimbLength:
    """A kind of limb, predicted and true, over the poses that have both; both sides together.

    Attributes:
        name: of the limb.
        count: limbs compared.
        predicted_mm, true_mm: mean lengths; NaN of none.
        ratio: predicted over true mean: below 1 people are made smaller than they are.
    """

    name: str
    count: int
    predicted_mm: float
    true_mm: float
    ratio: float


#: Landmarks at both ends of a limb; ``{}`` is the side, and a limb without it lies across.
LIMB_ENDS = {
    "upper arm": ("{}_shoulder", "{}_elbow"),
    "forearm": ("{}_elbow", "{}_wrist"),
    "thigh": ("{}_hip", "{}_knee"),
    "shin": ("{}_knee", "{}_ankle"),
    "shoulder width": ("left_shoulder", "right_shoulder"),
}


def limb_lengths(
    predicted: NDArray[np.floating], ground_truth: NDArray[np.floating], joint_set: JointSet
) -> tuple[LimbLength, ...]:
    """Lengths by kind of limb of (N, J, 3) poses; kinds that the joint set does not have are left out."""
    return tuple(
        _limb(name, *(_distances(poses, joint_set, ends) for poses in (predicted, ground_truth)))
        for name, ends in LIMB_ENDS.items()
        if _limb_joints(joint_set, ends)
    )


def _limb_joints(joint_set: JointSet, ends: tuple[str, str]) -> list[tuple[int, int]]:
    names = joint_set.landmarks
    named = dict.fromkeys(tuple(end.format(side) for end in ends) for side in ("left", "right"))
    return [(names.index(a), names.index(b)) for a, b in named if a in names and b in names]


def _distances(poses: NDArray[np.floating], joint_set: JointSet, ends: tuple[str, str]) -> NDArray[np.float64]:
    starts, stops = (list(joints) for joints in zip(*_limb_joints(joint_set, ends), strict=True))
    values = np.asarray(poses, np.float64)
    return np.asarray(np.linalg.norm(values[:, starts] - values[:, stops], axis=-1))


def _limb(name: str, predicted: NDArray[np.float64], ground_truth: NDArray[np.float64]) -> LimbLength:
    both = np.isfinite(predicted) & np.isfinite(ground_truth)
    if not both.any():
        return LimbLength(name, 0, float("nan"), float("nan"), float("nan"))
    mean, true = float(predicted[both].mean()), float(ground_truth[both].mean())
    return LimbLength(name, int(both.sum()), 1e3 * mean, 1e3 * true, mean / true if true else float("nan"))


def bone_lengths(positions: NDArray[np.floating], joint_set: JointSet) -> NDArray[np.float64]:
    """(..., J, 3) -> (..., B) meters in the order of ``joint_set.bones``; NaN without both ends."""
    ends = np.array([[bone.parent, bone.child] for bone in joint_set.bones])
    values = np.asarray(positions, np.float64)
    return np.asarray(np.linalg.norm(values[..., ends[:, 1], :] - values[..., ends[:, 0], :], axis=-1))


def bone_consistency(
    predicted: NDArray[np.floating],
    ground_truth: NDArray[np.floating] | None,
    tracks: Iterable[NDArray[np.intp]],
    joint_set: JointSet,
) -> list[BoneLength]:
    """Every bone's length over time.

    Args:
        predicted: (N, J, 3) meters.
        ground_truth: the same rows, or ``None``.
        tracks: rows of one person each.
    """
    lengths = bone_lengths(predicted, joint_set)
    errors = np.full_like(lengths, np.nan) if ground_truth is None else lengths - bone_lengths(ground_truth, joint_set)
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
        std_mm=_mean([float(values.std()) for values in known]),
        error_mm=_mean(errors[np.isfinite(errors)].tolist()),
    )


def _mean(meters: list[float]) -> float:
    return 1e3 * float(np.mean(meters)) if meters else float("nan")


# Rows of one person, in the order of time.


#: Frames further apart than this many frame periods do not follow one another.
_LONGEST_STEP = 1.5


def rows_by_person(
    clips: NDArray[np.int64], ids: NDArray[np.str_], stamps_ns: NDArray[np.int64]
) -> dict[tuple[int, str], NDArray[np.intp]]:
    """Rows of each id in each clip, by time. Rows without an id belong to no person."""
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


NANOSECONDS = 1e9


@dataclass(frozen=True)
class Jitter:
    """Lengths of second differences p[t+1] - 2 p[t] + p[t-1], millimeters; NaN of none.

    They grow with the frame period, so only figures of one frame rate can be compared.

    Attributes:
        count: how many joints in how many triples of frames.
    """

    count: int
    median_mm: float
    mean_mm: float
    p95_mm: float


def joint_speeds(
    positions: NDArray[np.float64], stamps_ns: NDArray[np.int64], runs: Iterable[NDArray[np.intp]]
) -> NDArray[np.float64]:
    """(N, J) meters per second by central differences, one-sided at the ends of a run; NaN where unknown.

    Args:
        positions: (N, J, 3) meters.
        runs: rows of one person in successive frames.
    """
    speeds = np.full(positions.shape[:2], np.nan)
    for rows in runs:
        if len(rows) < 2:
            continue
        before = np.maximum(np.arange(len(rows)) - 1, 0)
        after = np.minimum(np.arange(len(rows)) + 1, len(rows) - 1)
        seconds = (stamps_ns[rows[after]] - stamps_ns[rows[before]]) / NANOSECONDS
        moved = np.linalg.norm(positions[rows[after]] - positions[rows[before]], axis=-1)
        speeds[rows] = moved / seconds[:, None]
    return speeds


def second_differences(positions: NDArray[np.float64], runs: Iterable[NDArray[np.intp]]) -> NDArray[np.float64]:
    """(N, J) meters: how far a joint is from continuing its motion; NaN at the ends of a run."""
    result = np.full(positions.shape[:2], np.nan)
    for rows in runs:
        if len(rows) > 2:
            path = positions[rows]
            result[rows[1:-1]] = np.linalg.norm(path[2:] - 2 * path[1:-1] + path[:-2], axis=-1)
    return result


def jitter(differences: NDArray[np.float64]) -> Jitter:
    """Summary of second differences in meters, NaN left out."""
    known = differences[np.isfinite(differences)] * 1e3
    if not known.size:
        return Jitter(0, *[float("nan")] * 3)
    return Jitter(known.size, float(np.median(known)), float(known.mean()), float(np.percentile(known, 95)))
