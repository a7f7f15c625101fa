"""All tracks, as a set of arrays, and the steps that change it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from unipose_ros.compiled import ENABLED, compiled
from unipose_ros.config import TrackerConfig
from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.geometry.covariance import VARIANCES, transformed
from unipose_ros.geometry.medians import nan_median
from unipose_ros.joint_sets import Bone
from unipose_ros.tracking import loops
from unipose_ros.tracking.assignment import MIN_COMMON_JOINTS

# How bodies move: a Kalman filter of each person's place and velocity, and how joints follow it.

FloatArray = NDArray[np.float64]

#: Meters: standard deviation of where a body is measured, the median over its joints.
_BODY_STD = 0.04
#: Meters a second: standard deviation of the speed of a new track.
_SPEED_STD = 0.8
#: m^2/s^3: power of the accelerations of people who are seen, and of those who are not and may have turned.
_SEEN_POWER, _UNSEEN_POWER = 1.0, 2.0


@dataclass(frozen=True, eq=False)
class Motion:
    """Places and velocities of T bodies, and how well they are known; alike in all directions.

    Attributes:
        velocities: (T, 3) meters per second.
        offsets: (T, 3) meters from where the smoothed joints are to where the filter has the body.
        variances: (T, 3) of place, of place with velocity, of velocity.
    """

    velocities: FloatArray
    offsets: FloatArray
    variances: FloatArray

    @classmethod
    def unknown(cls, count: int) -> Motion:
        """People seen for the first time."""
        variances = np.array([_BODY_STD**2, 0.0, _SPEED_STD**2])
        return cls(np.zeros((count, 3)), np.zeros((count, 3)), np.tile(variances, (count, 1)))

    @property
    def place_std(self) -> FloatArray:
        """(T,) meters: standard deviation of where the bodies are measured next."""
        return np.sqrt(self.variances[:, 0] + _BODY_STD**2)

    def turned(self, rotation: FloatArray) -> Motion:
        """In a frame that is turned by (3, 3)."""
        return replace(self, velocities=self.velocities @ rotation.T, offsets=self.offsets @ rotation.T)

    def predicted(self, dt: float, coasting: NDArray[np.bool_], decay: float) -> tuple[Motion, FloatArray]:
        """The motion after a time, and by how many meters (T, 3) each person has moved.

        White noise acceleration (Bar-Shalom and Li, Estimation and Tracking, 1993, section 6.2). The velocity dies
        away with the time constant ``decay`` while a person is ``coasting``, (T,) not seen in the last frame either;
        slowing down those who are seen would make them lag.
        """
        kept = np.where(coasting, math.exp(-dt / decay), 1.0)
        seconds = np.where(coasting, decay * (1 - kept), dt)
        power = np.where(coasting, _UNSEEN_POWER, _SEEN_POWER)
        place, mixed, speed = self.variances.T
        variances = np.column_stack(
            [
                place + 2 * seconds * mixed + seconds**2 * speed + power * dt**3 / 3,
                kept * (mixed + seconds * speed) + power * dt**2 / 2,
                kept**2 * speed + power * dt,
            ]
        )
        moved = self.velocities * seconds[:, None]
        return Motion(self.velocities * kept[:, None], self.offsets, variances), moved

    def corrected(self, residuals: FloatArray, followed: FloatArray, max_speed: float) -> Motion:
        """The motion after a measurement.

        Args:
            residuals: (T, J, 3) meters from the predicted joints to the measured ones, NaN where unknown. Their median
                counts, so limbs and outliers do not; a body with too few joints to tell stays as predicted.
            followed: (T, J, 3) meters by which the smoothed joints went after them.
            max_speed: meters per second; a faster result is shortened to it.
        """
        by_axis = np.moveaxis(residuals, 1, -1)
        known = (np.isfinite(by_axis).sum(axis=-1) >= MIN_COMMON_JOINTS).all(axis=-1)
        innovation = np.where(known[:, None], nan_median(by_axis) - self.offsets, 0.0)
        went = np.where(known[:, None], nan_median(np.moveaxis(followed, 1, -1)), 0.0)
        place, mixed, speed = self.variances.T
        scale = np.where(known, 1 / (place + _BODY_STD**2), 0.0)
        velocities = self.velocities + (mixed * scale)[:, None] * innovation
        pace = np.linalg.norm(velocities, axis=-1, keepdims=True)
        return Motion(
            velocities=velocities * np.minimum(1.0, max_speed / np.maximum(pace, 1e-9)),
            offsets=self.offsets + (place * scale)[:, None] * innovation - went,
            variances=np.column_stack(
                [place - place**2 * scale, mixed - place * mixed * scale, speed - mixed**2 * scale]
            ),
        )


def blend_factor(dt: float, time_constant: float) -> float:
    """Share of the new value in an exponential mean: ``1 - exp(-dt / tau)``, 1 for tau = 0.

    The same time constant filters alike at any frame rate.
    """
    return 1.0 if time_constant <= 0 else -math.expm1(-dt / time_constant)


def smooth(predicted: FloatArray, measured: FloatArray, factor: float, threshold: float) -> FloatArray:
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


Rows = TypeVar("Rows", "Tracks", Motion)
NANOSECONDS = 1_000_000_000
#: Seconds of contradiction after which a person who is new is believed to have the sides the other way round.
_FIRST_AGE = 0.1
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
        side_age: (T,) seconds for which measurements have confirmed which side is left, at most ``side_hold``.
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
    side_age: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, rows: NDArray[Any]) -> Tracks:
        """The people of an index or boolean array, in its order."""
        if _is_all(rows, len(self)):
            return self
        return _each(lambda values: values[rows], self)

    def joined(self, other: Tracks) -> Tracks:
        """These people, then the others."""
        if not len(other):
            return self
        return _each(lambda mine, theirs: np.concatenate([mine, theirs]), self, other)

    def updated(self, rows: NDArray[np.intp], people: Tracks) -> Tracks:
        """The same people with new values in some rows."""
        if _is_all(rows, len(self)):
            return people

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
            side_age=np.full(count, _FIRST_AGE),
        )


def _is_all(rows: NDArray[Any], count: int) -> bool:
    """Whether an index or boolean array chooses all of ``count`` rows in their order."""
    if len(rows) != count:
        return False
    return bool((rows if rows.dtype == np.bool_ else rows == np.arange(count)).all())


@cache
def _names(kind: type) -> tuple[str, ...]:
    """Of a dataclass's fields."""
    return tuple(each.name for each in fields(kind))


