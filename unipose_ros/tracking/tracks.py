"""All tracks, as a set of arrays, and the steps that change it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from unipose_ros.config import TrackerConfig
from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.geometry.covariance import VARIANCES, transformed
from unipose_ros.tracking.assignment import nan_median
from unipose_ros.tracking.motion import Motion, blend_factor, smooth

Rows = TypeVar("Rows", "Tracks", Motion)
NANOSECONDS = 1_000_000_000
#: Seconds of contradiction after which a person who is new is believed to have the sides the other way round.
_FIRST_TRUST = 0.1
#: Fewer bones do not tell a size; over so many frames it is averaged.
_LEAST_BONES, _SIZE_FRAMES = 4, 20


@dataclass(frozen=True, eq=False)
class Tracks:
    """T people with J joints. Every attribute has one row per person.

    Attributes:
        ids: (T,) names; empty for a detection without a track.
        positions: (T, J, 3) meters, smoothed or predicted; NaN where MISSING.
        confidences: (T, J) in [0, 1], fading while a joint is predicted.
        status: (T, J) of :class:`JointStatus`.
        covariances: (T, J, 6) square meters; NaN where the estimator gave none.
        motion: of the whole bodies.
        sizes: (T,) of the bodies, 1 for the average; NaN where it cannot be told.
        scores: (T,) in [0, 1], fading while the person is predicted.
        hits: (T,) number of frames in which the person was seen.
        first_ns, seen_ns: (T,) stamps of the first and the latest of them.
        unseen_ns: (T,) for how long frames were processed since without the person; see ``max_age``.
        missing_ns: (T, J) for how long the person was seen without this joint.
        side_trust: (T,) seconds for which measurements have confirmed which side is left, at most ``side_hold``.
    """

    ids: NDArray[np.str_]
    positions: NDArray[np.float64]
    confidences: NDArray[np.float64]
    status: NDArray[np.uint8]
    covariances: NDArray[np.float64]
    motion: Motion
    sizes: NDArray[np.float64]
    scores: NDArray[np.float64]
    hits: NDArray[np.int64]
    first_ns: NDArray[np.int64]
    seen_ns: NDArray[np.int64]
    unseen_ns: NDArray[np.int64]
    missing_ns: NDArray[np.int64]
    side_trust: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, rows: NDArray[Any]) -> Tracks:
        """The people of an index or boolean array, in its order."""
        return _each(lambda values: values[rows], self)

    def joined(self, other: Tracks) -> Tracks:
        """These people, then the others."""
        return _each(lambda mine, theirs: np.concatenate([mine, theirs]), self, other)

    def updated(self, rows: NDArray[np.intp], people: Tracks) -> Tracks:
        """The same people with new values in some rows."""

        def put(mine: NDArray[Any], theirs: NDArray[Any]) -> NDArray[Any]:
            values = mine.copy()
            values[rows] = theirs
            return values

        return _each(put, self, people)

    def named(self, names: list[str]) -> Tracks:
        """The same people under new ids."""
        return replace(self, ids=np.array(names, "<U5"))

    @classmethod
    def from_skeletons(cls, people: Skeletons) -> Tracks:
        """Detections as people seen once, without name and motion.

        A joint with any coordinate that is not finite has none.
        """
        count, joints = people.confidences.shape
        given = np.asarray(np.isfinite(people.positions).all(axis=-1))
        covariances = people.covariances if people.covariances is not None else np.full((count, joints, 6), np.nan)
        stamps = np.full(count, people.stamp_ns, np.int64)
        return cls(
            ids=np.full(count, "", "<U5"),
            positions=np.where(given[..., None], people.positions, np.nan).astype(np.float64),
            confidences=np.where(given, people.confidences, 0).astype(np.float64),
            status=np.where(given, people.status, JointStatus.MISSING).astype(np.uint8),
            covariances=covariances.astype(np.float64),
            motion=Motion.unknown(count),
            sizes=body_sizes(people),
            scores=people.scores.astype(np.float64),
            hits=np.ones(count, np.int64),
            first_ns=stamps,
            seen_ns=stamps,
            unseen_ns=np.zeros(count, np.int64),
            missing_ns=np.zeros((count, joints), np.int64),
            side_trust=np.full(count, _FIRST_TRUST),
        )


def _each(change: Callable[..., NDArray[Any]], *people: Rows) -> Rows:
    """A function of every array of the same kind of people."""
    first = people[0]
    values = {item.name: [getattr(each, item.name) for each in people] for item in fields(first)}
    changed: dict[str, Any] = {
        name: _each(change, *parts) if is_dataclass(parts[0]) else change(*parts) for name, parts in values.items()
    }
    return type(first)(**changed)


def body_sizes(people: Skeletons) -> NDArray[np.float64]:
    """(N,) median ratio of a person's bones to the population's; NaN with too few of both ends measured."""
    bones = [bone for bone in people.joint_set.bones if bone.length > 0]
    if not bones:
        return np.full(len(people), np.nan)
    parents, children = ([getattr(bone, end) for bone in bones] for end in ("parent", "child"))
    lengths = np.linalg.norm(people.positions[:, parents] - people.positions[:, children], axis=-1)
    measured = people.status == JointStatus.MEASURED
    known = measured[:, parents] & measured[:, children] & np.isfinite(lengths)
    ratios = np.where(known, lengths / np.array([bone.length for bone in bones]), np.nan)
    return np.where(known.sum(axis=1) >= _LEAST_BONES, nan_median(ratios), np.nan)


def as_camera_moved(tracks: Tracks, motion: NDArray[np.float64]) -> Tracks:
    """All tracks in the camera's frame after it moved: tracks belong to the ground, not to the camera.

    Args:
        motion: (4, 4) rigid transform, the camera's frame before -> its frame now, meters.
    """
    rotation = motion[:3, :3]
    return replace(
        tracks,
        positions=tracks.positions @ rotation.T + motion[:3, 3],
        motion=tracks.motion.turned(rotation),
        covariances=transformed(tracks.covariances, rotation),
    )


def predict(tracks: Tracks, dt_ns: int, coasting: NDArray[np.bool_], config: TrackerConfig) -> Tracks:
    """All tracks ``dt_ns`` later without a measurement: positions move on, certainty goes.

    The body moves as a whole, slower and slower while a person is ``coasting``, (T,) not seen in the last frame
    either; joints are not moved against it.
    """
    dt = dt_ns / NANOSECONDS
    motion, moved = tracks.motion.predicted(dt, coasting, config.velocity_decay)
    fading = math.exp(-dt / config.confidence_decay)
    covariances = tracks.covariances.copy()
    covariances[..., VARIANCES] += config.process_noise_std**2 * dt
    there = tracks.status != JointStatus.MISSING
    return replace(
        tracks,
        positions=tracks.positions + moved[:, None],
        motion=motion,
        confidences=tracks.confidences * fading,
        scores=tracks.scores * fading,
        covariances=covariances,
        status=np.where(there, JointStatus.INFERRED, JointStatus.MISSING).astype(np.uint8),
    )


def correct(predicted: Tracks, seen: Tracks, dt_ns: int, config: TrackerConfig) -> Tracks:
    """Predicted people and the detections that go with them, row by row -> the people now.

    A joint that was not seen keeps its prediction for ``joint_max_age``. A smoothed joint keeps the
    covariance of its measurement: errors of successive frames are alike, so the mean is hardly surer.
    """
    dt = dt_ns / NANOSECONDS
    factor = blend_factor(dt, config.smoothing)
    given = seen.status != JointStatus.MISSING
    missing_ns = np.where(given, 0, predicted.missing_ns + dt_ns)
    lost = missing_ns > config.joint_max_age * NANOSECONDS
    positions = smooth(predicted.positions, seen.positions, factor, config.fast_motion_threshold)
    return Tracks(
        ids=predicted.ids,
        positions=np.where(lost[..., None], np.nan, positions),
        confidences=np.where(lost, 0, np.where(given, seen.confidences, predicted.confidences)),
        status=np.where(lost, JointStatus.MISSING, np.where(given, seen.status, predicted.status)).astype(np.uint8),
        covariances=np.where(given[..., None], seen.covariances, predicted.covariances),
        motion=predicted.motion.corrected(
            seen.positions - predicted.positions, positions - predicted.positions, config.max_speed
        ),
        sizes=_mixed_sizes(predicted.sizes, seen.sizes, predicted.hits),
        scores=seen.scores,
        hits=predicted.hits + 1,
        first_ns=predicted.first_ns,
        seen_ns=seen.seen_ns,
        unseen_ns=seen.unseen_ns,
        missing_ns=missing_ns,
        side_trust=predicted.side_trust,
    )


def _mixed_sizes(
    known: NDArray[np.float64], measured: NDArray[np.float64], hits: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean of the sizes so far, a moving one after a while; what is NaN does not count."""
    share = 1 / np.minimum(hits + 1, _SIZE_FRAMES)
    mixed = known + share * (measured - known)
    return np.where(np.isnan(known), measured, np.where(np.isnan(measured), known, mixed))
