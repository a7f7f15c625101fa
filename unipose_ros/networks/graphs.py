"""ONNX models from a shipped graph and a weights file: neither torch nor the onnx package is needed.

``weights/graphs`` holds the graph of every network and size without its numbers; ``unipose export --graphs`` makes
them where torch is. A weights file's tensors become the graph's initializers when it is loaded, so weights that are
trained later need no export either.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.networks.weights import Tensors, WeightsError
from unipose_ros.resources import ResourceError, resource_path

FOLDER, INDEX = ("weights", "graphs"), "index.json"
#: Settings of a network that training alone uses.
_TRAINING_ONLY = ("dropout",)
#: Tensors of a weights file that no graph reads: how many batches batch normalization has seen.
COUNTERS = "num_batches_tracked"
#: The 2D network: its code is ours, its weights are fetched.
MOVENET, MOVENET_SOURCE = "movenet_multipose", "unipose_ros.networks.movenet.network"
_PACKAGE = Path(__file__).resolve().parents[1]
#: What networks are built of beside their own modules.
_SHARED = ("networks/layers.py", "networks/registry.py", "geometry/covariance.py")
#: TensorProto.DataType and the fields' numbers. Source: github.com/onnx/onnx, onnx/onnx.proto.
_FLOAT = 1
_MODEL_GRAPH, _GRAPH_INITIALIZER = 7, 5
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_VARINT, _BYTES = 0, 2


@dataclass(frozen=True)
class Graph:
    """A network without its numbers.

    Attributes:
        file: of :data:`FOLDER`.
        network: its name.
        config: its sizes.
        sources: SHA-256 of the code that it was exported from.
        sha256: of the file.
        tensors: shapes of the initializers that are to be filled in, by name.
    """

    file: str
    network: str
    config: Mapping[str, Any]
    sources: str
    sha256: str
    tensors: Mapping[str, tuple[int, ...]]

    def read(self) -> bytes:
        """The ONNX model without initializers.

        Raises:
            WeightsError: the file is absent or damaged.
        """
        try:
            contents = resource_path(*FOLDER, self.file).read_bytes()
        except OSError as error:
            raise WeightsError(f"graph {self.file} cannot be read ({error}); install the package again") from error
        if hashlib.sha256(contents).hexdigest() != self.sha256:
            raise WeightsError(f"graph {self.file} is damaged: it has another sha256; install the package again")
        return contents

    def model(self, tensors: Tensors) -> bytes:
        """The ONNX model with these tensors, computing in single precision.

        Raises:
            WeightsError: the file is damaged, or a tensor is missing, left over or of another shape.
        """
        given = {name: value.shape for name, value in tensors.items() if not name.endswith(COUNTERS)}
        if given != self.tensors:
            wrong = sorted(n for n in given.keys() | self.tensors.keys() if given.get(n) != self.tensors.get(n))
            first = ", ".join(f"{name}: need {self.tensors.get(name)}, have {given.get(name)}" for name in wrong[:3])
            raise WeightsError(
                f"{len(wrong)} tensors do not fit network '{self.network}' ({first}); the file is of another version"
            )
        return self.read() + _initializers({name: tensors[name] for name in self.tensors})


def config_key(network: str, config: Mapping[str, Any]) -> str:
    """Name of a network's graph; settings for training do not change it."""
    sizes = {name: value for name, value in config.items() if name not in _TRAINING_ONLY}
    digest = hashlib.sha256(json.dumps(sizes, sort_keys=True).encode()).hexdigest()
    return f"{network}-{digest[:8]}"


def find_graph(network: str, config: Mapping[str, Any]) -> Graph | None:
    """The shipped graph of a network of these sizes; ``None`` for sizes that have none.

    Raises:
        WeightsError: the index of the graphs is damaged.
    """
    return shipped_graphs().get(config_key(network, config))


@cache
def shipped_graphs() -> Mapping[str, Graph]:
    """All shipped graphs by their :func:`config_key`; empty where there are none.

    Raises:
        WeightsError: the index is damaged.
    """
    try:
        path = resource_path(*FOLDER, INDEX)
    except ResourceError:
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        graphs = [
            Graph(**{**each, "tensors": {name: tuple(shape) for name, shape in each["tensors"].items()}})
            for each in entries
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); install the package again") from error
    return {Path(graph.file).stem: graph for graph in graphs}


def source_sha256(module: str) -> str:
    """Of the code that the network in a module is built of."""
    digest = hashlib.sha256()
    own = _PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py")
    for path in (own, *(_PACKAGE / name for name in _SHARED)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _initializers(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """A ModelProto of initializers alone: protobuf merges what follows a message's bytes into that message."""
    parts = [_field(_GRAPH_INITIALIZER, _tensor(name, value)) for name, value in tensors.items()]
    return _field(_MODEL_GRAPH, b"".join(parts))


def _tensor(name: str, value: NDArray[Any]) -> bytes:
    """A TensorProto of single precision."""
    dims = b"".join(_number(_TENSOR_DIMS, side) for side in value.shape)
    raw = np.ascontiguousarray(value, "<f4").tobytes()
    about = _number(_TENSOR_TYPE, _FLOAT) + _field(_TENSOR_NAME, name.encode())
    return dims + about + _field(_TENSOR_RAW, raw)


def _field(number: int, contents: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(contents)) + contents


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value)


def _varint(value: int) -> bytes:
    """Base 128, least significant group first. Source: protobuf.dev/programming-guides/encoding."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
