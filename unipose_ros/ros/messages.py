"""Skeletons -> ``SkeletonArray`` and back.

Flat arrays are filled through ``array.array``: assigning a NumPy array or a list makes rclpy
check and convert every element.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from std_msgs.msg import Header

from unipose_ros.frame import Skeletons
from unipose_ros.joint_frames import PeopleFrames
from unipose_ros.joint_sets import JointSet
from unipose_ros.msg import Skeleton, SkeletonArray, SkeletonInfo
from unipose_ros.person_fields import SECOND, PersonFields, people_fields, skeletons_of

# ROS message classes by name.


def ros_message_class(name: str) -> type[Any] | None:
    """``sensor_msgs/msg/Image`` -> its Python class; ``None`` where the package is not installed."""
    package, _, message = name.partition("/msg/")
    try:
        return getattr(import_module(f"{package}.msg"), message, None)
    except ImportError:
        return None


def time_message(stamp_ns: int) -> Time:
    """Nanoseconds -> ``builtin_interfaces/Time``."""
    return Time(sec=stamp_ns // SECOND, nanosec=stamp_ns % SECOND)


def header(skeletons: Skeletons) -> Header:
    """Acquisition time and optical frame of the image the people were found in."""
    return Header(stamp=time_message(skeletons.stamp_ns), frame_id=skeletons.frame_id)


def to_message(skeletons: Skeletons, frames: PeopleFrames | None = None) -> SkeletonArray:
    """All people of a frame as one message.

    Args:
        frames: of all people, where they are known already.
    """
    return SkeletonArray(
        header=header(skeletons),
        joint_set=skeletons.joint_set.name,
        modality=skeletons.modality,
        skeletons=[_person(fields) for fields in people_fields(skeletons, frames)],
    )


def info_message(stamp: Header, joint_set: JointSet) -> SkeletonInfo:
    """What the joints of a set are."""
    return SkeletonInfo(
        header=stamp,
        joint_set=joint_set.name,
        joints=list(joint_set.joints),
        parents=list(joint_set.parents),
        mirror=list(joint_set.mirror),
    )


def _person(fields: PersonFields) -> Skeleton:
    return Skeleton(
        id=fields.id,
        state=fields.state,
        score=fields.score,
        age=Duration(sec=fields.age[0], nanosec=fields.age[1]),
        positions=array("f", fields.positions.tobytes()),
        confidences=array("f", fields.confidences.tobytes()),
        status=array("B", fields.status.tobytes()),
        covariances=array("f", fields.covariances.tobytes()),
        orientations=array("f", fields.orientations.tobytes()),
        velocity=vector(fields.velocity),
        box_pose=Pose(position=point(fields.box_pose[0]), orientation=quaternion(fields.box_pose[1])),
        box_size=vector(fields.box_size),
    )


def vector(xyz: Sequence[float]) -> Vector3:
    """Three numbers -> ``geometry_msgs/Vector3``."""
    return Vector3(x=float(xyz[0]), y=float(xyz[1]), z=float(xyz[2]))


def point(xyz: Sequence[float]) -> Point:
    """Three numbers -> ``geometry_msgs/Point``."""
    return Point(x=float(xyz[0]), y=float(xyz[1]), z=float(xyz[2]))


def quaternion(xyzw: Sequence[float]) -> Quaternion:
    """Four numbers -> ``geometry_msgs/Quaternion``."""
    return Quaternion(x=float(xyzw[0]), y=float(xyzw[1]), z=float(xyzw[2]), w=float(xyzw[3]))


def from_message(message: Any) -> Skeletons:
    """The people of a ``SkeletonArray``.

    Raises:
        JointSetError: the message's joint set is unknown here.
        FrameError: an array has another length than the joint set asks for.
    """
    return skeletons_of(message)
