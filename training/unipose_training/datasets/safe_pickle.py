"""Pickled data without running what is in it.

Some data sets are published as pickles or as NumPy files of Python objects, which would execute any
code on loading. Here only containers, numbers, text and NumPy arrays can come out.

A list of allowed names is not enough for that: NumPy's own ``dtype`` and ``ndarray`` take their state from
the pickle as it is, so that raw bytes become pointers, and 50 bytes claim arrays of gigabytes or lists of
2^29 references. So the names stand for functions of this module that check what they are given, the
unpickler is Python's own without the operations that data does not need, and nothing may be larger than
the file can hold.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_training.datasets.io import allowed_bytes, read_header, read_values, require_characters
from unipose_training.errors import DataError, reading

#: Numbers, texts and objects; no records, no dates, no raw memory.
_TYPE_NAME = re.compile(r"[<>|=]?[biufSUO]\d{0,9}")
#: Operations that make objects of any class, or refer to what is not in the file.
_UNWANTED = (
    pickle.PERSID, pickle.BINPERSID, pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX,
    pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.NEXT_BUFFER,
)  # fmt: skip
#: Data are a few large arrays: more operations would only make many small objects.
_MOST_OPERATIONS = 2_000_000
#: Elements that all may have together, where what is shared counts as often as it occurs.
_ELEMENTS_PER_BYTE, _ALWAYS_ALLOWED = 8, 100_000
_MOST_AXES = 32


class _Refused(pickle.UnpicklingError):
    """Something that data does not need."""


@dataclass(frozen=True)
class _Name:
    """What a pickle refers to by name; :meth:`_DataUnpickler.load_reduce` knows what it stands for."""

    module: str
    name: str


class _Type:
    """A ``numpy.dtype``: made of its name; a pickle can only give it a byte order."""

    def __init__(self, name: Any, align: Any = False, copy: Any = False) -> None:
        del align, copy
        if not isinstance(name, str) or not _TYPE_NAME.fullmatch(name):
            raise pickle.UnpicklingError(f"an array of type {str(name)[:50]!r}")
        self.dtype = np.dtype(name)

    def set_state(self, state: Any) -> None:
        """(version, byte order, sub-array, names, fields, ...) as NumPy has it; sizes follow from the name."""
        order, *structure = state[1:5]
        if any(part is not None for part in structure) or order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("an array of records, or of an unknown byte order")
        self.dtype = self.dtype.newbyteorder("=" if order == "|" else order)


class _Array:
    """A ``numpy.ndarray``; it is made when all of the pickle has been read.

    Args:
        content: its bytes; a list for objects.
    """

    def __init__(self, content: Any = b"", kind: Any = None, shape: Any = (0,), fortran: Any = False) -> None:
        self._content, self._type, self._shape, self._fortran = content, kind, shape, bool(fortran)

    def set_state(self, state: Any) -> None:
        """(version, shape, type, order, content) as NumPy has it."""
        self.__init__(state[4], state[2], state[1], state[3])  # type: ignore[misc]

    def made(self, resolved: Callable[[Any], Any]) -> NDArray[Any]:
        """The array.

        Args:
            resolved: makes the objects of an array of objects.

        Raises:
            pickle.UnpicklingError: type, shape and content do not fit.
        """
        shape, content = self._shape, self._content
        if not isinstance(self._type, _Type) or not isinstance(shape, tuple) or len(shape) > _MOST_AXES:
            raise pickle.UnpicklingError("an array without type or shape")
        if any(type(length) is not int or length < 0 for length in shape):
            raise pickle.UnpicklingError(f"an array of shape {shape}")
        dtype, count = self._type.dtype, math.prod(shape)
        if dtype.kind == "O":
            if not isinstance(content, list) or len(content) != count:
                raise pickle.UnpicklingError(f"an array of {count} objects without them")
            values: NDArray[Any] = np.empty(count, object)
            for number, item in enumerate(content):
                values[number] = resolved(item)
        else:
            values = _plain(content, dtype, count)
        return values.reshape(shape, order="F" if self._fortran else "C")


def _plain(content: Any, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    """Numbers or texts from their bytes; Python 2 has them as a text."""
    data = content.encode("latin1") if isinstance(content, str) else content
    if not isinstance(data, bytes | bytearray) or not dtype.itemsize or len(data) != count * dtype.itemsize:
        raise pickle.UnpicklingError(f"an array of {count} {dtype} without them")
    if dtype.kind == "b":  # any byte may stand there
        return np.asarray(np.frombuffer(data, np.uint8) != 0)
    values = np.frombuffer(data, dtype).copy()
    require_characters(values)
    return values


def _scalar(kind: Any, content: Any = b"") -> Any:
    if not isinstance(kind, _Type) or kind.dtype.kind == "O":
        raise pickle.UnpicklingError("a number without a type")
    return _plain(content, kind.dtype, 1)[0]


def _reconstruct(subtype: Any, shape: Any, kind: Any) -> _Array:
    del shape, kind  # those of an empty array; the state has the real ones
    if subtype != _Name("numpy", "ndarray"):
        raise pickle.UnpicklingError("an array of another class")
    return _Array()


def _from_buffer(content: Any, kind: Any, shape: Any, order: Any) -> _Array:
    return _Array(content, kind, shape, order == "F")


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """What ``_codecs.encode`` does for the bytes in old pickles; other codecs are refused."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"codec '{str(encoding)[:50]}'")
    return text.encode("latin1")


