"""Weights on disk: safetensors with a record of what they are. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.files import write_atomic

if TYPE_CHECKING:
    import torch


Tensors = Mapping[str, NDArray[Any]]

#: Keys of the record in the safetensors header, and of the SHA-256 of its text.
_CARD_KEY, _RECORD_SHA256_KEY = "unipose", "unipose_sha256"
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


class WeightsError(RuntimeError):
    """Weights are absent, damaged or do not fit; the text names the file and the remedy."""


@dataclass(frozen=True)
class ModelCard:
    """What a weights file is.

    Attributes:
        network: name of the network that the tensors belong to.
        config: the arguments that build it.
        joint_set: name of the joint set it puts out.
        input: what it takes, in words: shape, type, unit.
        training_data: what it was trained on.
        metrics: name -> value, measured on data named in the key.
        license: license and origin of the weights.
        sha256: of the tensors (see :func:`tensors_sha256`); filled in when saving. The record, this included,
            has a checksum of its own beside it in the file.

    Raises:
        WeightsError: a field has the wrong type or ``network`` is empty.
    """

    network: str
    config: Mapping[str, Any]
    joint_set: str
    input: str
    training_data: str
    license: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    sha256: str = ""

    def __post_init__(self) -> None:
        for each in fields(self):
            wanted = Mapping if each.name in ("config", "metrics") else str
            if not isinstance(getattr(self, each.name), wanted):
                raise WeightsError(
                    f"weights record: {each.name} is {getattr(self, each.name)!r}, not {wanted.__name__}"
                )
        if not self.network:
            raise WeightsError("weights record: network is empty; name the network the tensors belong to")


def tensors_sha256(tensors: Tensors) -> str:
    """Checksum over names, types, shapes and values, independent of the file's layout."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {tensor.dtype.str} {tensor.shape}\n".encode())
        digest.update(tensor.data)
    return digest.hexdigest()


def save_weights(path: Path, tensors: Tensors, record: ModelCard) -> ModelCard:
    """Write tensors and record to ``path`` at once or not at all.

    Returns:
        The record with its checksum.
    """
    record = replace(record, sha256=tensors_sha256(tensors))
    text = json.dumps(asdict(record), sort_keys=True)
    write_atomic(path, write_tensors(tensors, {_CARD_KEY: text, _RECORD_SHA256_KEY: _sha256(text)}))
    return record


def load_weights(path: Path, network: str, verified: bool = False) -> tuple[dict[str, NDArray[Any]], ModelCard]:
    """Read a weights file of the named network.

    Args:
        verified: the whole file has been compared with a checksum already, so the record needs none.

    Raises:
        WeightsError: no such file, a pickle, cut short, without a record, of another network, altered, or
            with numbers that are not finite.
    """
    tensors, header = _read(path)
    if _CARD_KEY not in header:
        raise WeightsError(f"{path} has no unipose record; write it with unipose_ros.networks.weights.save_weights")
    record = _record(path, header)
    if record.network != network:
        raise WeightsError(f"{path} holds weights of '{record.network}', not of '{network}'; name the right file")
    if not verified:
        _check_record(path, header)
    if tensors_sha256(tensors) != record.sha256:
        raise WeightsError(f"{path} is damaged: its tensors do not have the recorded sha256; fetch or train it again")
    require_finite(tensors, path)
    return tensors, record


def read_model_card(path: Path) -> ModelCard:
    """What a weights file is, without reading its tensors.

    Raises:
        WeightsError: no such file, cut short, without a record, or with an altered one.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
            claimed = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            contents = start + stream.read(min(claimed, path.stat().st_size))
        header = header_metadata(parse_header(contents)[0])
    except (OSError, SafetensorsError) as error:
        raise WeightsError(f"{path} is no complete safetensors file ({error}); fetch or train it again") from error
    if _CARD_KEY not in header:
        raise WeightsError(f"{path} has no unipose record; write it with unipose_ros.networks.weights.save_weights")
    _check_record(path, header)
    return _record(path, header)


def require_finite(tensors: Tensors, path: Path) -> None:
    """Refuse weights with which a network can only give nonsense.

    Raises:
        WeightsError: a tensor holds NaN or infinity.
    """
    for name, tensor in tensors.items():
        if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
            raise WeightsError(f"{path}: '{name}' holds NaN or infinity; the training has diverged, train it again")


def _read(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    if not path.is_file():
        raise WeightsError(f"{path} is not there; name an existing safetensors file")
    try:
        contents = path.read_bytes()
        if contents.startswith(_PICKLE_STARTS):
            raise WeightsError(f"{path} is a pickle, which can run code when opened; convert it to safetensors")
        return read_tensors(contents)
    except (SafetensorsError, OSError) as error:
        raise WeightsError(f"{path} is no complete safetensors file ({error}); fetch or train it again") from error


def _check_record(path: Path, header: Mapping[str, str]) -> None:
    if _RECORD_SHA256_KEY not in header:
        raise WeightsError(
            f"{path}: its record has no checksum; it was written by an earlier version, train or save it again"
        )
    if header[_RECORD_SHA256_KEY] != _sha256(header[_CARD_KEY]):
        raise WeightsError(f"{path} is damaged: its record does not have its sha256; fetch or train it again")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _record(path: Path, header: Mapping[str, str]) -> ModelCard:
    try:
        return ModelCard(**json.loads(header[_CARD_KEY]))
    except (ValueError, TypeError, RecursionError, WeightsError) as error:
        raise WeightsError(f"{path}: its record cannot be read ({error}); write it with save_weights") from error


def fill_module(module: torch.nn.Module, tensors: Tensors) -> None:
    """Copy tensors into a torch module; every name and shape must fit, both ways.

    Raises:
        WeightsError: a tensor is missing, left over or of another shape.
    """
    import torch

    require_shapes(module, tensors)
    module.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in tensors.items()}, strict=True)


def require_shapes(module: torch.nn.Module, tensors: Tensors) -> None:
    """Refuse tensors that are not those of a module; errors as :func:`fill_module`."""
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in tensors.items()}
    if wanted != given:
        wrong = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
        first = ", ".join(f"{name}: need {wanted.get(name)}, have {given.get(name)}" for name in wrong[:3])
        raise WeightsError(
            f"{len(wrong)} tensors do not fit {type(module).__name__} ({first}); the file is of another version"
        )


# The safetensors format without its library: eight bytes of length, a JSON header, the tensors' bytes.
#
# Source: github.com/huggingface/safetensors, README, "Format". Only types that NumPy has are read.

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
