"""What the tracker computes joint by joint, as loops to be compiled; each says where the same is said in NumPy.

Constants of other modules are arguments.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from unipose_ros.compiled import compiled_part

FloatArray = NDArray[np.float64]
Statuses = NDArray[np.uint8]
Times = NDArray[np.int64]
Mask = NDArray[np.bool_]
#: Velocities, offsets and variances of :class:`~unipose_ros.tracking.tracks.Motion`.
MotionArrays = tuple[FloatArray, FloatArray, FloatArray]


@compiled_part()
def _insert(ordered: FloatArray, count: int, value: float) -> int:
    """Put a number into an array of ``count`` that are in order; returns how many there are. NaN is left out."""
    if value != value:
        return count
    place = count
    while place > 0 and ordered[place - 1] > value:
        ordered[place] = ordered[place - 1]
        place -= 1
    ordered[place] = value
    return count + 1


@compiled_part()
def _median(ordered: FloatArray, count: int) -> float:
    return 0.5 * (ordered[(count - 1) // 2] + ordered[count // 2]) if count else math.nan


@compiled_part()
def _norm(x: float, y: float, z: float) -> float:
    return math.sqrt(x * x + y * y + z * z)


@compiled_part()
def _middle(joints: FloatArray, middle: FloatArray, ordered: FloatArray) -> None:
    """(J, 3) -> (3,) median of each coordinate."""
    for a in range(3):
        count = 0
        for joint in range(len(joints)):
            count = _insert(ordered, count, joints[joint, a])
        middle[a] = _median(ordered, count)


def distances(first: FloatArray, second: FloatArray, fewest: int) -> FloatArray:
    """As :func:`~unipose_ros.tracking.assignment.distances_by_numpy`."""
    found, ordered = np.empty((len(first), len(second))), np.empty(first.shape[1])
    own, theirs = np.empty(3), np.empty(3)
    for row in range(len(first)):
        for column in range(len(second)):
            count, finite = 0, 0
            for joint in range(first.shape[1]):
                a, b = first[row, joint], second[column, joint]
                apart = _norm(a[0] - b[0], a[1] - b[1], a[2] - b[2])
                finite += math.isfinite(apart)
                count = _insert(ordered, count, apart)
            distance = _median(ordered, count)
            if finite < fewest:
                _middle(first[row], own, ordered)
                _middle(second[column], theirs, ordered)
                distance = _norm(own[0] - theirs[0], own[1] - theirs[1], own[2] - theirs[2])
            found[row, column] = distance if distance == distance else math.inf
    return found


def sizes(positions: NDArray[np.float32], measured: Mask, bones: Times, lengths: FloatArray, fewest: int) -> FloatArray:
    """As :func:`~unipose_ros.tracking.tracks.sizes_by_numpy`."""
    found, ordered = np.full(len(positions), math.nan), np.empty(len(bones))
    for person in range(len(positions)):
        count = 0
        for bone in range(len(bones)):
            parent, child = bones[bone, 0], bones[bone, 1]
            if measured[person, parent] and measured[person, child]:
                a, b = positions[person, parent], positions[person, child]
                length = np.float32(_norm(a[0] - b[0], a[1] - b[1], a[2] - b[2]))
                if math.isfinite(length):
                    count = _insert(ordered, count, length / lengths[bone])
        if count >= fewest:
            found[person] = _median(ordered, count)
    return found


def exchanged_fits(
    predicted: FloatArray, seen: FloatArray, mirror: Times, fewest: int, nearer: float, fraction: float
) -> Mask:
    """As :func:`~unipose_ros.tracking.tracker.exchanged_fits_by_numpy`."""
    fits = np.zeros(len(predicted), np.bool_)
    for person in range(len(predicted)):
        count, far, near = 0, 0.0, 0.0
        for joint in range(len(mirror)):
            if mirror[joint] != joint:
                at, own, other = predicted[person, joint], seen[person, joint], seen[person, mirror[joint]]
                straight = _norm(own[0] - at[0], own[1] - at[1], own[2] - at[2])
                crossed = _norm(other[0] - at[0], other[1] - at[1], other[2] - at[2])
                if math.isfinite(straight) and math.isfinite(crossed):
                    count, far, near = count + 1, far + straight, near + crossed
        if count >= fewest:
            fits[person] = (far - near) / count > nearer and near < fraction * far
    return fits


@compiled_part()
def _corrected_motion(
    residuals: FloatArray,
    followed: FloatArray,
    motion: MotionArrays,
    person: int,
    numbers: tuple[float, float, int],
    ordered: FloatArray,
    after: MotionArrays,
) -> None:
    """As :meth:`~unipose_ros.tracking.tracks.Motion.corrected`, of one person."""
    max_speed, body_std, fewest = numbers
    known = True
    innovation, went = np.zeros(3), np.zeros(3)
    for a in range(3):
        count, finite = 0, 0
        for joint in range(len(residuals)):
            finite += math.isfinite(residuals[joint, a])
            count = _insert(ordered, count, residuals[joint, a])
        known = known and finite >= fewest
        innovation[a] = _median(ordered, count) - motion[1][person, a]
        count = 0
        for joint in range(len(residuals)):
            count = _insert(ordered, count, followed[joint, a])
        went[a] = _median(ordered, count)
    place, mixed, speed = motion[2][person, 0], motion[2][person, 1], motion[2][person, 2]
    scale = 1 / (place + body_std * body_std) if known else 0.0
    for a in range(3):
        innovation[a], went[a] = (innovation[a], went[a]) if known else (0.0, 0.0)
        after[0][person, a] = motion[0][person, a] + mixed * scale * innovation[a]
        after[1][person, a] = motion[1][person, a] + place * scale * innovation[a] - went[a]
    velocity = after[0][person]
    slower = min(1.0, max_speed / max(_norm(velocity[0], velocity[1], velocity[2]), 1e-9))
    for a in range(3):
        velocity[a] *= slower
    after[2][person, 0] = place - place * place * scale
    after[2][person, 1] = mixed - place * mixed * scale
    after[2][person, 2] = speed - mixed * mixed * scale


def corrected(
    predicted: tuple[FloatArray, FloatArray, Statuses, FloatArray, Times],
    seen: tuple[FloatArray, FloatArray, Statuses, FloatArray],
    motion: MotionArrays,
    times: tuple[int, int],
    smoothing: tuple[float, float],
    numbers: tuple[float, float, int],
) -> tuple[FloatArray, FloatArray, Statuses, FloatArray, Times, FloatArray, FloatArray, FloatArray]:
    """What :func:`~unipose_ros.tracking.tracks.correct_by_numpy` says of joints and motion.

    Args:
        predicted: positions, confidences, statuses, covariances, and for how long joints were missing.
        seen: the same of the measurements, but for that.
        times: nanoseconds since the last frame, and for which a joint may be missing.
        smoothing: factor and threshold of :func:`~unipose_ros.tracking.tracks.smooth`.
        numbers: greatest speed, standard deviation of a body's place, and fewest joints that tell it.
    """
    people, joints = predicted[1].shape
    positions, confidences = np.empty((people, joints, 3)), np.empty((people, joints))
    status, covariances = np.zeros((people, joints), np.uint8), np.empty((people, joints, 6))
    missing = np.zeros((people, joints), np.int64)
    after = (np.empty((people, 3)), np.empty((people, 3)), np.empty((people, 3)))
    residuals, followed, ordered = np.empty((joints, 3)), np.empty((joints, 3)), np.empty(joints)
    for person in range(people):
        for joint in range(joints):
            for a in range(3):
                residuals[joint, a] = seen[0][person, joint, a] - predicted[0][person, joint, a]
            surprise = _norm(residuals[joint, 0], residuals[joint, 1], residuals[joint, 2]) / smoothing[1]
            share = min(smoothing[0] + (1 - smoothing[0]) * surprise, 1.0)
            given = seen[2][person, joint] != 0
            if not given:
                missing[person, joint] = predicted[4][person, joint] + times[0]
            lost = missing[person, joint] > times[1]
            for a in range(3):
                before, now = predicted[0][person, joint, a], seen[0][person, joint, a]
                place = before + share * residuals[joint, a]
                if before != before:
                    place = now
                elif now != now:
                    place = before
                followed[joint, a] = place - before
                positions[person, joint, a] = math.nan if lost else place
            if not lost:
                status[person, joint] = seen[2][person, joint] if given else predicted[2][person, joint]
            sure = seen[1][person, joint] if given else predicted[1][person, joint]
            confidences[person, joint] = 0.0 if lost else sure
            for k in range(6):
                covariances[person, joint, k] = seen[3][person, joint, k] if given else predicted[3][person, joint, k]
        _corrected_motion(residuals, followed, motion, person, numbers, ordered, after)
    return positions, confidences, status, covariances, missing, after[0], after[1], after[2]
