"""Keeps rosbags from making room for whatever a recording claims: lengths beyond the file, and what is compressed."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import lz4.frame
from rosbags.rosbag2 import reader, storage_mcap

#: Bytes that may be asked for without a look at how many there are.
_LITTLE = 1 << 20
#: Bytes of a chunk or message when unpacked; a cloud of 4K with colors takes 265 MB.
MOST_UNPACKED = 3 << 27
#: Bytes of a file that is compressed as a whole, when unpacked: so many at least, and so many times its size.
_MOST_FILE, _MOST_RATIO = 1 << 30, 500


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


class UnpackedSizeError(ValueError):
    """Compressed data grows beyond all measure."""


def bound_decompression() -> None:
    """Have rosbags unpack chunks, messages and files within bounds, for the rest of the process.

    It hands the bytes to the libraries as they are: 100 kB may become gigabytes. Versions before 0.11 use another
    library for zstd, which refuses frames that do not say their size.
    """
    for module in (storage_mcap, reader):
        library = getattr(module, "zstd", None)
        if hasattr(library, "ZstdDecompressor") and not isinstance(library, _BoundedZstd):
            module.zstd = _BoundedZstd(library)  # type: ignore[attr-defined]
    if hasattr(storage_mcap, "lz4_decompress"):
        storage_mcap.lz4_decompress = _unpack_lz4


class _BoundedZstd:
    """The part of :mod:`compression.zstd` that rosbags reads with."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)

    def decompress(self, data: bytes) -> bytes:
        """As the library's, of one frame or several."""
        return _unpack(data, self._library.ZstdDecompressor)

    def open(self, file: Any, mode: str = "rb") -> Any:
        """As the library's."""
        opened = self._library.open(file, mode)
        if mode != "rb":
            return opened
        here = file.tell()
        size = file.seek(0, io.SEEK_END)
        file.seek(here)
        return _BoundedStream(opened, max(_MOST_FILE, _MOST_RATIO * size))


def _unpack_lz4(data: bytes) -> bytes:
    return _unpack(data, lz4.frame.LZ4FrameDecompressor)


def _unpack(data: bytes, decompressor: Callable[[], Any]) -> bytes:
    """All frames of some bytes.

    Raises:
        UnpackedSizeError: they become more than :data:`MOST_UNPACKED`.
        EOFError: the last one is cut short.
    """
    parts: list[bytes] = []
    room = MOST_UNPACKED
    while data:
        frame = decompressor()
        parts.append(frame.decompress(data, max_length=room + 1))
        room -= len(parts[-1])
        if room < 0:
            raise UnpackedSizeError(f"a chunk or message becomes more than {MOST_UNPACKED >> 20} MB when unpacked")
        if not frame.eof:
            raise EOFError("compressed data is cut short")
        data = frame.unused_data or b""
    return b"".join(parts)


class _BoundedStream:
    """A file that is unpacked while it is read, as far as that is plausible."""

    def __init__(self, stream: BinaryIO, room: int) -> None:
        self._stream, self._room, self._most = stream, room, room

    def __enter__(self) -> _BoundedStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def read(self, size: int = -1) -> bytes:
        """As a file's."""
        data = self._stream.read(size)
        self._room -= len(data)
        if self._room < 0:
            raise UnpackedSizeError(f"the file becomes more than {self._most >> 20} MB when unpacked")
        return data
