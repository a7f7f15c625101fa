"""A clip: what training and evaluation read, whatever it is stored in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.recordings import BagReader, RgbdRecording, RgbdTopics


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
        subset: the part of a benchmark that it belongs to.

    Raises:
        RecordingError: it cannot be opened, or has no usable topics.
    """

    def __init__(self, path: Path, topics: RgbdTopics | None = None, subset: str = "") -> None:
        self._path = path
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
        """Name of the folder or, without its suffix, of the file."""
        return self._path.stem if self._path.is_file() else self._path.resolve().name

    @property
    def subset(self) -> str:
        """As given."""
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


def open_clip(path: Path, topics: RgbdTopics | None = None) -> Clip:
    """Whatever lies at a path, as a clip.

    Raises:
        RecordingError: it is nothing that can be read; the text names the remedy.
    """
    return RecordingClip(path, topics)
