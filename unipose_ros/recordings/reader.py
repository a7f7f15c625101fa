"""Read a rosbag2 recording (mcap or sqlite3) without ROS."""

from __future__ import annotations

import io
import logging
import re
import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection, QosDurability
from rosbags.typesys.store import Typestore

from unipose_ros.recordings.bounds import BoundedPath, BoundedReader, bound_decompression
from unipose_ros.recordings.messages import RecordingError, differing_field, message_types

_log = logging.getLogger(__name__)
bound_decompression()
#: What rosbag2 stores recordings in.
STORAGE_SUFFIXES = (".mcap", ".db3")
#: ... and what it makes of them in compression mode FILE.
_PACKED = tuple(f"{suffix}.zstd" for suffix in STORAGE_SUFFIXES)
#: Files that are packed as a whole, by whomever, and what unpacks them.
_UNPACK = {
    ".zstd": "zstd -d", ".zst": "zstd -d", ".gz": "gunzip -k", ".bz2": "bunzip2 -k", ".xz": "unxz -k", ".lz4": "lz4 -d",
    ".zip": "unzip", ".7z": "7z x", ".tar": "tar -xf", ".tgz": "tar -xf",
}  # fmt: skip


@dataclass(frozen=True)
class Topic:
    """What a recording holds under one name.

    Attributes:
        name, type: e.g. ``/color/camera_info`` and ``sensor_msgs/msg/CameraInfo``.
        count: number of messages, as the recording's index has it.
        latched: the publisher offered transient local durability (``/tf_static``).
    """

    name: str
    type: str
    count: int
    latched: bool = False


@dataclass(frozen=True, eq=False)
class RawMessage:
    """One recorded message as it travelled: CDR bytes and the time it was recorded."""

    topic: str
    type: str
    time_ns: int
    data: bytes


@dataclass(frozen=True, eq=False)
class Message:
    """One recorded message, unpacked: ``value`` has the fields of the message type."""

    topic: str
    type: str
    time_ns: int
    value: Any


