"""MATLAB's files of versions 5 to 7, read within bounds: arrays of numbers, and cells of them.

SciPy's reader believes the sizes in a file: a damaged one ends the process, or asks for gigabytes. Here nothing is
allocated that the file does not hold. Format: "MAT-File Level 5 File Format", The MathWorks.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unipose_training.datasets.io import allowed_bytes
from unipose_training.errors import COMPLETE, reading

#: Types of data elements: numbers of this kind, arrays, compressed elements.
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15
#: Classes of arrays: cells, and numbers from double to uint64. Others (structures, texts, sparse ones) are left out.
_CELL, _NUMERIC = 1, range(6, 16)
_COMPLEX = 0x0800
_HEADER = 128
_MOST_DIMENSIONS, _MOST_CELLS = 32, 100_000
_CHUNK = 1 << 20


def read_mat(
    path: Path,
    keys: Collection[str] | None = None,
    remedy: str = "download it again",
    what: str = "no readable MATLAB 5 file",
    missing: str = COMPLETE,
) -> dict[str, NDArray[Any]]:
    """Variables by name.

    Args:
        keys: those that are read; ``None`` for all.
        remedy, what, missing: see :func:`unipose_training.errors.reading`.

    Returns:
        Arrays of numbers in the types that they are stored in, of at least two dimensions as in MATLAB. Cells are
        arrays of objects, each an array. Variables of other kinds and those not asked for are ``None`` in arrays of
        objects without dimensions, so that their names can be shown.

    Raises:
        DataError: the file is missing, damaged, or of another version.
    """
    with reading(path, remedy, what, missing):
        content = memoryview(path.read_bytes())
        return _Reader(_byte_order(content), allowed_bytes(path)).variables(content[_HEADER:], keys)


def _byte_order(content: memoryview) -> Literal["<", ">"]:
    """The header's last four bytes: version, and "MI" as the writer's machine stores it."""
    if b"\x89HDF" in (content[:4], content[512:516]):
        raise ValueError("MATLAB 7.3, which is HDF5; save it with -v7")
    mark = bytes(content[_HEADER - 2 : _HEADER])
    if mark not in (b"IM", b"MI"):
        raise ValueError("no MATLAB file of versions 5 to 7; save it with -v7")
    order: Literal["<", ">"] = "<" if mark == b"IM" else ">"
    (version,) = struct.unpack_from(f"{order}H", content, _HEADER - 4)
    if version != 0x0100:
        raise ValueError(f"version {version >> 8}.{version & 255} of the format, expected 1.0; save it with -v7")
    return order


class _Element(NamedTuple):
    """A data element: its type and its bytes."""

    kind: int
    data: memoryview


class _Head(NamedTuple):
    """What an array says of itself, and the elements that follow."""

    array_class: int
    is_complex: bool
    shape: tuple[int, ...]
    name: str
    rest: Iterator[_Element]


class _Reader:
    """Reads one file's elements.

    Args:
        order: of bytes, ``<`` or ``>``.
        most: bytes that compressed elements may take together.
    """

    def __init__(self, order: Literal["<", ">"], most: int) -> None:
        self._order = order
        self._bytes_left = most
        self._cells_left = _MOST_CELLS

    def variables(self, data: memoryview, keys: Collection[str] | None) -> dict[str, NDArray[Any]]:
        """See :func:`read_mat`."""
        found: dict[str, NDArray[Any]] = {}
        for element in self._elements(data):
            matrix: _Element | None = element
            if element.kind == _COMPRESSED:
                matrix = next(self._elements(self._inflate(element.data)), None)
            if matrix is None or matrix.kind != _MATRIX:
                raise ValueError(f"a data element of type {matrix and matrix.kind} where an array is expected")
            head = self._head(matrix.data)
            found[head.name] = self._values(head) if keys is None or head.name in keys else np.array(None)
        return found

    def _elements(self, data: memoryview) -> Iterator[_Element]:
        """Data elements one after the other; each begins at a multiple of eight bytes, but for compressed ones."""
        at = 0
        while len(data) - at >= 8:
            kind, size = struct.unpack_from(f"{self._order}II", data, at)
            begin = at + 8
            if kind >> 16:  # up to four bytes in the tag itself
                kind, size, begin = kind & 0xFFFF, kind >> 16, at + 4
                if size > 4:
                    raise ValueError(f"a small data element of {size} bytes")
            if size > len(data) - begin:
                raise ValueError(f"a data element of {size} bytes where {len(data) - begin} are left")
            yield _Element(kind, data[begin : begin + size])
            at = begin + size if kind == _COMPRESSED else begin + size + -(begin + size) % 8
        if len(data) > at:
            raise ValueError(f"{len(data) - at} bytes are left after the last data element")

    def _inflate(self, data: memoryview) -> memoryview:
        """The element in a compressed one."""
        decompress = zlib.decompressobj()
        parts = []
        for begin in range(0, len(data), _CHUNK):
            rest = bytes(data[begin : begin + _CHUNK])
            while rest and not decompress.eof:
                parts.append(decompress.decompress(rest, _CHUNK))
                rest = decompress.unconsumed_tail
                self._bytes_left -= len(parts[-1])
                if self._bytes_left < 0:
                    raise ValueError("its compressed arrays take more than such a file holds")
        if not decompress.eof:
            raise ValueError("a compressed array is cut short")
        return memoryview(b"".join(parts))

    def _head(self, data: memoryview) -> _Head:
        """Flags, dimensions and name, which come first in every array."""
        if not data:  # an empty cell
            return _Head(_NUMERIC[0], False, (0, 0), "", iter((_Element(9, data),)))
        elements = self._elements(data)
        flags, dimensions, name = (next(elements, None) for _ in range(3))
        if flags is None or dimensions is None or name is None or len(flags.data) < 4 or dimensions.kind != 5:
            raise ValueError("an array without flags, dimensions or name")
        (word,) = struct.unpack_from(f"{self._order}I", flags.data)
        shape = tuple(int(n) for n in self._numbers(dimensions))
        if not 2 <= len(shape) <= _MOST_DIMENSIONS or min(shape) < 0:
            raise ValueError(f"an array of shape {list(shape[:_MOST_DIMENSIONS])}")
        return _Head(word & 0xFF, bool(word & _COMPLEX), shape, bytes(name.data).decode("utf-8", "replace"), elements)

    def _values(self, head: _Head, in_cell: bool = False) -> NDArray[Any]:
        count = math.prod(head.shape)
        if head.array_class == _CELL and not in_cell:
            values = self._cells(head, count)
        elif head.array_class in _NUMERIC and not head.is_complex:
            values = self._numbers(next(head.rest, _Element(9, memoryview(b""))))
            if len(values) != count:
                raise ValueError(f"{len(values)} numbers in an array of shape {list(head.shape)}")
        else:
            return np.array(None)
        return values.reshape(head.shape, order="F")

    def _cells(self, head: _Head, count: int) -> NDArray[Any]:
        self._cells_left -= count
        if self._cells_left < 0:
            raise ValueError(f"more than {_MOST_CELLS} cells")
        values = np.empty(count, object)
        for index in range(count):
            element = next(head.rest, None)
            if element is None or element.kind != _MATRIX:
                raise ValueError(f"{index} cells in an array of shape {list(head.shape)}")
            values[index] = self._values(self._head(element.data), in_cell=True)
        return values

    def _numbers(self, element: _Element) -> NDArray[Any]:
        if element.kind not in _NUMBERS:
            raise ValueError(f"numbers of type {element.kind}")
        return np.frombuffer(element.data, np.dtype(_NUMBERS[element.kind]).newbyteorder(self._order))