def _each(change: Callable[..., NDArray[Any]], *people: Rows) -> Rows:
    """A function of every array of the same kind of people."""
    kind: Any = type(people[0])
    changed: dict[str, Any] = {}
    for name in _names(kind):
        parts = [getattr(each, name) for each in people]
        changed[name] = _each(change, *parts) if isinstance(parts[0], Motion) else change(*parts)
    result: Rows = kind(**changed)
    return result


def body_sizes(people: Skeletons) -> NDArray[np.float64]:
    """(N,) median ratio of a person's bones to the population's; NaN with too few of both ends measured."""
    bones, lengths = _known_bones(people.joint_set.bones)
    if not len(bones):
        return np.full(len(people), np.nan)
    measured = people.status == JointStatus.MEASURED
    return _sizes(np.ascontiguousarray(people.positions), np.ascontiguousarray(measured), bones, lengths, _LEAST_BONES)


def sizes_by_numpy(
    positions: NDArray[np.float32],
    measured: NDArray[np.bool_],
    bones: NDArray[np.intp],
    lengths: FloatArray,
    fewest: int,
) -> FloatArray:
    """:func:`body_sizes` of (N, J, 3) joints by ``fewest`` bones or more, of ends (B, 2) and usual lengths (B,)."""
    parents, children = bones.T
    found = np.linalg.norm(positions[:, parents] - positions[:, children], axis=-1)
    known = measured[:, parents] & measured[:, children] & np.isfinite(found)
    ratios = np.where(known, found / lengths, np.nan)
    return np.where(known.sum(axis=1) >= fewest, nan_median(ratios), np.nan)


