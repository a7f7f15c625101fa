"""``Skeletons`` <-> ``unipose_ros/SkeletonArray``, for recordings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import Skeletons
from unipose_ros.recordings.decoding import stamp_of
from unipose_ros.recordings.errors import RecordingError
from unipose_ros.recordings.messages import header
from unipose_ros.recordings.types import SKELETON, SKELETON_ARRAY, message_class
from unipose_ros.skeletons import get_joint_set


def skeleton_array(skeletons: Skeletons) -> Any:
    """``Skeletons`` -> message."""
    people = [_skeleton(skeletons, person) for person in skeletons]
    return message_class(SKELETON_ARRAY)(
        header=header(skeletons.stamp_ns, skeletons.frame_id),
        joint_set=skeletons.joint_set.name,
        modality=skeletons.modality,
        skeletons=people,
    )


def _skeleton(skeletons: Skeletons, person: int) -> Any:
    covariances = skeletons.covariances
    seconds, nanoseconds = divmod(int(skeletons.ages_ns[person]), 1_000_000_000)
    return message_class(SKELETON)(
        id=skeletons.ids[person],
        state=int(skeletons.states[person]),
        score=float(skeletons.scores[person]),
        age=message_class("builtin_interfaces/msg/Duration")(seconds, nanoseconds),
        positions=skeletons.positions[person].ravel(),
        confidences=skeletons.confidences[person],
        status=skeletons.status[person],
        covariances=np.zeros(0, np.float32) if covariances is None else covariances[person].ravel(),
    )


def read_skeletons(message: Any) -> Skeletons:
    """Message (of a recording, or a ROS one) -> ``Skeletons``.

    Raises:
        RecordingError: an array's length does not fit the joint set.
        JointSetError: the joint set is unknown.
    """
    joint_set = get_joint_set(message.joint_set)
    people, joints = message.skeletons, len(joint_set)
    covariances = [p.covariances for p in people]
    return Skeletons(
        stamp_ns=stamp_of(message),
        frame_id=message.header.frame_id,
        modality=message.modality,
        positions=_stack(people, "positions", (joints, 3), np.float32),
        confidences=_stack(people, "confidences", (joints,), np.float32),
        status=_stack(people, "status", (joints,), np.uint8),
        scores=np.array([p.score for p in people], np.float32),
        covariances=_stack(people, "covariances", (joints, 6), np.float32) if any(map(len, covariances)) else None,
        ids=tuple(p.id for p in people),
        states=np.array([p.state for p in people], np.uint8),
        ages_ns=np.array([p.age.sec * 1_000_000_000 + p.age.nanosec for p in people], np.int64),
        joint_set=joint_set,
    )


def _stack(people: list[Any], name: str, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
    expected = int(np.prod(shape))
    for person in people:
        length = len(getattr(person, name))
        if length != expected:
            raise RecordingError(f"skeleton '{person.id}': {name} has {length} values, the joint set needs {expected}")
    values: list[NDArray[Any]] = [np.asarray(getattr(person, name), dtype).reshape(shape) for person in people]
    return np.stack(values) if values else np.zeros((0, *shape), dtype)
