"""The two things that travel: a camera frame on its way in, skeletons on their way out.

Both are immutable. Arrays are not copied on construction: code that builds a frame gives its
arrays away and does not write to them afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.geometry import covariance
from unipose_ros.geometry.surfaces import depth_at
from unipose_ros.joint_sets import ITOP15, JointSet

FloatArray = NDArray[np.float32]


#: Arrays of skeletons that may be absent.
_OPTIONAL = ("covariances", "velocities")


#: In how many colors people are drawn.
PEOPLE_COLOR_COUNT = 6


def color_index(person_id: str) -> int:
    """Which color a person has in every image and viewer; trackers draw ids by it, see ``IdGenerator``."""
    return sum(person_id.encode()) % PEOPLE_COLOR_COUNT


class FrameError(ValueError):
    """The parts of a camera frame do not fit together."""


class JointStatus(IntEnum):
    """How a joint came about; the values are those of ``Skeleton.msg``."""

    MISSING = 0
    INFERRED = 1
    MEASURED = 2


class TrackState(IntEnum):
    """Where a track stands; the values are those of ``Skeleton.msg``."""

    NEW = 0
    TRACKED = 1
    OCCLUDED = 2


@dataclass(frozen=True, eq=False)
class RgbdFrame:
    """One registered view of the scene.

    Attributes:
        stamp_ns: acquisition time in nanoseconds, on the clock of the messages' headers.
        frame_id: the optical frame (REP-103: x right, y down, z forward) of ``camera``.
        camera: intrinsics shared by all images of the frame.
        depth: (H, W) float32 meters along z; 0 and NaN both mean "no reading". ``None``
            when the frame has no depth.
        color: (H, W, 3) uint8 RGB, pixel-aligned with ``depth``. ``None`` without color.
        camera_pose: (4, 4) the camera in a frame that stands still, meters; ``None`` where it is not known.

    Raises:
        FrameError: an image has another type or size than the camera says, or both are absent.
    """

    stamp_ns: int
    frame_id: str
    camera: Camera
    depth: FloatArray | None = None
    color: NDArray[np.uint8] | None = None
    camera_pose: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.depth is None and self.color is None:
            raise FrameError("the frame has neither depth nor color; give it at least one")
        size = (self.camera.height, self.camera.width)
        if self.depth is not None:
            _require("depth", self.depth, size, np.float32)
        if self.color is not None:
            _require("color", self.color, (*size, 3), np.uint8)
        for name in ("depth", "color"):
            image = getattr(self, name)
            if image is not None and not image.flags.c_contiguous:
                # Every second pixel, a mirrored image: loops take what lies row by row without gaps.
                object.__setattr__(self, name, np.ascontiguousarray(image))


@dataclass(frozen=True, eq=False)
class Skeletons:
    """All people of one frame, in the camera's optical frame.

    N people, J joints of ``joint_set``; N may be 0.

    Attributes:
        stamp_ns, frame_id: those of the camera frame that was processed.
        modality: which input the joints were found in (``lookup``, ``points``, ...).
        positions: (N, J, 3) float32 meters; a MISSING joint is NaN, never 0.
        confidences: (N, J) float32 in [0, 1]; 0 for a MISSING joint.
        status: (N, J) uint8 of :class:`JointStatus`.
        scores: (N,) float32 in [0, 1], confidence that the person is there.
        covariances: (N, J, 6) float32 square meters, upper triangle xx, xy, xz, yy, yz, zz;
            ``None`` when the estimator gives none.
        ids: N track ids (five lower-case letters); empty before tracking.
        states: (N,) uint8 of :class:`TrackState`; NEW before tracking.
        ages_ns: (N,) int64, time since the track was first seen; 0 before tracking.
        velocities: (N, 3) float32 meters per second of the whole bodies; ``None`` before tracking, NaN for who was
            seen once.
        joint_set: names and order of the joints.

    Raises:
        FrameError: array shapes disagree.
    """

    stamp_ns: int
    frame_id: str
    modality: str
    positions: FloatArray
    confidences: FloatArray
    status: NDArray[np.uint8]
    scores: FloatArray
    covariances: FloatArray | None = None
    ids: tuple[str, ...] = ()
    states: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    ages_ns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    velocities: FloatArray | None = None
    joint_set: JointSet = ITOP15

    def __post_init__(self) -> None:
        people, joints = len(self.positions), len(self.joint_set)
        if not self.ids:
            object.__setattr__(self, "ids", ("",) * people)
        for name, dtype in (("states", np.uint8), ("ages_ns", np.int64)):
            if len(getattr(self, name)) == 0 and people:
                object.__setattr__(self, name, np.zeros(people, dtype))
        _require("positions", self.positions, (people, joints, 3), np.float32)
        _require("confidences", self.confidences, (people, joints), np.float32)
        _require("status", self.status, (people, joints), np.uint8)
        _require("scores", self.scores, (people,), np.float32)
        _require("states", self.states, (people,), np.uint8)
        _require("ages_ns", self.ages_ns, (people,), np.int64)
        if self.covariances is not None:
            _require("covariances", self.covariances, (people, joints, 6), np.float32)
        if self.velocities is not None:
            _require("velocities", self.velocities, (people, 3), np.float32)
        if len(self.ids) != people:
            raise FrameError(f"ids: {len(self.ids)} given for {people} people")

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[int]:
        """Iterate over the people's indices."""
        return iter(range(len(self)))

    def select(self, people: NDArray[np.intp] | NDArray[np.bool_]) -> Skeletons:
        """The people of an index or boolean array, in its order."""
        rows = np.flatnonzero(people) if np.asarray(people).dtype == np.bool_ else np.asarray(people, np.intp)
        arrays: dict[str, Any] = {name: value[rows] for name, value in self._arrays().items()}
        return replace(self, **arrays, ids=tuple(self.ids[row] for row in rows))

    @classmethod
    def concat(cls, parts: Sequence[Skeletons]) -> Skeletons:
        """The people of several parts of one frame, one part after the other.

        Parts without people count for nothing. Where only some parts have covariances or velocities, those of the
        others are NaN.

        Raises:
            FrameError: there is no part, or they differ in stamp, frame, modality or joint set.
        """
        if not parts:
            raise FrameError("concat: give at least one part; Skeletons.empty() is one without people")
        first, *others = [part for part in parts if len(part)] or [parts[0]]
        if not others:
            return first
        for name in ("stamp_ns", "frame_id", "modality", "joint_set"):
            values = {getattr(part, name) for part in (first, *others)}
            if len(values) > 1:
                listed = ", ".join(sorted(str(getattr(value, "name", value)) for value in values))
                raise FrameError(f"concat: parts of different {name}: {listed}; convert them first")
        parts = (first, *others)
        wanted = [name for name in _OPTIONAL if any(getattr(part, name) is not None for part in parts)]
        rows = [part._arrays(wanted) for part in parts]
        joined: dict[str, Any] = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
        return replace(first, **joined, ids=tuple(name for part in (first, *others) for name in part.ids))

    def transformed(self, pose: NDArray[np.floating], frame_id: str) -> Skeletons:
        """The same people in another frame: joints are moved, covariances and velocities turned.

        Args:
            pose: (4, 4) rigid transform, this frame -> the other one, meters.
            frame_id: of the other frame.
        """
        rotation = np.asarray(pose)[:3, :3]
        positions = (self.positions @ rotation.T + np.asarray(pose)[:3, 3]).astype(np.float32)
        rotated = None
        if self.covariances is not None:
            rotated = covariance.transformed(self.covariances, rotation).astype(np.float32)
        velocities = None if self.velocities is None else (self.velocities @ rotation.T).astype(np.float32)
        return replace(self, frame_id=frame_id, positions=positions, covariances=rotated, velocities=velocities)

    def _arrays(self, wanted: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
        """Whatever has one row for each person; NaN for what is wanted and not there."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
        shapes = {"covariances": (*self.confidences.shape, 6), "velocities": (len(self), 3)}
        return arrays | {name: np.full(shapes[name], np.nan, np.float32) for name in wanted if name not in arrays}

    @classmethod
    def empty(cls, stamp_ns: int, frame_id: str, modality: str, joint_set: JointSet = ITOP15) -> Skeletons:
        """There is no person: what is published so that listeners know the frame was processed."""
        joints = len(joint_set)
        return cls(
            stamp_ns=stamp_ns,
            frame_id=frame_id,
            modality=modality,
            positions=np.zeros((0, joints, 3), np.float32),
            confidences=np.zeros((0, joints), np.float32),
            status=np.zeros((0, joints), np.uint8),
            scores=np.zeros(0, np.float32),
            joint_set=joint_set,
        )


def _require(name: str, array: NDArray[Any], shape: tuple[int, ...], dtype: type) -> None:
    if array.shape != shape or array.dtype != dtype:
        raise FrameError(f"{name}: got {array.dtype}{list(array.shape)}, expected {np.dtype(dtype)}{list(shape)}")


# Which joints the camera sees, and what it sees around them.

#: What lies less far in front of a joint than this, meters, can be its own skin.
_SKIN = 0.25


def seen_in_depth(camera: Camera, depth: NDArray[np.float32], positions: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which joints nothing hides.

    A joint is seen when it falls into the image, the camera has a reading there, and the surface
    read is less than 25 cm in front of it.

    Args:
        positions: (..., 3) meters in the optical frame.
    """
    # NaN compares false: without a reading a joint is not seen.
    return np.asarray(positions[..., 2] - depth_at(depth, project(camera, positions)) < _SKIN)


def in_image(camera: Camera, positions: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which joints (..., 3) fall into the image."""
    pixels = np.nan_to_num(project(camera, positions), nan=-1e9)
    size = np.array([camera.width, camera.height]) - 0.5
    return np.asarray(((pixels >= -0.5) & (pixels < size)).all(axis=-1))