@cache
def _known_bones(bones: tuple[Bone, ...]) -> tuple[NDArray[np.intp], FloatArray]:
    """Ends (B, 2) and lengths (B,) of those whose length in the population is known."""
    known = [bone for bone in bones if bone.length > 0]
    ends = np.array([(bone.parent, bone.child) for bone in known], np.intp).reshape(-1, 2)
    return ends, np.array([bone.length for bone in known])


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
    if not ENABLED:
        return correct_by_numpy(predicted, seen, dt_ns, config)
    factor = blend_factor(dt_ns / NANOSECONDS, config.smoothing)
    positions, confidences, status, covariances, missing_ns, *motion = _corrected(
        _contiguous(predicted, ("positions", "confidences", "status", "covariances", "missing_ns")),
        _contiguous(seen, ("positions", "confidences", "status", "covariances")),
        _contiguous(predicted.motion, ("velocities", "offsets", "variances")),
        (dt_ns, int(config.joint_max_age * NANOSECONDS)),
        (factor, float(config.fast_motion_threshold)),
        (float(config.max_speed), _BODY_STD, MIN_COMMON_JOINTS),
    )
    return replace(
        _met(predicted, seen),
        positions=positions,
        confidences=confidences,
        status=status,
        covariances=covariances,
        motion=Motion(*motion),
        missing_ns=missing_ns,
    )


def correct_by_numpy(predicted: Tracks, seen: Tracks, dt_ns: int, config: TrackerConfig) -> Tracks:
    """:func:`correct` where nothing is compiled."""
    dt = dt_ns / NANOSECONDS
    factor = blend_factor(dt, config.smoothing)
    given = seen.status != JointStatus.MISSING
    missing_ns = np.where(given, 0, predicted.missing_ns + dt_ns)
    lost = missing_ns > config.joint_max_age * NANOSECONDS
    positions = smooth(predicted.positions, seen.positions, factor, config.fast_motion_threshold)
    return replace(
        _met(predicted, seen),
        positions=np.where(lost[..., None], np.nan, positions),
        confidences=np.where(lost, 0, np.where(given, seen.confidences, predicted.confidences)),
        status=np.where(lost, JointStatus.MISSING, np.where(given, seen.status, predicted.status)).astype(np.uint8),
        covariances=np.where(given[..., None], seen.covariances, predicted.covariances),
        motion=predicted.motion.corrected(
            seen.positions - predicted.positions, positions - predicted.positions, config.max_speed
        ),
        missing_ns=missing_ns,
    )


def _met(predicted: Tracks, seen: Tracks) -> Tracks:
    """Those who are seen again, but for joints and motion."""
    return replace(
        predicted,
        sizes=_mixed_sizes(predicted.sizes, seen.sizes, predicted.hits),
        scores=seen.scores,
        hits=predicted.hits + 1,
        seen_ns=seen.seen_ns,
        unseen_ns=seen.unseen_ns,
    )


def _mixed_sizes(
    known: NDArray[np.float64], measured: NDArray[np.float64], hits: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean of the sizes so far, a moving one after a while; what is NaN does not count."""
    share = 1 / np.minimum(hits + 1, _SIZE_FRAMES)
    mixed = known + share * (measured - known)
    return np.where(np.isnan(known), measured, np.where(np.isnan(measured), known, mixed))


# What is compiled.


def _contiguous(people: Tracks | Motion, names: tuple[str, ...]) -> Any:
    """Some of their arrays: of tracks that were turned with the camera, other orders of the axes are possible."""
    return tuple(np.ascontiguousarray(getattr(people, name)) for name in names)


_VALUES, _VECTORS = "f8[:,::1]", "f8[:,:,::1]"
_MOTION = f"UniTuple({_VALUES},3)"
_JOINTS = f"{_VECTORS},{_VALUES},u1[:,::1],{_VECTORS}"
_sizes = compiled(sizes_by_numpy, "f8[::1](f4[:,:,::1],b1[:,::1],i8[:,::1],f8[::1],i8)")(loops.sizes)
# Where nothing is compiled, NumPy is called instead.
_corrected = compiled(
    loops.corrected,
    "Tuple((f8[:,:,::1],f8[:,::1],u1[:,::1],f8[:,:,::1],i8[:,::1],f8[:,::1],f8[:,::1],f8[:,::1]))"
    f"(Tuple(({_JOINTS},i8[:,::1])),Tuple(({_JOINTS})),{_MOTION},UniTuple(i8,2),UniTuple(f8,2),"
    "Tuple((f8,f8,i8)))",
)(loops.corrected)
