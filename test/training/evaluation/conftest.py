"""People made by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.joint_sets import ITOP15
from unipose_training.evaluation.matching import PosePairs, ScoredFrame, match_people, pose_pairs

#: A person of plausible size, standing at the origin, who faces the camera (looks along -z);
#: x right, y down, so the left side has positive x. Middle of the trunk at the origin.
_STANDING = {
    "head": (0, -0.50, 0), "neck": (0, -0.25, 0), "torso": (0, 0, 0),
    "left_shoulder": (0.18, -0.25, 0), "right_shoulder": (-0.18, -0.25, 0),
    "left_elbow": (0.25, 0.05, 0), "right_elbow": (-0.25, 0.05, 0),
    "left_hand": (0.28, 0.35, 0), "right_hand": (-0.28, 0.35, 0),
    "left_hip": (0.10, 0.25, 0), "right_hip": (-0.10, 0.25, 0),
    "left_knee": (0.12, 0.70, 0), "right_knee": (-0.12, 0.70, 0),
    "left_foot": (0.12, 1.15, 0), "right_foot": (-0.12, 1.15, 0),
}  # fmt: skip
STANDING = np.array([_STANDING[joint] for joint in ITOP15.joints], float)


@pytest.fixture
def standing() -> np.ndarray:
    """(15, 3) the standing person."""
    return STANDING.copy()


@pytest.fixture
def people() -> Callable[..., Skeletons]:
    """Skeletons of (N, 15, 3) positions; NaN joints are missing."""
    return _people


@pytest.fixture
def pairs() -> Callable[..., PosePairs]:
    """Pairs of (T, 15, 3) ground truth and prediction of one person, one row a frame, 10 frames a second."""

    def make(ground_truth: Any, predicted: Any, hidden: Any = None, covariances: Any = None) -> PosePairs:
        frames = []
        for t, (true, found) in enumerate(zip(ground_truth, predicted, strict=True)):
            stamp = t * 100_000_000
            extra = None if covariances is None else [covariances[t]]
            there = [found] if np.isfinite(found).any() else []
            true_people = _people([true], stamp, ["anna"], None if hidden is None else [hidden[t]])
            predicted_people = _people(there, stamp, ["aaaaa"] * len(there), covariances=extra)
            matches = match_people(predicted_people, true_people)
            frames.append(ScoredFrame(0, predicted_people, true_people, matches))
        return pose_pairs(frames, ITOP15)

    return make


def _people(
    positions: Any, stamp: int = 0, ids: Sequence[str] = (), hidden: Any = None, covariances: Any = None
) -> Skeletons:
    places = np.asarray(positions, np.float32).reshape(-1, 15, 3)
    missing = np.isnan(places).any(axis=-1)
    status = np.where(missing, JointStatus.MISSING, JointStatus.MEASURED).astype(np.uint8)
    if hidden is not None:
        status[np.asarray(hidden, bool)] = JointStatus.INFERRED
    return Skeletons(
        stamp_ns=stamp,
        frame_id="camera",
        modality="lookup",
        positions=places,
        confidences=(~missing).astype(np.float32),
        status=status,
        scores=np.ones(len(places), np.float32),
        covariances=None if covariances is None else np.asarray(covariances, np.float32),
        ids=tuple(ids),
    )
