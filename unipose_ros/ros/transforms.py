"""Skeletons -> TF: ``body_<id>`` in the camera frame and ``<joint>_<id>`` in the body (REP-155)."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from numpy.typing import NDArray
from tf_transformations import quaternion_from_matrix

from unipose_ros.body_frame import body_frame
from unipose_ros.frame import Skeletons, TrackState
from unipose_ros.ros.messages import header

#: A joint has a place but no turn of its own: it is turned as its body is.
_UPRIGHT = (0.0, 0.0, 0.0, 1.0)


def build_transforms(skeletons: Skeletons, mode: str) -> list[TransformStamped]:
    """All transforms of a frame, to be sent as one message.

    A person without a defined body frame has none, and so has one that is not seen now: a
    frame says where somebody is, not where they might be.

    Args:
        mode: ``off``, ``root`` or ``joints``.
    """
    if mode == "off":
        return []
    seen = [i for i in skeletons if skeletons.states[i] != TrackState.OCCLUDED]
    return [transform for index in seen for transform in _person(skeletons, index, with_joints=mode == "joints")]


def _person(skeletons: Skeletons, index: int, with_joints: bool) -> list[TransformStamped]:
    body = body_frame(skeletons.positions[index], skeletons.joint_set)
    if body is None:
        return []
    name = f"body_{skeletons.ids[index]}"
    transforms = [_transform(skeletons, skeletons.frame_id, name, body.origin, _quaternion(body.rotation))]
    if with_joints:
        # Row vectors: multiplying by R from the right is the inverse rotation.
        inside = (skeletons.positions[index] - body.origin) @ body.rotation
        transforms += [
            _transform(skeletons, name, f"{joint}_{skeletons.ids[index]}", position, _UPRIGHT)
            for joint, position in zip(skeletons.joint_set.joints, inside, strict=True)
            if np.isfinite(position).all()
        ]
    return transforms


def _quaternion(rotation: NDArray[np.float64]) -> tuple[float, ...]:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    return tuple(quaternion_from_matrix(matrix))


def _transform(
    skeletons: Skeletons, parent: str, child: str, origin: NDArray[np.floating], quaternion: tuple[float, ...]
) -> TransformStamped:
    x, y, z = (float(value) for value in origin)
    qx, qy, qz, qw = (float(value) for value in quaternion)
    stamped = TransformStamped(header=header(skeletons), child_frame_id=child)
    stamped.header.frame_id = parent
    stamped.transform = Transform(translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw))
    return stamped
