"""Weights on disk: safetensors with a record of what they are. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Tensors = Mapping[str, NDArray[Any]]

#: Key of the record in the safetensors header.
_CARD_KEY = "unipose"
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
        sha256: of the tensors (see :func:`tensors_sha256`); filled in when saving.

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
    from safetensors.numpy import save

    record = replace(record, sha256=tensors_sha256(tensors))
    contents = save(
        # Not ascontiguousarray: it would make vectors of scalars, such as the counters of batch normalization.
        {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()},
        metadata={_CARD_KEY: json.dumps(asdict(record), sort_keys=True)},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(contents)
    part.replace(path)
    return record


def load_weights(path: Path, network: str) -> tuple[dict[str, NDArray[Any]], ModelCard]:
    """Read a weights file of the named network.

    Raises:
        WeightsError: no such file, a pickle, cut short, without a record, of another network, or altered.
    """
    tensors, header = _read(path)
    record = _record(path, header)
    if record.network != network:
        raise WeightsError(f"{path} holds weights of '{record.network}', not of '{network}'; name the right file")
    if tensors_sha256(tensors) != record.sha256:
        raise WeightsError(f"{path} is damaged: its tensors do not have the recorded sha256; fetch or train it again")
    return tensors, record


def _read(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise WeightsError(f"{path} is not there; name an existing safetensors file")
    with path.open("rb") as stream:
        if stream.read(4).startswith(_PICKLE_STARTS):
            raise WeightsError(f"{path} is a pickle, which can run code when opened; convert it to safetensors")
    try:
        with safe_open(path, framework="numpy") as stored:
            return {name: stored.get_tensor(name) for name in stored.keys()}, stored.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is no complete safetensors file ({error}); fetch or train it again") from error


def _record(path: Path, header: Mapping[str, str]) -> ModelCard:
    if _CARD_KEY not in header:
        raise WeightsError(f"{path} has no unipose record; write it with unipose_ros.networks.weights.save_weights")
    try:
        return ModelCard(**json.loads(header[_CARD_KEY]))
    except (json.JSONDecodeError, TypeError, WeightsError) as error:
        raise WeightsError(f"{path}: its record cannot be read ({error}); write it with save_weights") from error


def fill_module(module: torch.nn.Module, tensors: Tensors) -> None:
    """Copy tensors into a torch module; every name and shape must fit, both ways.

    Raises:
        WeightsError: a tensor is missing, left over or of another shape.
    """
    import torch

    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in tensors.items()}
    if wanted != given:
        wrong = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
        first = ", ".join(f"{name}: need {wanted.get(name)}, have {given.get(name)}" for name in wrong[:3])
        raise WeightsError(
            f"{len(wrong)} tensors do not fit {type(module).__name__} ({first}); the file is of another version"
        )
    module.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in tensors.items()}, strict=True)
