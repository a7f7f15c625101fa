"""Skeletons -> ``SkeletonArray`` and back.

Flat arrays are filled through ``array.array``: assigning a NumPy array or a list makes rclpy
check and convert every element.
"""

from __future__ import annotations

from array import array
from importlib import import_module
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from numpy.typing import NDArray
from std_msgs.msg import Header

from unipose_ros.frame import FrameError, Skeletons
from unipose_ros.joint_sets import get_joint_set
from unipose_ros.msg import Skeleton, SkeletonArray

# ROS message classes by name.


def ros_message_class(name: str) -> type[Any] | None:
    """``sensor_msgs/msg/Image`` -> its Python class; ``None`` where the package is not installed."""
    package, _, message = name.partition("/msg/")
    try:
        return getattr(import_module(f"{package}.msg"), message, None)
    except ImportError:
        return None


_SECOND = 1_000_000_000


def time_message(stamp_ns: int) -> Time:
    """Nanoseconds -> ``builtin_interfaces/Time``."""
    return Time(sec=stamp_ns // _SECOND, nanosec=stamp_ns % _SECOND)


def header(skeletons: Skeletons) -> Header:
    """Acquisition time and optical frame of the image the people were found in."""
    return Header(stamp=time_message(skeletons.stamp_ns), frame_id=skeletons.frame_id)


def to_message(skeletons: Skeletons) -> SkeletonArray:
    """Everybody of a frame as one message."""
    return SkeletonArray(
        header=header(skeletons),
        joint_set=skeletons.joint_set.name,
        modality=skeletons.modality,
        skeletons=[_person(skeletons, index) for index in skeletons],
    )


def _person(skeletons: Skeletons, index: int) -> Skeleton:
    age = int(skeletons.ages_ns[index])
    covariances = skeletons.covariances
    return Skeleton(
        id=skeletons.ids[index],
        state=int(skeletons.states[index]),
        score=float(skeletons.scores[index]),
        age=Duration(sec=age // _SECOND, nanosec=age % _SECOND),
        positions=_floats(skeletons.positions[index]),
        confidences=_floats(skeletons.confidences[index]),
        status=array("B", skeletons.status[index].tobytes()),
        covariances=array("f") if covariances is None else _floats(covariances[index]),
    )


def _floats(values: NDArray[np.float32]) -> array[float]:
    return array("f", np.ascontiguousarray(values, np.float32).tobytes())


def from_message(message: Any) -> Skeletons:
    """The people of a ``SkeletonArray``.

    Raises:
        JointSetError: the message's joint set is unknown here.
        FrameError: an array has another length than the joint set asks for.
    """
    joint_set = get_joint_set(message.joint_set)
    stamp = message.header.stamp
    empty = Skeletons.empty(stamp.sec * _SECOND + stamp.nanosec, message.header.frame_id, message.modality, joint_set)
    people = message.skeletons
    if not people:
        return empty
    joints = len(joint_set)
    with_covariances = all(len(person.covariances) for person in people)
    return Skeletons(
        stamp_ns=empty.stamp_ns,
        frame_id=empty.frame_id,
        modality=empty.modality,
        positions=_stack(people, "positions", np.float32, (joints, 3)),
        confidences=_stack(people, "confidences", np.float32, (joints,)),
        status=_stack(people, "status", np.uint8, (joints,)),
        scores=np.array([person.score for person in people], np.float32),
        covariances=_stack(people, "covariances", np.float32, (joints, 6)) if with_covariances else None,
        ids=tuple(person.id for person in people),
        states=np.array([person.state for person in people], np.uint8),
        ages_ns=np.array([person.age.sec * _SECOND + person.age.nanosec for person in people], np.int64),
        joint_set=joint_set,
    )


def _stack(people: Any, name: str, dtype: type, shape: tuple[int, ...]) -> NDArray[Any]:
    rows: list[NDArray[Any]] = [np.array(getattr(person, name), dtype) for person in people]
    for row in rows:
        if row.size != np.prod(shape):
            raise FrameError(f"{name}: {row.size} values for {shape[0]} joints, expected {np.prod(shape)}")
    return np.stack(rows).reshape(len(rows), *shape)
