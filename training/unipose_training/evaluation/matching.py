"""Which predicted person is which true one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.joint_sets import ITOP15, JointSet, convert_joints
from unipose_ros.tracking.assignment import match, mean_distances
from unipose_training.evaluation.metrics.pose import joint_errors, procrustes_aligned

#: A prediction whose joints are further than this from a true person's on average is another person, meters.
MATCH_GATE = 0.5
#: With fewer visible joints than this a true person can be neither demanded nor denied.
MIN_VISIBLE_JOINTS = 3


@dataclass(frozen=True, eq=False)
class Matches:
    """The people of one frame, by index.

    Attributes:
        predicted, true: (M,) the pairs, among those true people who count.
        missed: true people who count and have no prediction.
        extra: predictions without a person (false positives).
        ignored: true people who do not count, because almost nothing of them can be seen.
        excused: predictions of those who do not count.
    """

    predicted: NDArray[np.intp]
    true: NDArray[np.intp]
    missed: NDArray[np.intp]
    extra: NDArray[np.intp]
    ignored: NDArray[np.intp]
    excused: NDArray[np.intp]


def match_people(predicted: Skeletons, ground_truth: Skeletons, gate: float = MATCH_GATE) -> Matches:
    """Pair predictions with true people at the least total of mean joint distances, within the gate.

    True people of whom fewer than :data:`MIN_VISIBLE_JOINTS` joints are visible take part, so
    that a prediction of them is no false positive, but they do not count.
    """
    distances = mean_distances(ground_truth.positions, predicted.positions)
    true, found = match(distances, np.full(len(ground_truth), gate))
    demanded = (ground_truth.status == JointStatus.MEASURED).sum(axis=1) >= MIN_VISIBLE_JOINTS
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
        frames: frames with ground truth.
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


# All true people of an evaluation beside what was predicted of them: what the metrics are taken of.


_TORSO = ITOP15.index("torso")


@dataclass(frozen=True, eq=False)
class ScoredFrame:
    """One frame with ground truth: what was predicted, what is true, and who is who.

    Attributes:
        clip: number of the recording.
        predicted, ground_truth: in the same joint set and the camera's optical frame.
    """

    clip: int
    predicted: Skeletons
    ground_truth: Skeletons
    matches: Matches


@dataclass(frozen=True, eq=False)
class PosePairs:
    """N rows, one for every true person who counts in a frame; J joints.

    Attributes:
        joint_set: of both sides.
        clips: (N,) number of the recording.
        stamps_ns: (N,) of the frame.
        true_ids, predicted_ids: (N,) track ids; "" where there is none.
        ground_truth, predicted: (N, J, 3) meters, NaN for a missing joint; a person who was not found has no joint.
        visible: (N, J) the camera sees this joint's place on the person.
        measured: (N, J) the prediction claims to have measured the joint.
        confidences: (N, J) of the prediction, NaN where it has no joint.
        covariances: (N, J, 6) square meters, NaN where there is none.
    """

    joint_set: JointSet
    clips: NDArray[np.int64]
    stamps_ns: NDArray[np.int64]
    true_ids: NDArray[np.str_]
    predicted_ids: NDArray[np.str_]
    ground_truth: NDArray[np.float64]
    predicted: NDArray[np.float64]
    visible: NDArray[np.bool_]
    measured: NDArray[np.bool_]
    confidences: NDArray[np.float64]
    covariances: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @cached_property
    def counted(self) -> NDArray[np.bool_]:
        """(N, J) the ground truth has this joint; a prediction without it is wrong."""
        return np.asarray(np.isfinite(self.ground_truth).all(axis=-1))

    @cached_property
    def found(self) -> NDArray[np.bool_]:
        """(N,) the person was found."""
        return np.asarray(np.asarray(np.isfinite(self.predicted).all(axis=-1)).any(axis=1))

    @cached_property
    def errors(self) -> NDArray[np.float64]:
        """(N, J) meters where the people stand; NaN without prediction or ground truth."""
        return joint_errors(self.predicted, self.ground_truth)

    @cached_property
    def root_aligned_errors(self) -> NDArray[np.float64]:
        """(N, J) meters after moving both torsos to the origin."""
        predicted, ground_truth = (
            values - torsos(values, self.joint_set)[:, None] for values in (self.predicted, self.ground_truth)
        )
        return joint_errors(predicted, ground_truth)

    @cached_property
    def procrustes_errors(self) -> NDArray[np.float64]:
        """(N, J) meters after the best similarity of each pose."""
        return joint_errors(procrustes_aligned(self.predicted, self.ground_truth), self.ground_truth)


def torsos(positions: NDArray[np.floating], joint_set: JointSet) -> NDArray[np.float64]:
    """(N, J, 3) -> (N, 3): the torso of ITOP, the middle of shoulders and hips, in any joint set; NaN without it.

    The root of all root-aligned figures, so that they mean the same for every joint set.
    """
    converted, _ = convert_joints(np.asarray(positions, np.float64), joint_set, ITOP15)
    return np.asarray(converted[..., _TORSO, :])


def pose_pairs(frames: Sequence[ScoredFrame], joint_set: JointSet) -> PosePairs:
    """Every true person who counts, in the order of the frames, found or not."""
    rows = [_frame_rows(frame) for frame in frames]
    rows.append(_no_rows(len(joint_set)))
    joined = {name: np.concatenate([row[name] for row in rows]) for name in rows[-1]}
    return PosePairs(joint_set=joint_set, **joined)


def _frame_rows(frame: ScoredFrame) -> dict[str, NDArray[Any]]:
    matches, ground_truth, predicted = frame.matches, frame.ground_truth, frame.predicted
    people = np.concatenate([matches.true, matches.missed])
    found, joints = len(matches.true), ground_truth.positions.shape[1]
    rows: dict[str, NDArray[Any]] = {
        "clips": np.full(len(people), frame.clip, np.int64),
        "stamps_ns": np.full(len(people), ground_truth.stamp_ns, np.int64),
        "true_ids": np.array([ground_truth.ids[i] for i in people], np.str_),
        "predicted_ids": np.array([predicted.ids[i] for i in matches.predicted] + [""] * len(matches.missed), np.str_),
        "ground_truth": ground_truth.positions[people].astype(np.float64),
        "predicted": np.full((len(people), joints, 3), np.nan),
        "visible": ground_truth.status[people] == JointStatus.MEASURED,
        "measured": np.zeros((len(people), joints), np.bool_),
        "confidences": np.full((len(people), joints), np.nan),
        "covariances": np.full((len(people), joints, 6), np.nan),
    }
    rows["predicted"][:found] = predicted.positions[matches.predicted]
    rows["measured"][:found] = predicted.status[matches.predicted] == JointStatus.MEASURED
    there = predicted.status[matches.predicted] != JointStatus.MISSING
    rows["confidences"][:found] = np.where(there, predicted.confidences[matches.predicted], np.nan)
    if predicted.covariances is not None:
        rows["covariances"][:found] = predicted.covariances[matches.predicted]
    return rows


def _no_rows(joints: int) -> dict[str, NDArray[Any]]:
    return {
        "clips": np.zeros(0, np.int64),
        "stamps_ns": np.zeros(0, np.int64),
        "true_ids": np.zeros(0, np.str_),
        "predicted_ids": np.zeros(0, np.str_),
        "ground_truth": np.zeros((0, joints, 3)),
        "predicted": np.zeros((0, joints, 3)),
        "visible": np.zeros((0, joints), np.bool_),
        "measured": np.zeros((0, joints), np.bool_),
        "confidences": np.zeros((0, joints)),
        "covariances": np.zeros((0, joints, 6)),
    }
