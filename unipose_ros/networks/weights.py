"""Weights on disk: safetensors with a record of what they are. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.files import write_atomic
from unipose_ros.networks.safetensors_file import (
    SafetensorsError,
    header_metadata,
    parse_header,
    read_tensors,
    write_tensors,
)

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
