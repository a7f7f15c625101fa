"""``Skeletons`` <-> the fields of a ``SkeletonArray``, whatever makes the messages: rclpy on a robot, rosbags offline.

Stamps and ages are split as ``builtin_interfaces`` has them; arrays are flat, as in ``msg/Skeleton.msg``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import FrameError, Skeletons
from unipose_ros.joint_frames import PeopleFrames, people_frames
from unipose_ros.joint_sets import get_joint_set

SECOND = 1_000_000_000
_UNKNOWN = (float("nan"),) * 3
#: Meters.
_FARTHEST = 1e5


@dataclass(frozen=True, eq=False)
class PersonFields:
    """The fields of one ``Skeleton`` message, by their names there.

    Attributes:
        id, state, score: of the track.
        age: (seconds, nanoseconds) since the track was first seen.
        positions: (3J,) float32 meters; NaN missing.
        confidences: (J,) float32.
        status: (J,) uint8.
        covariances: (6J,) float32 square meters, or (0,).
        orientations: (4J,) float32 quaternions; NaN missing.
        velocity: (3,) meters a second; NaN where not known.
        box_pose: (3,) meters and (4,) quaternion.
        box_size: (3,) meters.
    """

    id: str
    state: int
    score: float
    age: tuple[int, int]
    positions: NDArray[np.float32]
    confidences: NDArray[np.float32]
    status: NDArray[np.uint8]
    covariances: NDArray[np.float32]
    orientations: NDArray[np.float32]
    velocity: Sequence[float]
    box_pose: tuple[Sequence[float], Sequence[float]]
    box_size: Sequence[float]


def people_fields(skeletons: Skeletons, frames: PeopleFrames | None = None) -> list[PersonFields]:
    """What the message of each person holds.

    Args:
        frames: of all people, where they are known already.
    """
    covariances, velocities = skeletons.covariances, skeletons.velocities
    if frames is None:
        frames = people_frames(skeletons)
    return [
        PersonFields(
            id=skeletons.ids[person],
            state=int(skeletons.states[person]),
            score=float(skeletons.scores[person]),
            age=divmod(int(skeletons.ages_ns[person]), SECOND),
            positions=np.ascontiguousarray(skeletons.positions[person], np.float32).ravel(),
            confidences=np.ascontiguousarray(skeletons.confidences[person], np.float32),
            status=np.ascontiguousarray(skeletons.status[person], np.uint8),
            covariances=np.zeros(0, np.float32)
            if covariances is None
            else np.ascontiguousarray(covariances[person], np.float32).ravel(),
            orientations=frames.joints[person].ravel(),
            velocity=_UNKNOWN if velocities is None else velocities[person].tolist(),
            box_pose=(frames.box_centers[person].tolist(), frames.box_rotations[person].tolist()),
            box_size=frames.box_sizes[person].tolist(),
        )
        for person in skeletons
    ]


def skeletons_of(message: Any) -> Skeletons:
    """The people of a ``SkeletonArray`` of either kind; one that was recorded before there were velocities has none.

    Where only some people have covariances, those of the others are NaN.

    Raises:
        JointSetError: the message's joint set is unknown here.
        FrameError: an array has another length than the joint set asks for.
    """
    joint_set = get_joint_set(message.joint_set)
    people, joints, stamp = message.skeletons, len(joint_set), message.header.stamp
    with_covariances = any(len(person.covariances) for person in people)
    return Skeletons(
        stamp_ns=stamp.sec * SECOND + stamp.nanosec,
        frame_id=message.header.frame_id,
        modality=message.modality,
        positions=_near(_stacked(people, "positions", (joints, 3), np.float32)),
        confidences=_stacked(people, "confidences", (joints,), np.float32),
        status=_stacked(people, "status", (joints,), np.uint8),
        scores=np.array([person.score for person in people], np.float32),
        covariances=_stacked(people, "covariances", (joints, 6), np.float32, True) if with_covariances else None,
        ids=tuple(person.id for person in people),
        states=np.array([person.state for person in people], np.uint8),
        ages_ns=np.array([person.age.sec * SECOND + person.age.nanosec for person in people], np.int64),
        velocities=_velocities(people),
        joint_set=joint_set,
    )


def _near(positions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without what is infinite or farther than any robot sees: such a joint is missing."""
    return np.asarray(np.where(np.abs(positions) < _FARTHEST, positions, np.float32(np.nan)), np.float32)


def _velocities(people: Sequence[Any]) -> NDArray[np.float32] | None:
    given = [getattr(person, "velocity", None) for person in people]
    rows = [_UNKNOWN if v is None else (v.x, v.y, v.z) for v in given]
    with np.errstate(over="ignore"):  # no body is as fast as that: infinite then
        velocities = np.array(rows, np.float32).reshape(len(people), 3)
    return velocities if np.isfinite(velocities).any() else None


def _stacked(
    people: Sequence[Any], name: str, shape: tuple[int, ...], dtype: type, optional: bool = False
) -> NDArray[Any]:
    expected = int(np.prod(shape))
    rows: list[NDArray[Any]] = []
    for person in people:
        values: NDArray[Any] = np.asarray(getattr(person, name), dtype)
        if optional and not values.size:
            values = np.full(expected, np.nan, dtype)
        if values.size != expected:
            raise FrameError(
                f"skeleton '{person.id}': {name} has {values.size} values, {shape[0]} joints need {expected}"
            )
        rows.append(values.reshape(shape))
    return np.stack(rows) if rows else np.zeros((0, *shape), dtype)
