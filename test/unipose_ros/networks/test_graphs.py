"""Shipped graphs with a weights file's numbers say what torch says, and what does not fit is refused."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from unipose_ros.backends import OnnxBackend
from unipose_ros.config import WeightsConfig
from unipose_ros.networks.graphs import MOVENET_SOURCE, config_key, find_graph, shipped_graphs, source_sha256
from unipose_ros.networks.registry import NETWORKS, source_module
from unipose_ros.networks.weights import WeightsError, load_weights
from unipose_ros.resources import resource_path

TOLERANCE = 1e-4
SHIPPED = [field.name for field in fields(WeightsConfig)]
GRAPHS = sorted(shipped_graphs())


def kind(name: str) -> str:
    return "points" if name == "rgbd" else name


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_network_has_a_graph_that_takes_its_tensors(name: str) -> None:
    tensors, card = load_weights(resource_path("weights", f"{name}.safetensors"), kind(name))
    graph = find_graph(card.network, card.config)
    assert graph is not None, "make graphs"
    assert OnnxBackend(graph.model(tensors), threads=1).input_shapes


@pytest.mark.parametrize("key", GRAPHS)
def test_a_graph_is_of_the_code_beside_it(key: str) -> None:
    """Another one is exported anew wherever torch is installed, and not used: run ``make graphs``."""
    graph = shipped_graphs()[key]
    module = source_module(graph.network) if graph.network in NETWORKS else MOVENET_SOURCE
    assert graph.sources == source_sha256(module)


@pytest.mark.parametrize("key", GRAPHS)
def test_a_graph_gives_what_torch_gives(key: str) -> None:
    """Fails after a change of a network's code: run ``make graphs``."""
    torch = pytest.importorskip("torch")
    from unipose_ros.networks.movenet.network import MoveNetNetwork
    from unipose_ros.networks.registry import build_network

    graph = shipped_graphs()[key]
    torch.manual_seed(0)
    of_ours = graph.network in NETWORKS
    network = (build_network(graph.network, graph.config) if of_ours else MoveNetNetwork()).eval()
    example = network.example_input(3)
    with torch.inference_mode():
        outputs = network(example)
    expected = outputs if isinstance(outputs, tuple) else (outputs,)
    tensors = {name: value.numpy() for name, value in network.state_dict().items()}
    found = OnnxBackend(graph.model(tensors), threads=1)(example.numpy())
    for one, other in zip(expected, found, strict=True):
        largest = max(float(np.abs(one.numpy()).max()), 1e-6)
        assert np.abs(one.numpy() - other).max() <= TOLERANCE * largest


def test_settings_of_training_do_not_need_another_graph() -> None:
    assert config_key("lifter", {"width": 8, "dropout": 0.1}) == config_key("lifter", {"dropout": 0, "width": 8})
    assert config_key("lifter", {"width": 8}) != config_key("lifter", {"width": 9})
    assert find_graph("lifter", {"width": 9}) is None


def test_tensors_that_do_not_fit_are_named() -> None:
    tensors, card = load_weights(resource_path("weights", "refiner.safetensors"), "refiner")
    graph = find_graph("refiner", card.config)
    assert graph is not None
    first = next(iter(graph.tensors))
    wrong = {**tensors, first: np.zeros((1, 2), np.float32), "surplus": np.zeros(3, np.float32)}
    with pytest.raises(WeightsError, match="2 tensors do not fit network 'refiner'"):
        graph.model(wrong)
    del wrong["surplus"], wrong[first]
    with pytest.raises(WeightsError, match=f"{first}.*have None"):
        graph.model(wrong)


def test_a_damaged_graph_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = shipped_graphs()[GRAPHS[0]]
    contents = bytearray(graph.read())
    contents[len(contents) // 2] ^= 1
    (tmp_path / graph.file).write_bytes(contents)
    monkeypatch.setattr("unipose_ros.networks.graphs.resource_path", lambda *parts: tmp_path / parts[-1])
    with pytest.raises(WeightsError, match="damaged"):
        graph.read()
    (tmp_path / graph.file).unlink()
    with pytest.raises(WeightsError, match="install the package again"):
        graph.read()
