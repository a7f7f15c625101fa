"""NumPy's files, read within bounds.

Nothing is unpickled, and nothing is allocated that the file cannot hold: a header may claim any size.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from unipose_training.datasets.errors import COMPLETE, DAMAGED, reading

#: Kinds of numbers and texts; no objects, no records.
PLAIN = "biufSU"
#: Arrays of an archive may be so much larger than its file: real ones shrink to a fifth, empty ones to much less.
_MOST_SHRUNK, _ALWAYS_ALLOWED = 200, 1 << 26
_LAST_CHARACTER = 0x10FFFF


@dataclass(frozen=True)
class ArrayHeader:
    """What an array in a file says of itself.

    Attributes:
        shape, dtype: of it.
        fortran: its first index changes fastest.
        length: bytes before its values.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    length: int


def read_npz(
    path: Path,
    keys: Sequence[str] | None = None,
    remedy: str = "download it again",
    what: str = DAMAGED,
    missing: str = COMPLETE,
) -> dict[str, NDArray[Any]]:
    """Arrays of an ``.npz`` by name.

    Args:
        keys: which; ``None`` for all.
        remedy, what, missing: see :func:`unipose_training.datasets.errors.reading`.

    Raises:
        DataError: the file or an array is missing or damaged, or holds objects.
    """
    with reading(path, remedy, what, missing), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        left = allowed_bytes(path)
        found = {}
        for key in keys if keys is not None else names:
            if key not in names:
                raise ValueError(f"there is no '{key}' among {names[:20]}")
            size = archive.getinfo(f"{key}.npy").file_size
            left -= size
            if left < 0:
                raise ValueError(f"'{key}' claims {size} bytes, more than such a file holds")
            with archive.open(f"{key}.npy") as stream:
                header = read_header(stream)
                found[key] = read_values(stream, header, size - header.length)
        return found


def read_npy(
    path: Path, remedy: str = "check the file", what: str = DAMAGED, missing: str = "check its name"
) -> NDArray[Any]:
    """The array of an ``.npy``; arguments and errors as :func:`read_npz`."""
    with reading(path, remedy, what, missing), path.open("rb") as stream:
        header = read_header(stream)
        return read_values(stream, header, path.stat().st_size - header.length)


def allowed_bytes(path: Path) -> int:
    """How much the arrays of an archive may take together."""
    return max(_ALWAYS_ALLOWED, _MOST_SHRUNK * path.stat().st_size)


def read_header(stream: IO[bytes]) -> ArrayHeader:
    """The header of an array (numpy.lib.format, versions 1 to 3).

    Raises:
        ValueError: there is none, or it makes no sense.
    """
    start = stream.tell()
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if any(not isinstance(length, int) or length < 0 for length in shape):
        raise ValueError(f"an array of shape {shape}")
    return ArrayHeader(shape, dtype, bool(fortran), stream.tell() - start)


def read_values(stream: IO[bytes], header: ArrayHeader, size: int) -> NDArray[Any]:
    """The values that follow a header.

    Args:
        size: bytes that are there.

    Raises:
        ValueError: they are not plain numbers or texts, or not as many as the header says.
    """
    dtype, shape = header.dtype, header.shape
    if dtype.kind not in PLAIN or dtype.names is not None or dtype.subdtype is not None:
        raise ValueError(f"an array of {dtype}; only numbers and texts are read")
    if math.prod(shape) * dtype.itemsize != size or (not dtype.itemsize and math.prod(shape) > _ALWAYS_ALLOWED):
        raise ValueError(f"an array of {dtype}{list(shape)} in {size} bytes")
    values = np.empty(math.prod(shape), dtype)
    if size:
        buffer = memoryview(values).cast("B") if dtype.kind not in "US" else memoryview(values.view(np.uint8))
        taken = 0
        while taken < size:
            count = stream.readinto(buffer[taken:])  # type: ignore[attr-defined]  # of files and archives alike
            if not count:
                raise EOFError(f"it ends after {taken} of {size} bytes")
            taken += count
        require_characters(values)
    return values.reshape(shape[::-1]).T if header.fortran else values.reshape(shape)


def require_characters(values: NDArray[Any]) -> None:
    """Refuse numbers that stand for no character: Python cannot make texts of them.

    Raises:
        ValueError: there are some.
    """
    if values.dtype.kind == "U" and values.size and values.itemsize:
        codes = np.ascontiguousarray(values).view(np.dtype(np.uint32).newbyteorder(values.dtype.byteorder))
        if codes.max() > _LAST_CHARACTER:
            raise ValueError("a text holds numbers that are no characters")