class BagReader:
    """A recording opened for reading; use it as a context manager.

    Args:
        path: a bag folder, or one of its ``.mcap`` or ``.db3`` files.

    Attributes:
        path: what was opened.
        lost_bytes: bytes at the end of the file that hold no whole record; 0 for a sound recording.
        problem: why reading ended before the recording did; ``None`` when it did not.

    Raises:
        RecordingError: on entering, when there is no recording at the path or it cannot be understood.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.lost_bytes = 0
        self.problem: str | None = None
        self._bag: AnyReader | None = None
        self._differing: dict[str, str] = {}

    def __enter__(self) -> BagReader:
        self._bag = self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        bag, self._bag = self._bag, None
        if bag is not None:
            # A bag that rosbags gave up on is partly closed already.
            with suppress(Exception):
                bag.close()

    @property
    def topics(self) -> dict[str, Topic]:
        """All topics by name."""
        found: dict[str, Topic] = {}
        for connection in self._opened.connections:
            before = found.get(connection.topic)
            count = connection.msgcount + (before.count if before else 0)
            found[connection.topic] = Topic(connection.topic, connection.msgtype, count, _is_latched(connection))
        return dict(sorted(found.items()))

    @property
    def types(self) -> Typestore:
        """The message types as the recording defines them."""
        return self._opened.typestore

    @property
    def duration_ns(self) -> int:
        """Time from the first message to the last."""
        bag = self._opened
        # rosbags' end is exclusive.
        return max(bag.end_time - bag.start_time - 1, 0) if bag.message_count else 0

    def raw(self, topics: Collection[str] | None = None) -> Iterator[RawMessage]:
        """Messages in the order of their recording times, still serialised.

        Where the recording is damaged the iteration ends with a warning in the log, and
        :attr:`problem` says why.

        Args:
            topics: only these; all when ``None``.

        Raises:
            RecordingError: a topic is not in the recording.
        """
        bag = self._opened
        chosen = self._choose(topics)
        if not chosen:
            return
        messages = bag.messages(chosen)
        while True:
            try:
                connection, time_ns, data = next(messages)
            except StopIteration:
                return
            # rosbags meets arbitrary bytes here and raises whatever its parsers raise.
            except Exception as error:
                self._end_early(f"{self.path}: reading stops at a damaged place ({_reason(error)}); the rest is lost")
                return
            yield RawMessage(connection.topic, connection.msgtype, time_ns, bytes(data))

    def messages(self, topics: Collection[str] | None = None) -> Iterator[Message]:
        """As :meth:`raw`, unpacked."""
        for raw in self.raw(topics):
            yield Message(raw.topic, raw.type, raw.time_ns, self.unpack(raw))

    def unpack(self, raw: RawMessage) -> Any:
        """The message in a :class:`RawMessage`.

        Raises:
            RecordingError: the bytes do not fit the type, or the recording defines it otherwise than ROS 2 does.
        """
        if raw.type not in self._differing:
            self._differing[raw.type] = differing_field(self.types, raw.type)
        if differing := self._differing[raw.type]:
            raise RecordingError(
                f"{self.path}: the recording defines '{differing}' otherwise than ROS 2 does, or not at all; leave "
                f"'{raw.topic}' out, or record it again"
            )
        try:
            return self._opened.deserialize(raw.data, raw.type)
        # A wrong length makes rosbags raise numpy's, struct's and its own errors alike.
        except Exception as error:
            raise RecordingError(
                f"{self.path}: a message of {raw.type} on '{raw.topic}' at {raw.time_ns} ns cannot be unpacked "
                f"({_reason(error)}); the recording is damaged there, leave the topic out"
            ) from error

    @property
    def _opened(self) -> AnyReader:
        if self._bag is None:
            raise RecordingError(f"{self.path}: not open; use 'with BagReader(path) as reader:'")
        return self._bag

    def _choose(self, topics: Collection[str] | None) -> list[Connection]:
        connections = self._opened.connections
        if topics is None:
            return list(connections)
        present = {connection.topic for connection in connections}
        for topic in topics:
            if topic not in present:
                raise RecordingError(
                    f"{self.path}: there is no topic '{topic}'; the recording has {', '.join(sorted(present))}"
                )
        return [connection for connection in connections if connection.topic in topics]

    def _open(self) -> AnyReader:
        files = _storage_files(self.path)
        whole = self.path.is_file() or (self.path / "metadata.yaml").exists()
        try:
            return _any_reader([self.path] if whole else files)
        except Exception as error:  # see raw()
            return self._open_files(files, error)

    def _open_files(self, files: list[Path], cause: Exception) -> AnyReader:
        """Open the storage files themselves: their own indices know as much as metadata.yaml does."""
        if self.path.is_file():
            return self._open_damaged(files, cause)
        try:
            bag = _any_reader(files)
        except Exception:  # see raw()
            return self._open_damaged(files, cause)
        missing = sorted(_named_in_metadata(self.path) - {file.name for file in files})
        unnamed = {file.name for file in files} - _named_in_metadata(self.path)
        if len(missing) > len(unnamed):
            self._end_early(
                f"{self.path}: metadata.yaml names {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} "
                "not there; what was recorded in it is lost"
            )
        else:
            _log.warning(
                "%s: metadata.yaml does not fit the recording (%s); the files beside it are read as they are, nothing "
                "is lost; 'ros2 bag reindex' makes it anew", *(self.path, cause),
            )  # fmt: skip
        return bag

    def _open_damaged(self, files: list[Path], cause: Exception) -> AnyReader:
        """Open the storage files themselves, each as far as it is good."""
        sources: list[Any] = [MendedMcap(file) if file.suffix == ".mcap" else file for file in files]
        try:
            bag = _any_reader(sources)
        except Exception as error:
            raise RecordingError(
                f"{self.path}: cannot be read as a rosbag2 recording ({_reason(cause)}); record it again, or try "
                "'ros2 bag reindex' on it"
            ) from error
        mended = [source for source in sources if isinstance(source, MendedMcap)]
        self.lost_bytes = sum(source.lost_bytes for source in mended)
        if mended == sources and not self.lost_bytes:
            self._end_early(
                f"{self.path}: the index at the file's end is damaged ({_reason(cause)}); the messages before it are "
                "whole, nothing is lost"
            )
            return bag
        self._end_early(
            f"{self.path}: the recording is damaged ({_reason(cause)}); it is read as far as it goes, "
            f"the last {self.lost_bytes} bytes are lost"
        )
        return bag

    def _end_early(self, problem: str) -> None:
        self.problem = problem
        _log.warning(problem)


def _storage_files(path: Path) -> list[Path]:
    try:
        return _find_storage_files(path)
    except (OSError, RuntimeError) as error:  # no permission, a loop of links, a name that is too long
        raise RecordingError(
            f"{path}: cannot be opened ({error}); give a rosbag2 folder, .mcap or .db3 file"
        ) from error


def _find_storage_files(path: Path) -> list[Path]:
    if not path.exists():
        raise RecordingError(f"{path}: there is no such file or folder; give a rosbag2 folder, .mcap or .db3 file")
    if path.is_file() and path.suffix in STORAGE_SUFFIXES:
        return [path]
    if path.suffix == ".bag":
        raise RecordingError(
            f"{path}: this is a recording of ROS 1; 'rosbags-convert --src {path.name} --dst {path.stem}' makes one of "
            "ROS 2 of it (pip install rosbags)"
        )
    files = [] if path.is_file() else sorted(f for f in path.iterdir() if f.suffix in STORAGE_SUFFIXES)
    if files or (path / "metadata.yaml").exists():
        return files
    for file in [path] if path.is_file() else sorted(path.iterdir()):
        if file.suffix.lower() in _UNPACK and file.is_file():
            of_rosbag2 = ", or give the folder with its metadata.yaml" if file.name.endswith(_PACKED) else ""
            raise RecordingError(
                f"{file}: the file is compressed as a whole; unpack it with '{_unpacking(file)}'{of_rosbag2}"
            )
    if path.is_file():
        raise RecordingError(
            f"{path}: '{path.suffix}' is no rosbag2 storage; give a .mcap or .db3 file or the bag folder"
        )
    raise RecordingError(f"{path}: no metadata.yaml, .mcap or .db3 file in it; this is not a rosbag2 recording")


def _unpacking(file: Path) -> str:
    """The command that unpacks a file."""
    archive = Path(file.stem).suffix == ".tar"  # .tar.gz
    return f"{'tar -xf' if archive else _UNPACK[file.suffix.lower()]} {file.name}"


def _named_in_metadata(folder: Path) -> set[str]:
    """Names of the storage files, as far as metadata.yaml can be read."""
    try:
        text = (folder / "metadata.yaml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    return {Path(name).name for name in re.findall(r"^\s*-\s*['\"]?(\S+?\.(?:mcap|db3))", text, re.MULTILINE)}


def _any_reader(sources: list[Any]) -> AnyReader:
    if not sources:
        raise RecordingError("the storage files that metadata.yaml names are missing")
    bounded = [BoundedPath(source) if isinstance(source, Path) else source for source in sources]
    bag = AnyReader(bounded, default_typestore=message_types())
    bag.open()
    try:
        numbers = (bag.message_count, bag.start_time, bag.end_time, *(c.msgcount for c in bag.connections))
        if any(type(number) is not int for number in numbers):
            raise RecordingError("counts and times in metadata.yaml are no whole numbers")
        if any(type(text) is not str for c in bag.connections for text in (c.topic, c.msgtype)):
            raise RecordingError("topics and types in metadata.yaml are no texts")
    except BaseException:
        with suppress(Exception):
            bag.close()
        raise
    return bag


def _reason(error: Exception) -> str:
    """Some errors have no text but their name."""
    return str(error) or type(error).__name__


def _is_latched(connection: Connection) -> bool:
    profiles = getattr(connection.ext, "offered_qos_profiles", [])
    return any(profile.durability == QosDurability.TRANSIENT_LOCAL for profile in profiles)


# MCAP files that end too early: a crashed recorder, a full disk, an interrupted copy.
#
# An MCAP file is a row of records, each with its length in front, so everything up to the first
# incomplete record is still good (mcap.dev/spec). What is missing at the end - the index and the
# footer - is replaced in memory by the shortest ending that the format allows.

MAGIC = b"\x89MCAP0\r\n"
_RECORD = struct.Struct("<BQ")
_FOOTER, _DATA_END, _LAST_KNOWN_OPCODE = 0x02, 0x0F, 0x0F
_DATA_END_LENGTH = 4
#: Data end (checksum not given), footer (no index, checksum not given), magic.
_ENDING = (
    _RECORD.pack(_DATA_END, _DATA_END_LENGTH) + bytes(_DATA_END_LENGTH) + _RECORD.pack(_FOOTER, 20) + bytes(20) + MAGIC
)


class MendedMcap:
    """Stands in for the path of a damaged MCAP file; opening it gives a complete one.

    Attributes:
        path: the damaged file.
        kept_bytes, lost_bytes: how much of it holds whole records of data, and how much of the data does not.

    Raises:
        RecordingError: the file does not even begin like an MCAP file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.suffix = path.suffix
        with path.open("rb") as file:
            self.kept_bytes, ended = _end_of_whole_records(file, path)
        # What follows the end of the data is an index.
        self.lost_bytes = 0 if ended else path.stat().st_size - self.kept_bytes

    def exists(self) -> bool:
        """As ``Path.exists``."""
        return self.path.exists()

    def is_dir(self) -> bool:
        """As ``Path.is_dir``."""
        return False

    def open(self, mode: str = "rb") -> BinaryIO:
        """As ``Path.open``, for reading bytes."""
        if mode != "rb":
            raise ValueError(f"mode '{mode}': a mended recording can only be read")
        return BoundedReader(_Joined(self.path, self.kept_bytes, _ENDING))

    def __str__(self) -> str:
        return str(self.path)


