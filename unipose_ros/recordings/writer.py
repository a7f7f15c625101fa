"""Write a rosbag2 recording (mcap or sqlite3) without ROS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError

from unipose_ros.files import complete_folder, describe_os_error
from unipose_ros.recordings.messages import RecordingError, message_class, message_types

STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
#: Suffixes of the files that storages make in the bag's folder, which they name after it.
_STORED = (".mcap", ".db3", ".db3-journal", ".db3-wal", ".db3-shm")
_FOREVER = QosTime(9223372036, 854775807)


class BagWriter:
    """A recording being written; use it as a context manager.

    A topic comes into being with its first message, or with :meth:`add_topic`.

    Args:
        path: the bag folder to make; it must not exist.
        storage: ``mcap`` or ``sqlite3``.
        becomes: what it is called once it is complete, see :func:`complete_recording`; errors name that, as nothing
            of it is kept before.

    Attributes:
        counts: messages written so far, by topic.

    Raises:
        RecordingError: the storage is unknown, or on entering, the folder exists already.
    """

    def __init__(self, path: Path | str, storage: str = "mcap", becomes: Path | None = None) -> None:
        if storage not in STORAGES:
            raise RecordingError(f"storage = '{storage}': use one of {', '.join(STORAGES)}")
        self.path = Path(path)
        self._becomes = becomes
        self.counts: dict[str, int] = {}
        self._storage = STORAGES[storage]
        self._writer: Writer | None = None
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> BagWriter:
        try:
            self._writer = Writer(self.path, version=9, storage_plugin=self._storage)
            self._writer.open()
        except WriterError as error:
            raise RecordingError(f"{self.path}: cannot be written ({error}); choose another folder") from error
        except OSError as error:
            raise RecordingError(f"{self.path}: cannot be written: {describe_os_error(error)}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            # Also after an error: what was written until then is a sound recording.
            writer.close()
        except Exception as failure:  # each storage has errors of its own
            with suppress(Exception):
                writer.abort()
            if error is None:
                raise self._failed(failure) from failure

    def _failed(self, error: Exception) -> RecordingError:
        reason = describe_os_error(error) if isinstance(error, OSError) else str(error)
        if self._becomes is not None:
            return RecordingError(f"{self._becomes}: cannot be written: {reason}")
        return RecordingError(
            f"{self.path}: the recording ends after {sum(self.counts.values())} messages: {reason}; the last ones, a "
            "megabyte at most, are lost, those before can be read"
        )

    def add_topic(self, topic: str, message_type: str, latched: bool = False) -> None:
        """Announce a topic before its first message.

        Args:
            latched: note transient local durability, so that players offer it too.

        Raises:
            RecordingError: the topic has another type already, or the type is unknown.
        """
        known = self._connections.get(topic)
        if known is not None and known.msgtype != message_type:
            raise RecordingError(
                f"{self.path}: '{topic}' carries {known.msgtype}, so it cannot take {message_type}; use another topic"
            )
        if known is None:
            message_class(message_type)
            self._connections[topic] = self._opened.add_connection(
                topic, message_type, typestore=message_types(), offered_qos_profiles=[_qos(latched)]
            )
            self.counts[topic] = 0

    def write(self, topic: str, message: Any, time_ns: int) -> None:
        """Append a message made by :mod:`unipose_ros.recordings.messages`."""
        message_type = message.__msgtype__
        self.write_raw(topic, message_type, bytes(message_types().serialize_cdr(message, message_type)), time_ns)

    def write_raw(self, topic: str, message_type: str, data: bytes, time_ns: int) -> None:
        """Append a message that is serialised already.

        Raises:
            RecordingError: the topic has another type already, or the disk does not take it.
        """
        self.add_topic(topic, message_type)
        writer = self._opened
        try:
            writer.write(self._connections[topic], time_ns, data)
        except Exception as error:  # each storage has errors of its own
            raise self._failed(error) from error
        self.counts[topic] += 1

    @property
    def _opened(self) -> Writer:
        if self._writer is None:
            raise RecordingError(f"{self.path}: not open; use 'with BagWriter(path) as writer:'")
        return self._writer


@contextmanager
def complete_recording(path: Path, *beside: str) -> Iterator[Path]:
    """A place to write a bag folder to; at the end of the block it becomes ``path``, complete or not at all.

    Args:
        path: the bag folder to make; it must not exist.
        beside: names of further files that are written into it.

    Raises:
        RecordingError: the folder exists, cannot be made, or another run is writing it.
    """
    stored = "|".join(re.escape(suffix) for suffix in _STORED)
    names = "|".join(map(re.escape, ("metadata.yaml", "metadata.yaml.tmp", *beside)))
    try:
        with complete_folder(path, re.compile(rf"{re.escape(path.name)}({stored})|{names}")) as partial:
            yield partial
    except OSError as error:
        raise RecordingError(f"{path}: cannot be written: {describe_os_error(error)}") from error


def _qos(latched: bool) -> Qos:
    """Reliable, the last ten; what our player and most drivers' recordings have."""
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=10,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=_FOREVER,
        lifespan=_FOREVER,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_FOREVER,
        avoid_ros_namespace_conventions=False,
    )
