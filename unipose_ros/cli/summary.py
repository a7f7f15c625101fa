"""What the demo measured, as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import Skeletons, TrackState
from unipose_ros.tracking.assignment import match, mean_distances

#: A person and a true person further apart than this are not the same, meters.
MATCH_DISTANCE = 0.5


@dataclass(frozen=True, eq=False)
class Received:
    """One message of the node.

    Attributes:
        stamp_ns: acquisition time in the recording (not moved to the time of playing).
        latency_ms: from acquisition to its arrival at the recorder.
        skeletons: what it said.
    """

    stamp_ns: int
    latency_ms: float
    skeletons: Skeletons


def summarize(
    frame_stamps: Sequence[int],
    received: Sequence[Received],
    published_ms: Mapping[str, float],
    stages_ms: Mapping[str, Mapping[str, float]],
    ground_truth: Mapping[int, Skeletons],
) -> dict[str, Any]:
    """The content of ``summary.json``.

    Args:
        frame_stamps: acquisition times of the frames in the recording.
        received: all messages of the node.
        published_ms: acquisition to publication, as the node measured it (p50, p95).
        stages_ms: the same for every stage of the node.
        ground_truth: true people by stamp; empty when the recording has none.
    """
    processed = set(frame_stamps) & {message.stamp_ns for message in received}
    summary: dict[str, Any] = {
        "frames_in": len(frame_stamps),
        "skeleton_messages": len(received),
        "delivered_fraction": round(len(processed) / len(frame_stamps), 4) if frame_stamps else 0.0,
        "people_max": max((len(message.skeletons) for message in received), default=0),
        "ids": sorted(_confirmed_ids(received)),
        "latency_ms": {
            **published_ms,
            "stages": stages_ms,
            "received": percentiles([message.latency_ms for message in received]),
        },
    }
    if ground_truth:
        summary["against_ground_truth"] = score(received, ground_truth)
    return summary


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50 and p95; empty for no values."""
    if not values:
        return {}
    p50, p95 = np.percentile(np.asarray(values), [50, 95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}


def _confirmed_ids(received: Sequence[Received]) -> set[str]:
    return {
        person_id
        for message in received
        for person_id, state in zip(message.skeletons.ids, message.skeletons.states, strict=True)
        if state == TrackState.TRACKED
    }


def score(received: Sequence[Received], ground_truth: Mapping[int, Skeletons]) -> dict[str, Any]:
    """Mean joint position error (MPJPE, no alignment) and how many of the true people were found.

    People are matched to true people frame by frame, by least mean distance, within
    :data:`MATCH_DISTANCE`; joints that were not found do not count into the error, so the
    fraction of joints found stands beside it.
    """
    errors: list[NDArray[np.floating]] = []
    people, wanted_joints = 0, 0
    for message in received:
        if message.stamp_ns not in ground_truth:
            continue
        wanted = ground_truth[message.stamp_ns]
        people += len(wanted)
        wanted_joints += int(np.isfinite(wanted.positions).all(axis=-1).sum())
        errors.extend(_matched_errors(message.skeletons.positions, wanted.positions))
    joints = np.concatenate(errors) if errors else np.zeros(0)
    joints = joints[np.isfinite(joints)]
    return {
        "people_found_fraction": round(len(errors) / people, 4) if people else 0.0,
        "joints_found_fraction": round(len(joints) / wanted_joints, 4) if wanted_joints else 0.0,
        "mpjpe_mm": round(float(joints.mean()) * 1e3, 1) if len(joints) else None,
        "median_mm": round(float(np.median(joints)) * 1e3, 1) if len(joints) else None,
    }


def _matched_errors(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> list[NDArray[np.floating]]:
    """Joint errors (J,) in meters of every matched person; NaN where a joint is missing."""
    rows, columns = match(mean_distances(wanted, found), np.full(len(wanted), MATCH_DISTANCE))
    return list(np.linalg.norm(found[columns] - wanted[rows], axis=-1))
