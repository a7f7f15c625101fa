"""A clip: what training and evaluation read, whatever it is stored in."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from unipose_ros.files import same_text
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons, TrackState
from unipose_ros.joint_sets import JointSet
from unipose_ros.mounting import turn_frame, turn_skeletons
from unipose_ros.recordings import BagReader, RecordingError, RgbdRecording, RgbdTopics
from unipose_ros.recordings.reader import STORAGE_SUFFIXES
from unipose_training.datasets.keypoint_files import SUFFIX as LABELS_SUFFIX
from unipose_training.datasets.shards import ShardClip
from unipose_training.errors import DAMAGED, DataError, reading

# What data sets say of an image, in the package's own terms, and clips that can be read in any order.


T = TypeVar("T")
#: Stamp of a clip's first frame where the data set has no clock: any time but zero, which means "no stamp".
FIRST_STAMP_NS = 1_600_000_000_000_000_000


@dataclass(frozen=True, eq=False)
class Labels2D:
    """N labeled people with J joints in one image.

    Attributes:
        pixels: (N, J, 2) float32 (u, v), (0, 0) the center of the first pixel; NaN without a label.
        status: (N, J) uint8 of :class:`JointStatus`: MEASURED is visible, INFERRED labeled but hidden.
        ids: N names of the people, "" where they have none.
        joint_set: names and order of the joints.

    Raises:
        ValueError: array shapes disagree.
    """

    pixels: NDArray[np.float32]
    status: NDArray[np.uint8]
    ids: tuple[str, ...]
    joint_set: JointSet

    def __post_init__(self) -> None:
        people, joints = len(self.ids), len(self.joint_set)
        for name, shape in (("pixels", (people, joints, 2)), ("status", (people, joints))):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name}: shape {getattr(self, name).shape}, expected {shape}")

    def __len__(self) -> int:
        return len(self.ids)


class IndexedClip(ABC):
    """A :class:`~unipose_training.datasets.base.Clip` whose frames can be read in any order and by many workers.

    It holds paths and small tables, no open files, so that it can be sent to another process.
    """

    def __init_subclass__(cls) -> None:
        """Guard everything that a data set's reader reads by the number of a frame."""
        super().__init_subclass__()
        for name, method in list(vars(cls).items()):
            if name.endswith("_at") and callable(method):
                setattr(cls, name, _guarded(method))

    def __init__(self, name: str, subset: str, length: int, source: Path | None = None) -> None:
        self._name, self._subset, self._length = name, subset, length
        self._source = source or Path(name)

    @property
    def name(self) -> str:
        """What reports call it."""
        return self._name

    @property
    def source(self) -> Path:
        """The file or folder that errors name where they know no better."""
        return self._source

    @property
    def subset(self) -> str:
        """The part of the data set that it belongs to."""
        return self._subset

    def __len__(self) -> int:
        return self._length

    @abstractmethod
    def frame_at(self, index: int) -> RgbdFrame:
        """Frame number ``index`` from 0.

        Raises:
            DataError: it cannot be read; the text names file and remedy.
        """

    def ground_truth_at(self, index: int) -> Skeletons | None:
        """True skeletons of that frame; ``None`` when they are not known."""
        del index
        return None

    def labels_at(self, index: int) -> Labels2D | None:
        """Labeled 2D joints of that frame; ``None`` when there are none."""
        del index
        return None

    def frames(self) -> Iterator[RgbdFrame]:
        """See :meth:`Clip.frames`."""
        return (self.frame_at(index) for index in range(len(self)))

    def ground_truth(self) -> Iterator[Skeletons]:
        """See :meth:`Clip.ground_truth`."""
        found = (self.ground_truth_at(index) for index in range(len(self)))
        return (skeletons for skeletons in found if skeletons is not None)

    def losses(self) -> Mapping[str, int]:
        """See :meth:`Clip.losses`."""
        return {}


