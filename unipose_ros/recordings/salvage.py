"""MCAP files that end too early: a crashed recorder, a full disk, an interrupted copy.

An MCAP file is a row of records, each with its length in front, so everything up to the first
incomplete record is still good (mcap.dev/spec). What is missing at the end - the index and the
footer - is replaced in memory by the shortest ending that the format allows.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any, BinaryIO

from unipose_ros.recordings.types import RecordingError

MAGIC = b"\x89MCAP0\r\n"
_RECORD = struct.Struct("<BQ")
_FOOTER, _DATA_END, _LAST_KNOWN_OPCODE = 0x02, 0x0F, 0x0F
#: Data end (checksum not given), footer (no index, checksum not given), magic.
_ENDING = _RECORD.pack(_DATA_END, 4) + bytes(4) + _RECORD.pack(_FOOTER, 20) + bytes(20) + MAGIC
#: Bytes that may be asked for without a look at how many there are.
_LITTLE = 1 << 20


class BoundedPath(type(Path())):  # type: ignore[misc]  # the kind of path of this system
    """A path, and those below it, whose files make no room for more than they hold.

    A record may claim any length, and a read of so many bytes begins with room for them.
    """

    def open(self, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        """As ``Path.open``."""
        return BoundedReader(io.FileIO(self)) if mode == "rb" else super().open(mode, *arguments, **named)


class BoundedReader(io.BufferedReader):
    """A file of bytes that is asked for more than it holds."""

    def read(self, size: int | None = -1, /) -> bytes:
        """As ``BufferedReader.read``."""
        if size is not None and size > _LITTLE:
            here = self.tell()
            size = min(size, max(self.seek(0, io.SEEK_END) - here, 0))
            self.seek(here)
        return super().read(size)


class MendedMcap:
    """Stands in for the path of a damaged MCAP file; opening it gives a complete one.

    Attributes:
        path: the damaged file.
        kept_bytes, lost_bytes: how much of it holds whole records, and how much does not.

    Raises:
        RecordingError: the file does not even begin like an MCAP file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.suffix = path.suffix
        with path.open("rb") as file:
            self.kept_bytes = _end_of_whole_records(file, path)
        self.lost_bytes = path.stat().st_size - self.kept_bytes

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


def _end_of_whole_records(file: BinaryIO, path: Path) -> int:
    size = path.stat().st_size
    if file.read(len(MAGIC)) != MAGIC:
        raise RecordingError(f"{path}: this is not an MCAP file; nothing can be recovered")
    end = len(MAGIC)
    while len(head := file.read(_RECORD.size)) == _RECORD.size:
        opcode, length = _RECORD.unpack(head)
        after = end + _RECORD.size + length
        # An opcode of 0 is what a power cut leaves: space that was reserved and never written.
        if not 0 < opcode <= _LAST_KNOWN_OPCODE or opcode in (_DATA_END, _FOOTER) or after > size:
            break
        end = after
        file.seek(end)
    return end


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
