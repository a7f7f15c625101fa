"""Writes ``weights/graphs``: every network in every named size, as an ONNX graph without numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from unipose_ros.files import write_atomic
from unipose_ros.joint_sets import COCO17
from unipose_ros.networks.export import export_graph
from unipose_ros.networks.graphs import COUNTERS, INDEX, MOVENET, MOVENET_SOURCE, Graph, config_key, source_sha256
from unipose_ros.networks.movenet.network import MoveNetNetwork
from unipose_ros.networks.registry import NETWORKS, build_network, get_network, source_module
from unipose_ros.networks.weights import read_model_card


def write_graphs(folder: Path, cards: Sequence[Path] = ()) -> list[Graph]:
    """Write the graphs of all networks in all named sizes, and their index; what else lies there is removed.

    Args:
        folder: of the graphs.
        cards: weights files whose sizes are wanted, too.
    """
    graphs = {Path(graph.file).stem: (graph, contents) for graph, contents in _all_graphs(cards)}
    for graph, contents in graphs.values():
        write_atomic(folder / graph.file, contents)
    for stale in folder.glob("*.onnx"):
        if stale.stem not in graphs:
            stale.unlink()
    made = [graph for _, (graph, _) in sorted(graphs.items())]
    write_atomic(folder / INDEX, "[\n" + ",\n".join(json.dumps(asdict(graph)) for graph in made) + "\n]\n")
    return made


def _all_graphs(cards: Sequence[Path]) -> Iterator[tuple[Graph, bytes]]:
    for name in NETWORKS:
        for size in get_network(name).sizes.values():
            yield _graph_of(name, asdict(size))
            if "paint" in asdict(size):  # modality rgbd's
                yield _graph_of(name, asdict(replace(size, paint=len(COCO17))))
    for card in map(read_model_card, cards):
        yield _graph_of(card.network, card.config)
    yield _graph(MOVENET, {}, MoveNetNetwork(), MOVENET_SOURCE)


def _graph_of(name: str, config: Mapping[str, Any]) -> tuple[Graph, bytes]:
    return _graph(name, config, build_network(name, config), source_module(name))


def _graph(name: str, config: Mapping[str, Any], network: nn.Module, module: str) -> tuple[Graph, bytes]:
    _tell_apart(network)
    contents = export_graph(network)
    tensors = {key: tuple(value.shape) for key, value in network.state_dict().items() if not key.endswith(COUNTERS)}
    sha256 = hashlib.sha256(contents).hexdigest()
    file = f"{config_key(name, config)}.onnx"
    return Graph(file, name, dict(config), source_sha256(module), sha256, tensors), contents


def _tell_apart(network: nn.Module) -> None:
    """Give every tensor other numbers: the exporter makes one of those that are equal, as new biases are."""
    generator = torch.Generator().manual_seed(0)
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.1, 1.0, generator=generator)
