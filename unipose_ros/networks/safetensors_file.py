"""The safetensors format without its library: eight bytes of length, a JSON header, the tensors' bytes.

Source: github.com/huggingface/safetensors, README, "Format". Only types that NumPy has are read.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Name in the header -> type in NumPy; all are little-endian.
_TYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8",
    "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip
_NAMES = {np.dtype(code): name for name, code in _TYPES.items()}
#: The library refuses longer headers, too.
_LONGEST_HEADER = 100_000_000
_METADATA = "__metadata__"


class SafetensorsError(ValueError):
    """The bytes are no complete safetensors file, or tensors cannot be written as one."""


def parse_header(contents: bytes) -> tuple[dict[str, Any], int]:
    """The header, and where the tensors begin.

    Raises:
        SafetensorsError: it is cut short, or no JSON object.
    """
    if len(contents) < 8:
        raise SafetensorsError(f"{len(contents)} bytes hold no header")
    (length,) = struct.unpack_from("<Q", contents)
    if length > min(_LONGEST_HEADER, len(contents) - 8):
        raise SafetensorsError(f"the header of {length} bytes is cut short")
    try:
        header = json.loads(contents[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise SafetensorsError(f"the header is no JSON ({error})") from error
    if not isinstance(header, dict):
        raise SafetensorsError("the header is no JSON object")
    return header, 8 + length


def header_metadata(header: Mapping[str, Any]) -> dict[str, str]:
    """The texts that a header holds beside the tensors.

    Raises:
        SafetensorsError: they are no texts.
    """
    metadata = header.get(_METADATA) or {}
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise SafetensorsError("the header's metadata are no texts")
    return metadata


def read_tensors(contents: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Tensors by name, which share the memory of ``contents``, and the metadata.

    Raises:
        SafetensorsError: cut short, a type that NumPy has not, or tensors that overlap or leave gaps.
    """
    header, begin = parse_header(contents)
    metadata = header_metadata(header)
    tensors: dict[str, NDArray[Any]] = {}
    spans: list[tuple[int, int]] = []
    for name, about in header.items():
        if name != _METADATA:
            tensors[name], span = _tensor(name, about, contents, begin)
            spans.append(span)
    end = 0
    for first, last in sorted(spans):
        if first != end:
            raise SafetensorsError(f"its tensors overlap or leave a gap at byte {end}")
        end = last
    if begin + end != len(contents):
        raise SafetensorsError(f"{len(contents) - begin - end} bytes belong to no tensor")
    return tensors, metadata


def _tensor(name: str, about: Any, contents: bytes, begin: int) -> tuple[NDArray[Any], tuple[int, int]]:
    try:
        kind, shape, (first, last) = about["dtype"], [int(side) for side in about["shape"]], about["data_offsets"]
        first, last = int(first), int(last)
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise SafetensorsError(f"the header says nothing usable of '{name}' ({error!r})") from error
    if not isinstance(kind, str) or kind not in _TYPES:
        raise SafetensorsError(f"'{name}' is of type {kind}; {', '.join(_TYPES)} can be read")
    dtype = np.dtype(_TYPES[kind])
    count = math.prod(shape)
    if min(shape, default=0) < 0 or not 0 <= first <= last <= len(contents) - begin:
        raise SafetensorsError(f"'{name}' lies outside of the file")
    if count * dtype.itemsize != last - first:
        raise SafetensorsError(f"'{name}' of shape {shape} needs {count * dtype.itemsize} bytes, not {last - first}")
    return np.frombuffer(contents, dtype, count, begin + first).reshape(shape), (first, last)


def write_tensors(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    """A whole file. Wide types come first, so that every tensor is aligned.

    Raises:
        SafetensorsError: a tensor is of another type than the format has.
    """
    header: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
    parts: list[bytes] = []
    end = 0
    for name in sorted(tensors, key=lambda each: (-tensors[each].dtype.itemsize, each)):
        tensor = tensors[name]
        if tensor.dtype.newbyteorder("<") not in _NAMES:
            raise SafetensorsError(f"'{name}' is of type {tensor.dtype}; {', '.join(_TYPES)} can be written")
        little = tensor.astype(tensor.dtype.newbyteorder("<"), copy=False)
        parts.append(little.tobytes())
        kind = _NAMES[little.dtype]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [end, end + len(parts[-1])]}
        end += len(parts[-1])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join((struct.pack("<Q", len(text)), text, *parts))
