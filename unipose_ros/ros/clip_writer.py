"""A writer for :class:`~unipose_ros.ros.bag_recorder.Recorder` that keeps clips instead of everything."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from unipose_ros.recordings import BagWriter
from unipose_ros.recordings.writer import complete_recording


class ClipWriter:
    """Takes all messages, and writes those between :meth:`begin` and :meth:`end`; clips appear when they are complete.

    Latched messages are remembered, and are the first ones of every clip.

    Attributes:
        counts: messages of the present clip by topic; of none where none is being written.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._topics: dict[str, tuple[str, bool]] = {}
        self._latched: dict[str, list[bytes]] = {}
        self._writer: BagWriter | None = None
        self._opened = ExitStack()

    @property
    def writing(self) -> bool:
        """Whether a clip is being written."""
        return self._writer is not None

    def begin(self, path: Path, time_ns: int) -> None:
        """Begin a clip; one that is being written is ended.

        Raises:
            RecordingError: the folder exists or cannot be made.
        """
        self.end()
        with ExitStack() as stack:
            partial = stack.enter_context(complete_recording(path))
            self._writer = stack.enter_context(BagWriter(partial, "mcap", path))
            self._opened = stack.pop_all()
        self.counts = self._writer.counts
        for topic, (kind, latched) in self._topics.items():
            self._writer.add_topic(topic, kind, latched)
            for data in self._latched.get(topic, []):
                self._writer.write_raw(topic, kind, data, time_ns)

    def end(self) -> None:
        """End the clip, if there is one.

        Raises:
            RecordingError: it cannot be completed.
        """
        if self._writer is not None:
            self._writer = None
            self._opened.close()
            self.counts = {}

    def add_topic(self, topic: str, message_type: str, latched: bool = False) -> None:
        """See :meth:`BagWriter.add_topic`."""
        self._topics[topic] = message_type, latched
        if self._writer is not None:
            self._writer.add_topic(topic, message_type, latched)

    def write_raw(self, topic: str, message_type: str, data: bytes, time_ns: int) -> None:
        """See :meth:`BagWriter.write_raw`; without a clip the message is dropped."""
        if self._topics.get(topic, ("", False))[1]:
            self._latched.setdefault(topic, []).append(bytes(data))
        if self._writer is not None:
            self._writer.write_raw(topic, message_type, data, time_ns)
