"""A tree of coordinate frames over time, without ROS: what ``/tf`` and ``/tf_static`` of a recording say."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

Matrix = NDArray[np.float64]

_SECOND = 1_000_000_000
#: Longer chains are loops.
_MOST_FRAMES = 100


class TransformError(ValueError):
    """Two frames are not connected at a time; the text says what is missing."""


@dataclass
class _Edge:
    """From a child frame to its parent: one pose for ever, or several over time.

    Attributes:
        static: whether it holds at any time.
        poses: (stamp, translation and quaternion x, y, z, w), in the order of the stamps.
    """

    parent: str
    static: bool
    poses: list[tuple[int, tuple[float, ...]]] = field(default_factory=list)


class TransformTree:
    """Poses of frames in their parents, at any time in between by linear interpolation and slerp, as tf2 has them.

    Args:
        memory: seconds before the newest stamp that are kept; everything when ``None``.
    """

    def __init__(self, memory: float | None = None) -> None:
        self._memory = memory
        self._edges: dict[str, _Edge] = {}

    def add(self, transforms: Iterable[Any], static: bool = False) -> None:
        """Take ``TransformStamped`` messages, of ROS or of a recording; those with impossible numbers are left out."""
        for each in transforms:
            parent, child = (name.lstrip("/") for name in (each.header.frame_id, each.child_frame_id))
            t, q = each.transform.translation, each.transform.rotation
            pose = (t.x, t.y, t.z, q.x, q.y, q.z, q.w)
            if not np.isfinite(pose).all() or not any(pose[3:]) or not parent or not child or parent == child:
                continue
            stamp = each.header.stamp.sec * _SECOND + each.header.stamp.nanosec
            self._put(parent, child, stamp, tuple(float(value) for value in pose), static)

    def _put(self, parent: str, child: str, stamp: int, pose: tuple[float, ...], static: bool) -> None:
        edge = self._edges.get(child)
        if edge is None or edge.parent != parent or edge.static != static or static:
            edge = self._edges[child] = _Edge(parent, static)
        insort(edge.poses, (stamp, pose))
        if self._memory is not None:
            oldest = edge.poses[-1][0] - round(self._memory * _SECOND)
            while edge.poses[0][0] < oldest:
                edge.poses.pop(0)

    def clear(self) -> None:
        """Forget what moves; static transforms stay."""
        self._edges = {child: edge for child, edge in self._edges.items() if edge.static}

    def lookup(self, target: str, source: str, stamp_ns: int) -> Matrix:
        """(4, 4) that takes points of the source frame to the target frame, meters.

        Args:
            stamp_ns: when; 0 for the newest time of each transform.

        Raises:
            TransformError: a frame is unknown, no chain connects them, or a transform is not known at that time.
        """
        target, source = target.lstrip("/"), source.lstrip("/")
        up, down = self._chain(source), self._chain(target)
        meeting = next((frame for frame in up if frame in down), None)
        if meeting is None:
            unknown = [f for f in (target, source) if f not in self._edges and not self._is_parent(f)]
            lost = f"no transform names '{unknown[0]}'" if unknown else "they are in different trees"
            raise TransformError(f"'{source}' cannot be transformed to '{target}': {lost}")
        rise = self._along(up[: up.index(meeting)], stamp_ns)
        fall = self._along(down[: down.index(meeting)], stamp_ns)
        return np.asarray(np.linalg.inv(fall) @ rise)

    def _is_parent(self, name: str) -> bool:
        return any(edge.parent == name for edge in self._edges.values())

    def _chain(self, name: str) -> list[str]:
        """A frame and everything above it."""
        chain = [name]
        while chain[-1] in self._edges and len(chain) < _MOST_FRAMES:
            chain.append(self._edges[chain[-1]].parent)
        return chain

    def _along(self, frames: list[str], stamp_ns: int) -> Matrix:
        """From the first of successive frames to the parent of the last."""
        result = np.eye(4)
        for name in frames:
            result = self._pose(name, stamp_ns) @ result
        return result

    def _pose(self, child: str, stamp_ns: int) -> Matrix:
        edge = self._edges[child]
        if edge.static or stamp_ns == 0:
            return _matrix_of_pose(edge.poses[-1][1])
        after = bisect_left(edge.poses, (stamp_ns,))
        if after < len(edge.poses) and edge.poses[after][0] == stamp_ns:
            return _matrix_of_pose(edge.poses[after][1])
        if after in (0, len(edge.poses)):
            known = edge.poses[0 if after == 0 else -1][0]
            side = "before the first" if after == 0 else "after the last"
            gap = abs(stamp_ns - known) / _SECOND
            raise TransformError(f"'{child}' in '{edge.parent}' is asked for {gap:.3f} s {side} that is known")
        (begin, first), (end, second) = edge.poses[after - 1], edge.poses[after]
        share = (stamp_ns - begin) / (end - begin)
        return _mixed(first, second, share)


def _matrix(rotation: Rotation, translation: NDArray[np.float64]) -> Matrix:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation.as_matrix()
    matrix[:3, 3] = translation
    return matrix


def _matrix_of_pose(pose: tuple[float, ...]) -> Matrix:
    return _matrix(Rotation.from_quat(pose[3:]), np.array(pose[:3]))


def _mixed(first: tuple[float, ...], second: tuple[float, ...], share: float) -> Matrix:
    rotation = Slerp([0, 1], Rotation.from_quat([first[3:], second[3:]]))(share)
    return _matrix(rotation, (1 - share) * np.array(first[:3]) + share * np.array(second[:3]))