def _no_bytes(*content: Any) -> bytes:
    """How old pickles have bytes of no length, as in an empty array."""
    if content:
        raise pickle.UnpicklingError("bytes made of something else")
    return b""


def _no_function(*_: Any) -> Any:
    raise pickle.UnpicklingError("an array without a state")


#: What the names stand for that data refer to. The module of NumPy's helpers has changed.
_CALLS: dict[_Name, Callable[..., Any]] = {
    _Name("numpy", "dtype"): _Type,
    _Name("numpy", "ndarray"): _no_function,
    _Name("collections", "OrderedDict"): OrderedDict,
    _Name("_codecs", "encode"): _encode,
    _Name("__builtin__", "bytes"): _no_bytes,
    _Name("builtins", "bytes"): _no_bytes,
    **{
        _Name(f"{core}.{module}", name): call
        for core in ("numpy.core", "numpy._core")
        for module, name, call in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}


class _DataUnpickler(pickle._Unpickler):  # the one in C makes room for what is only claimed
    """Reads containers, numbers, texts, and stand-ins for arrays."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._left = _MOST_OPERATIONS

    def find_class(self, module: str, name: str) -> Any:
        """Only what is on the list.

        Raises:
            pickle.UnpicklingError: anything else.
        """
        if _Name(module, name) not in _CALLS:
            raise _Refused(f"it refers to '{module}.{name}', which no data needs, so it was not loaded")
        return _Name(module, name)

    def load_reduce(self) -> None:
        """A name and arguments -> what the name stands for."""
        arguments, name = self.stack.pop(), self.stack.pop()  # type: ignore[attr-defined]
        if not isinstance(name, _Name) or not isinstance(arguments, tuple):
            raise pickle.UnpicklingError("a call of what is no name")
        self.append(_CALLS[name](*arguments))  # type: ignore[attr-defined]

    def load_build(self) -> None:
        """The state of a type or an array."""
        state, target = self.stack.pop(), self.stack[-1]  # type: ignore[attr-defined]
        if not isinstance(target, _Type | _Array) or not isinstance(state, tuple):
            raise pickle.UnpicklingError("a state for what has none")
        target.set_state(state)

    def load_bytearray8(self) -> None:
        """The base class makes room before it knows whether there is so much."""
        size = int.from_bytes(self.read(8), "little")  # type: ignore[attr-defined]
        content = self.read(size)  # type: ignore[attr-defined]
        if len(content) != size:
            raise EOFError(f"it ends within {size} bytes")
        self.append(bytearray(content))  # type: ignore[attr-defined]

    def count(self) -> None:
        """One operation more."""
        self._left -= 1
        if self._left < 0:
            raise pickle.UnpicklingError(f"more than {_MOST_OPERATIONS} operations")


def _counted(operation: Callable[[Any], None]) -> Callable[[_DataUnpickler], None]:
    def run(unpickler: _DataUnpickler) -> None:
        unpickler.count()
        operation(unpickler)

    return run


def _operations() -> dict[int, Callable[[Any], None]]:
    own: dict[int, Callable[[Any], None]] = {
        pickle.REDUCE[0]: _DataUnpickler.load_reduce,
        pickle.BUILD[0]: _DataUnpickler.load_build,
        pickle.BYTEARRAY8[0]: _DataUnpickler.load_bytearray8,
    }
    unwanted = {code[0] for code in _UNWANTED}
    everything: dict[int, Callable[[Any], None]] = {**pickle._Unpickler.dispatch, **own}
    return {code: _counted(operation) for code, operation in everything.items() if code not in unwanted}


_DataUnpickler.dispatch = _operations()


class _Resolver:
    """Makes arrays of the stand-ins, in all containers, and counts what there is.

    Args:
        allowed: elements that all may have together.
    """

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        #: By identity: the result and the number of its elements; ``None`` while it is being made.
        self._made: dict[int, tuple[Any, int] | None] = {}

    def __call__(self, value: Any) -> Any:
        """A value without stand-ins."""
        return self._of(value)[0]

    def _of(self, value: Any) -> tuple[Any, int]:
        if not isinstance(value, list | tuple | dict | set | frozenset | _Array | _Type | _Name):
            return value, 1
        if id(value) in self._made:
            known = self._made[id(value)]
            if known is None:
                raise pickle.UnpicklingError("it contains itself")
            return known
        self._made[id(value)] = None
        made, count = self._made_of(value)
        if count > self._allowed:
            raise pickle.UnpicklingError(f"it has {count} elements, more than such a file holds")
        self._made[id(value)] = made, count
        return made, count

    def _made_of(self, value: Any) -> tuple[Any, int]:
        if isinstance(value, _Name):
            raise pickle.UnpicklingError(f"it holds '{value.module}.{value.name}' itself")
        if isinstance(value, _Type):
            return value.dtype, 1
        if isinstance(value, _Array):
            counts: list[int] = []
            array = value.made(lambda item: self._counted(item, counts))
            return array, 1 + sum(counts) if counts else 1 + array.size
        if isinstance(value, dict):
            keys, values = self._all(value.keys()), self._all(value.values())
            return type(value)(zip(keys[0], values[0], strict=True)), 1 + keys[1] + values[1]
        items, count = self._all(value)
        return type(value)(items), 1 + count

    def _counted(self, item: Any, counts: list[int]) -> Any:
        made, count = self._of(item)
        counts.append(count)
        return made

    def _all(self, values: Iterable[Any]) -> tuple[list[Any], int]:
        pairs = [self._of(value) for value in values]
        return [made for made, _ in pairs], sum(count for _, count in pairs)


def load_pickle(path: Path) -> Any:
    """A pickle, also of Python 2 (``encoding="latin1"``).

    Raises:
        DataError: it is missing or damaged, or would run code.
    """
    with reading(path, what="no readable pickle"):
        return _unpickled_from(path, path.read_bytes())


def load_npz(path: Path, key: str) -> Any:
    """An entry of an ``.npz``: an array, or what an array of one Python object holds.

    Raises:
        DataError: the file or the entry is missing or damaged, or would run code.
    """
    with reading(path, what=f"key '{key}' cannot be read"), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if key not in names:
            raise DataError(f"{path}: key '{key}' is missing, there are {names}; take the publishers' own file")
        size = archive.getinfo(f"{key}.npy").file_size
        if size > allowed_bytes(path):
            raise ValueError(f"it claims {size} bytes, more than such a file holds")
        with archive.open(f"{key}.npy") as stream:
            header = read_header(stream)
            if header.dtype != object:
                return read_values(stream, header, size - header.length)
            # NumPy itself would execute what follows.
            objects = _unpickled_from(path, stream.read(size - header.length))
        return objects.item() if header.shape == () and isinstance(objects, np.ndarray) else objects


def _unpickled_from(path: Path, data: bytes) -> Any:
    try:
        found = _DataUnpickler(data).load()
    except _Refused as error:
        raise DataError(f"{path}: {error}; take the publishers' own file") from error
    return _Resolver(_ALWAYS_ALLOWED + _ELEMENTS_PER_BYTE * len(data))(found)
