"""Which predicted person is which true one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.tracking.assignment import match

#: A prediction whose joints are further than this from a true person's on average is somebody else, metres.
MATCH_GATE = 0.5
#: With fewer visible joints than this a true person can be neither demanded nor denied.
MIN_VISIBLE_JOINTS = 3


@dataclass(frozen=True, eq=False)
class Matches:
    """The people of one frame, by index.

    Attributes:
        predicted, true: (M,) the pairs, among those true people who count.
        missed: true people who count and have no prediction.
        extra: predictions of nobody (false positives).
        ignored: true people who do not count, because almost nothing of them can be seen.
        excused: predictions of those who do not count.
    """

    predicted: NDArray[np.intp]
    true: NDArray[np.intp]
    missed: NDArray[np.intp]
    extra: NDArray[np.intp]
    ignored: NDArray[np.intp]
    excused: NDArray[np.intp]


def mean_distances(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean distance over the joints that both have.

    Args:
        first, second: (A, J, 3) and (B, J, 3) metres, NaN for a missing joint.

    Returns:
        (A, B) metres; infinite without a joint in common.
    """
    distances = np.linalg.norm(np.asarray(first, np.float64)[:, None] - second[None], axis=-1)
    common = np.isfinite(distances)
    total = np.where(common, distances, 0.0).sum(axis=-1)
    mean = total / np.maximum(common.sum(axis=-1), 1)
    return np.asarray(np.where(common.any(axis=-1), mean, np.inf))


def match_people(predicted: Skeletons, truth: Skeletons, gate: float = MATCH_GATE) -> Matches:
    """Pair predictions with true people at the least total of mean joint distances, within the gate.

    True people of whom fewer than :data:`MIN_VISIBLE_JOINTS` joints are visible take part, so
    that a prediction of them is no false positive, but they do not count.
    """
    distances = mean_distances(truth.positions, predicted.positions)
    true, found = match(distances, np.full(len(truth), gate))
    demanded = (truth.status == JointStatus.MEASURED).sum(axis=1) >= MIN_VISIBLE_JOINTS
    counts = demanded[true]
    return Matches(
        predicted=found[counts],
        true=true[counts],
        missed=np.setdiff1d(np.flatnonzero(demanded), true),
        extra=np.setdiff1d(np.arange(len(predicted)), found),
        ignored=np.flatnonzero(~demanded),
        excused=found[~counts],
    )


@dataclass(frozen=True)
class Detection:
    """How many of the people were found.

    Attributes:
        frames: frames with truth.
        people: true people who count, over all frames.
        matched, missed, extra: of the true and the predicted people.
        ignored: true people who did not count.
        precision, recall: matched of those predicted, and of those who count; NaN of none.
    """

    frames: int
    people: int
    matched: int
    missed: int
    extra: int
    ignored: int
    precision: float
    recall: float


def count_people(matches: list[Matches]) -> Detection:
    """Sums over frames."""
    matched = sum(len(m.true) for m in matches)
    missed = sum(len(m.missed) for m in matches)
    extra = sum(len(m.extra) for m in matches)
    return Detection(
        frames=len(matches),
        people=matched + missed,
        matched=matched,
        missed=missed,
        extra=extra,
        ignored=sum(len(m.ignored) for m in matches),
        precision=share(matched, matched + extra),
        recall=share(matched, matched + missed),
    )


def share(part: float, whole: float) -> float:
    """A fraction; NaN of nothing."""
    return part / whole if whole else float("nan")
