"""A clip: what training and evaluation read, whatever it is stored in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.recordings import BagReader, RecordingError, RgbdRecording, RgbdTopics
from unipose_ros.recordings.reader import STORAGE_SUFFIXES
from unipose_training.data.errors import DataError
from unipose_training.data.keypoint_files import SUFFIX as LABELS_SUFFIX
from unipose_training.data.shards import ShardClip

_SHARD_SUFFIX = ".npz"


class Clip(Protocol):
    """Successive frames of one camera, with the truth where it is known. It can be read again and again."""

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

    def truth(self) -> Iterator[Skeletons]:
        """True skeletons; they belong to the frames of the same stamp. Nothing when none are known.

        A joint is MEASURED when the camera can see it, INFERRED when it is hidden or outside
        the picture.
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

    Raises:
        RecordingError: it cannot be opened, or has no usable topics.
    """

    def __init__(self, path: Path, topics: RgbdTopics | None = None, name: str | None = None, subset: str = "") -> None:
        self._path = path
        self._name = name or (path.stem if path.is_file() else path.resolve().name)
        self._topics = topics
        self._subset = subset
        self._losses: dict[str, int] = {}
        with BagReader(path) as reader:
            found = RgbdRecording(reader, topics).topics
            lead = found.depth or found.points or found.colour
            self._length = reader.topics[str(lead)].count
            self._has_truth = found.truth is not None

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
            recording = RgbdRecording(reader, self._topics)
            try:
                yield from recording.frames()
            finally:  # also when the reader stops early
                self._losses = _losses(recording, reader)

    def truth(self) -> Iterator[Skeletons]:
        """See :meth:`Clip.truth`; taken from a SkeletonArray topic with ``truth`` in its name."""
        if not self._has_truth:
            return
        with BagReader(self._path) as reader:
            yield from RgbdRecording(reader, self._topics).truth()

    def losses(self) -> Mapping[str, int]:
        """See :meth:`Clip.losses`."""
        return self._losses


def _losses(recording: RgbdRecording, reader: BagReader) -> dict[str, int]:
    lost = {f"images dropped, {why}": count for why, count in recording.dropped.items() if count}
    if reader.problem is not None:
        lost["recording damaged, bytes lost at its end"] = reader.lost_bytes
    return lost


def open_clips(
    path: Path, topics: RgbdTopics | None = None, damaged: Callable[[Path, Exception], object] | None = None
) -> list[Clip]:
    """Everything that lies at a path: a recording, a shard, or a folder of them.

    Recordings within a folder are named by their path in it; the folders that they lie in are
    their subset. Shards know their own names.

    Args:
        damaged: told of each clip of a folder that cannot be opened, which is then left out.

    Raises:
        RecordingError, DataError: it cannot be read; the text names the remedy.
    """
    if path.suffix == _SHARD_SUFFIX:
        return [ShardClip(path)]
    files = [file for file in sorted(path.rglob("*")) if not _is_hidden(file.relative_to(path))]
    shards = [file for file in files if _is_shard(file)]
    folders = list(dict.fromkeys(file.parent for file in files if file.suffix in STORAGE_SUFFIXES))
    if path in folders or not (folders or shards):
        return [RecordingClip(path, topics)]
    openers: list[tuple[Path, Callable[[], Clip]]] = [
        *((folder, partial(_recording_within, path, folder, topics)) for folder in folders),
        *((shard, partial(ShardClip, shard)) for shard in shards),
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


def _recording_within(path: Path, folder: Path, topics: RgbdTopics | None) -> RecordingClip:
    place = folder.relative_to(path)
    return RecordingClip(folder, topics, place.as_posix(), subset="/".join(place.parts[:-1]))


def _is_shard(path: Path) -> bool:
    """2D labels may lie beside the clips."""
    return path.suffix == _SHARD_SUFFIX and not path.name.endswith(LABELS_SUFFIX)


def _is_hidden(path: Path) -> bool:
    """What is still being written lies in hidden folders."""
    return any(part.startswith(".") for part in path.parts)