def _guarded(method: Callable[[Any, int], T]) -> Callable[[Any, int], T]:
    """A method that reads a frame, with its errors as :class:`DataError`."""

    @wraps(method)
    def guarded(clip: IndexedClip, index: int) -> T:
        if not 0 <= index < len(clip):
            raise IndexError(f"frame {index} of {len(clip)}")
        with reading(clip.source, what=f"frame {index} {DAMAGED}"):
            return method(clip, index)

    return guarded


def joint_status(labeled: NDArray[np.bool_], visible: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Status of joints that are labeled, and of those the ones that can be seen."""
    there = np.where(visible, JointStatus.MEASURED, JointStatus.INFERRED)
    return np.where(labeled, there, JointStatus.MISSING).astype(np.uint8)


def true_skeletons(
    stamp_ns: int,
    frame_id: str,
    positions: NDArray[np.floating],
    visible: NDArray[np.bool_],
    ids: Sequence[str],
    joint_set: JointSet,
) -> Skeletons:
    """Labeled 3D joints as skeletons.

    Args:
        positions: (N, J, 3) meters in the optical frame; NaN without a label.
        visible: (N, J) the camera sees the joint's place.
        ids: of the N people.
    """
    labeled = np.asarray(np.isfinite(positions).all(axis=-1))
    people = len(positions)
    return Skeletons(
        stamp_ns=stamp_ns,
        frame_id=frame_id,
        modality="ground_truth",
        positions=np.where(labeled[..., None], positions, np.nan).astype(np.float32),
        confidences=labeled.astype(np.float32),
        status=joint_status(labeled, visible),
        scores=np.ones(people, np.float32),
        ids=tuple(ids),
        states=np.full(people, TrackState.TRACKED, np.uint8),
        joint_set=joint_set,
    )


_SHARD_SUFFIX = ".npz"


class Clip(Protocol):
    """Successive frames of one camera, with the ground truth where it is known. It can be read again and again."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def subset(self) -> str:
        """The part of a benchmark that it belongs to; "" for none."""
        ...

    def __len__(self) -> int:
        """How many frames to expect, for progress bars; there may turn out to be fewer."""
        ...

    def frames(self) -> Iterator[RgbdFrame]:
        """The frames in the order of time."""
        ...

    def ground_truth(self) -> Iterator[Skeletons]:
        """True skeletons; they belong to the frames of the same stamp. Nothing when none are known.

        A joint is MEASURED when the camera can see it, INFERRED when it is hidden or outside
        the image.
        """
        ...

    def losses(self) -> Mapping[str, int]:
        """What was lost when :meth:`frames` was last read, by reason; empty when nothing was."""
        ...


class RecordingClip:
    """A rosbag2 recording as a clip.

    Args:
        path: the bag's folder, or its storage file.
        topics: roles that the user has named; the others are detected.
        name: what reports call it; that of the folder or, without its suffix, of the file by default.
        subset: the part of a benchmark that it belongs to.
        fixed_frame: a frame that stands still, in which the camera's pose is looked up; empty for none.
        mounting: degrees by which images are turned clockwise, and ground truth with them, to be upright.

    Raises:
        RecordingError: it cannot be opened, or has no usable topics.
    """

    def __init__(
        self,
        path: Path,
        topics: RgbdTopics | None = None,
        name: str | None = None,
        subset: str = "",
        fixed_frame: str = "",
        mounting: int = 0,
    ) -> None:
        self._path = path
        self._fixed_frame = fixed_frame
        #: Degrees, as given.
        self.mounting = mounting
        self._quarters = mounting // 90
        self._name = name or same_text(path.stem if path.is_file() else Path(os.path.realpath(path)).name)
        self._topics = topics
        self._subset = subset
        self._losses: dict[str, int] = {}
        with BagReader(path) as reader:
            found = RgbdRecording(reader, topics).topics
            lead = found.depth or found.points or found.color
            self._length = reader.topics[str(lead)].count
            self._has_ground_truth = found.ground_truth is not None

    @property
    def name(self) -> str:
        """As given, or that of the path."""
        return self._name

    @property
    def subset(self) -> str:
        """As given; "" by default."""
        return self._subset

    def __len__(self) -> int:
        return self._length

    def frames(self) -> Iterator[RgbdFrame]:
        """See :meth:`Clip.frames`. A damaged recording is read as far as it goes."""
        with BagReader(self._path) as reader:
            recording = RgbdRecording(reader, self._topics, fixed_frame=self._fixed_frame)
            try:
                for frame in recording.frames():
                    yield turn_frame(frame, self._quarters)
            finally:  # also when the reader stops early
                self._losses = _losses(recording, reader)

    def ground_truth(self) -> Iterator[Skeletons]:
        """See :meth:`Clip.ground_truth`; taken from a SkeletonArray topic with ``ground_truth`` in its name."""
        if not self._has_ground_truth:
            return
        with BagReader(self._path) as reader:
            for skeletons in RgbdRecording(reader, self._topics).ground_truth():
                yield turn_skeletons(skeletons, self._quarters)

    def losses(self) -> Mapping[str, int]:
        """See :meth:`Clip.losses`."""
        return self._losses


def _losses(recording: RgbdRecording, reader: BagReader) -> dict[str, int]:
    lost = {f"images dropped, {why}": count for why, count in recording.dropped.items() if count}
    if reader.problem is not None:
        lost["recording damaged, bytes lost at its end"] = reader.lost_bytes
    return lost


def open_clips(
    path: Path,
    topics: RgbdTopics | None = None,
    damaged: Callable[[Path, Exception], object] | None = None,
    fixed_frame: str = "",
    mounting: int = 0,
) -> list[Clip]:
    """Everything that lies at a path: a recording, a shard, or a folder of them.

    Recordings within a folder are named by their path in it; the folders that they lie in are
    their subset. Shards know their own names.

    Args:
        damaged: told of each clip of a folder that cannot be opened, which is then left out.
        fixed_frame: a frame that stands still, in which frames say where the camera is; empty for none. Shards know
            their camera's poses, whatever the name.
        mounting: of the cameras of recordings, see :class:`RecordingClip`.

    Raises:
        RecordingError, DataError: it cannot be read; the text names the remedy.
    """
    if path.suffix == _SHARD_SUFFIX:
        return [ShardClip(path, bool(fixed_frame))]
    files = [file for file in sorted(path.rglob("*")) if not _is_hidden(file.relative_to(path))]
    shards = [file for file in files if _is_shard(file)]
    folders = list(dict.fromkeys(file.parent for file in files if file.suffix in STORAGE_SUFFIXES))
    if path in folders or not (folders or shards):
        return [RecordingClip(path, topics, fixed_frame=fixed_frame, mounting=mounting)]
    openers: list[tuple[Path, Callable[[], Clip]]] = [
        *((folder, partial(_recording_within, path, folder, topics, fixed_frame, mounting)) for folder in folders),
        *((shard, partial(ShardClip, shard, bool(fixed_frame))) for shard in shards),
    ]
    return list(_opened(openers, damaged))


def _opened(
    openers: Sequence[tuple[Path, Callable[[], Clip]]], damaged: Callable[[Path, Exception], object] | None
) -> Iterator[Clip]:
    for place, opener in openers:
        try:
            clip = opener()
        except (RecordingError, DataError) as error:
            if damaged is None:
                raise
            damaged(place, error)
        else:
            yield clip


def _recording_within(
    path: Path, folder: Path, topics: RgbdTopics | None, fixed_frame: str, mounting: int
) -> RecordingClip:
    place = folder.relative_to(path)
    subset = same_text("/".join(place.parts[:-1]))
    return RecordingClip(folder, topics, same_text(place.as_posix()), subset, fixed_frame, mounting)


def _is_shard(path: Path) -> bool:
    """2D labels may lie beside the clips."""
    return path.suffix == _SHARD_SUFFIX and not path.name.endswith(LABELS_SUFFIX)


def _is_hidden(path: Path) -> bool:
    """What is still being written lies in hidden folders."""
    return any(part.startswith(".") for part in path.parts)
