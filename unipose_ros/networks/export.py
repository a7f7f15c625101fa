"""Networks as ONNX files, and their graphs without numbers (:mod:`unipose_ros.networks.graphs`)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

#: The first that has layer normalization as one operation.
_OPSET = 17

#: Name of an input or output -> names of its sides that may have any length, by their number.
Axes = Mapping[str, Mapping[int, str]]


class Exportable(Protocol):
    """What a network class says of itself to be exported; its instances give a tensor or a tuple of tensors."""

    @property
    def onnx_axes(self) -> Axes:
        """Its one input, then its outputs in their order."""
        ...

    def example_input(self, batch: int) -> Tensor:
        """An input of so many samples, about as large as real ones."""
        ...


def any_batch(outputs: Sequence[str], free: Mapping[int, str] | None = None) -> Axes:
    """Axes of ``input`` and some outputs that begin with the batch.

    Args:
        free: further sides of all of them that may have any length.
    """
    return {name: {0: "batch", **(free or {})} for name in ("input", *outputs)}


def export_onnx(network: nn.Module, path: Path) -> None:
    """Write an :class:`Exportable` network."""
    _export(network, str(path))


def _export(network: nn.Module, target: str, **settings: Any) -> None:
    about = cast(Exportable, network)
    given, *outputs = about.onnx_axes
    arguments: dict[str, Any] = {
        "input_names": [given],
        "output_names": outputs,
        "dynamic_axes": {name: dict(axes) for name, axes in about.onnx_axes.items()},
        **settings,
    }
    example = about.example_input(2)
    with warnings.catch_warnings():
        # The exporter by tracing is deprecated; its successor needs onnxscript, and tracing suits a fixed graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(network.eval(), (example,), target, opset_version=_OPSET, dynamo=False, **arguments)


def export_graph(network: nn.Module) -> bytes:
    """An :class:`Exportable` network without its numbers, whose initializers have the names of its tensors."""
    import onnx

    with TemporaryDirectory() as folder:
        file = str(Path(folder, "graph.onnx"))
        # Folded constants would be numbers of these weights, under names of the exporter.
        _export(network, file, export_params=False, do_constant_folding=False)
        model = onnx.load_model(file)
    (given, *_) = cast(Exportable, network).onnx_axes
    inputs = [each for each in model.graph.input if each.name == given]
    # An initializer that is an input as well could be given anew with every call, and would be no constant.
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for node in model.graph.node:
        node.ClearField("doc_string")
    contents: bytes = model.SerializeToString(deterministic=True)
    return contents
