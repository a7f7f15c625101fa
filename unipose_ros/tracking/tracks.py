"""Everybody being followed, as a set of arrays, and the steps that change it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.config import TrackerConfig
from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.geometry.covariance import VARIANCES
from unipose_ros.tracking.assignment import MIN_COMMON_JOINTS, nan_median

# How a joint's new position is mixed with the predicted one, and what that says about the motion.


def blend_factor(dt: float, time_constant: float) -> float:
    """Share of the new value in an exponential mean: ``1 - exp(-dt / tau)``, 1 for tau = 0.

    The same time constant filters alike at any frame rate.
    """
    return 1.0 if time_constant <= 0 else -math.expm1(-dt / time_constant)


def smooth(
    predicted: NDArray[np.float64], measured: NDArray[np.float64], factor: float, threshold: float
) -> NDArray[np.float64]:
    """Gated exponential mean that lets fast motion through.

    The share of the measurement grows from ``factor`` for a joint where it was expected to 1 for
    a joint that is ``threshold`` or more away. A fixed share lags: on CMU motion capture at 30 Hz it
    puts the limbs of a runner 12 cm off, this one 4 cm.

    Args:
        predicted: (..., J, 3) meters, NaN where nothing is known.
        measured: (..., J, 3) meters, NaN where nothing was seen.
        factor: in (0, 1], see :func:`blend_factor`.
        threshold: meters.

    Returns:
        (..., J, 3); the measurement without a prediction, the prediction without a measurement.
    """
    residual = measured - predicted
    surprise = np.linalg.norm(residual, axis=-1, keepdims=True) / threshold
    share = np.minimum(factor + (1 - factor) * surprise, 1.0)
    mixed = predicted + share * residual
    return np.where(np.isnan(predicted), measured, np.where(np.isnan(measured), predicted, mixed))


def corrected_velocity(
    velocity: NDArray[np.float64],
    predicted: NDArray[np.float64],
    measured: NDArray[np.float64],
    dt: float,
    factor: float,
    max_speed: float,
) -> NDArray[np.float64]:
    """Body velocity after a measurement, from how far the joints were off their predictions.

    The correction is the median over the joints, so limbs and outliers do not count, with the
    gain ``a^2 / (2 - a)`` that goes with a position gain of ``a`` (Benedict and Bordner 1962,
    Synthesis of an optimal set of radar track-while-scan smoothing equations).

    Args:
        velocity: (T, 3) meters per second.
        predicted, measured: (T, J, 3) meters, NaN where unknown.
        dt: seconds since the last frame, positive.
        factor: position gain a, see :func:`blend_factor`.
        max_speed: meters per second; a faster result is shortened to it.

    Returns:
        (T, 3) meters per second; unchanged for a body with too few joints to tell.
    """
    residual = np.moveaxis(measured - predicted, 1, -1)
    enough = np.isfinite(residual).sum(axis=-1) >= MIN_COMMON_JOINTS
    correction = np.where(enough, nan_median(residual), 0.0)
    result = velocity + factor**2 / (2 - factor) * correction / dt
    speed = np.linalg.norm(result, axis=-1, keepdims=True)
    return np.asarray(result * np.minimum(1.0, max_speed / np.maximum(speed, 1e-9)))


NANOSECONDS = 1_000_000_000
#: Seconds of contradiction after which a person who is new is believed to have the sides the other way round.
_FIRST_TRUST = 0.1


@dataclass(frozen=True, eq=False)
class Tracks:
    """T people with J joints. Every attribute has one row per person.

    Attributes:
        ids: (T,) names; empty for a detection that is nobody yet.
        positions: (T, J, 3) meters, smoothed or predicted; NaN where MISSING.
        confidences: (T, J) in [0, 1], fading while a joint is predicted.
        status: (T, J) of :class:`JointStatus`.
        covariances: (T, J, 6) square meters; NaN where the estimator gave none.
        velocities: (T, 3) of the whole body, meters per second.
        scores: (T,) in [0, 1], fading while the person is predicted.
        hits: (T,) number of frames in which the person was seen.
        first_ns, seen_ns: (T,) stamps of the first and the latest of them.
        missing_ns: (T, J) for how long the person was seen without this joint.
        side_trust: (T,) seconds for which measurements have confirmed which side is left, at most ``side_hold``.
    """

    ids: NDArray[np.str_]
    positions: NDArray[np.float64]
    confidences: NDArray[np.float64]
    status: NDArray[np.uint8]
    covariances: NDArray[np.float64]
    velocities: NDArray[np.float64]
    scores: NDArray[np.float64]
    hits: NDArray[np.int64]
    first_ns: NDArray[np.int64]
    seen_ns: NDArray[np.int64]
    missing_ns: NDArray[np.int64]
    side_trust: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, rows: NDArray[Any]) -> Tracks:
        """The people of an index or boolean array, in its order."""
        return Tracks(**{item.name: getattr(self, item.name)[rows] for item in fields(self)})

    def joined(self, other: Tracks) -> Tracks:
        """These people, then the others."""
        pairs = {item.name: (getattr(self, item.name), getattr(other, item.name)) for item in fields(self)}
        return Tracks(**{name: np.concatenate(pair) for name, pair in pairs.items()})

    def updated(self, rows: NDArray[np.intp], people: Tracks) -> Tracks:
        """The same people with new values in some rows."""
        values = {item.name: getattr(self, item.name).copy() for item in fields(self)}
        for name, value in values.items():
            value[rows] = getattr(people, name)
        return Tracks(**values)

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
            velocities=np.zeros((count, 3)),
            scores=people.scores.astype(np.float64),
            hits=np.ones(count, np.int64),
            first_ns=stamps,
            seen_ns=stamps,
            missing_ns=np.zeros((count, joints), np.int64),
            side_trust=np.full(count, _FIRST_TRUST),
        )


def predict(tracks: Tracks, dt_ns: int, coasting: NDArray[np.bool_], config: TrackerConfig) -> Tracks:
    """Where everybody is ``dt_ns`` later if nobody looks: positions move on, certainty goes.

    The body moves as a whole; joints are not moved against it. The velocity dies away while a
    person is ``coasting``, (T,) not seen in the last frame either; slowing down those who are
    seen would make them lag.
    """
    dt = dt_ns / NANOSECONDS
    slowing = np.where(coasting, math.exp(-dt / config.velocity_decay), 1.0)[:, None]
    seconds = np.where(coasting[:, None], config.velocity_decay * (1 - slowing), dt)
    fading = math.exp(-dt / config.confidence_decay)
    covariances = tracks.covariances.copy()
    covariances[..., VARIANCES] += config.process_noise_std**2 * dt
    there = tracks.status != JointStatus.MISSING
    return replace(
        tracks,
        positions=tracks.positions + (tracks.velocities * seconds)[:, None],
        velocities=tracks.velocities * slowing,
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
        velocities=corrected_velocity(
            predicted.velocities, predicted.positions, seen.positions, dt, factor, config.max_speed
        ),
        scores=seen.scores,
        hits=predicted.hits + 1,
        first_ns=predicted.first_ns,
        seen_ns=seen.seen_ns,
        missing_ns=missing_ns,
        side_trust=predicted.side_trust,
    )