def _end_of_whole_records(file: BinaryIO, path: Path) -> tuple[int, bool]:
    """Bytes up to which records of data are whole, and whether the data end there as their writer ended them."""
    size = path.stat().st_size
    if file.read(len(MAGIC)) != MAGIC:
        raise RecordingError(f"{path}: this is not an MCAP file; nothing can be recovered")
    end = len(MAGIC)
    while len(head := file.read(_RECORD.size)) == _RECORD.size:
        opcode, length = _RECORD.unpack(head)
        after = end + _RECORD.size + length
        # An opcode of 0 is what a power cut leaves: space that was reserved and never written.
        if not 0 < opcode <= _LAST_KNOWN_OPCODE or opcode in (_DATA_END, _FOOTER) or after > size:
            return end, opcode == _DATA_END and length == _DATA_END_LENGTH and after <= size
        end = after
        file.seek(end)
    return end, False


class _Joined(io.RawIOBase):
    """The first bytes of a file, then a tail, as one seekable file."""

    def __init__(self, path: Path, size: int, tail: bytes) -> None:
        self._file = path.open("rb")
        self._size = size
        self._tail = tail
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size + len(self._tail)}[whence]
        self._at = start + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer needs Python 3.12
        if self._at < self._size:
            self._file.seek(self._at)
            data = self._file.read(min(len(buffer), self._size - self._at))
        else:
            start = self._at - self._size
            data = self._tail[start : start + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
