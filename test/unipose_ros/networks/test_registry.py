"""Networks by name: built, saved, loaded, refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from unipose_ros.networks.points import PointNetwork, PointNetworkConfig
from unipose_ros.networks.registry import NETWORKS, build_network, get_network, load_network, save_network
from unipose_ros.networks.weights import ModelCard, WeightsError

TINY = PointNetworkConfig(points=64, centers=8, neighbors=4, width=16, edge=(8, 8), layers=1, hidden=16)
RECORD = ModelCard("points", {}, "itop15", "(B, T, 64, 3) float32 meters", "nothing", "Apache-2.0")


@pytest.mark.parametrize("half", [True, False])
def test_a_saved_network_comes_back(tmp_path: Path, half: bool) -> None:
    torch.manual_seed(0)
    network, path = PointNetwork(TINY).eval(), tmp_path / "points.safetensors"
    written = save_network(path, network, TINY, RECORD, half)
    loaded, record = load_network(path, "points")
    assert record.sha256 == written.sha256
    assert loaded.config == TINY
    assert not loaded.training
    cloud = torch.randn(1, 1, 64, 3) * 0.3
    tolerance = 2e-3 if half else 0
    assert (loaded(cloud).joints - network(cloud).joints).abs().max() <= tolerance


def test_every_size_of_every_network_is_built() -> None:
    for name in NETWORKS:
        for size in get_network(name).sizes:
            with torch.device("meta"):
                assert sum(p.numel() for p in build_network(name, size).parameters()) > 0


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("nothing", "s", "unknown; there are"),
        ("points", "xxl", "no size 'xxl'"),
        ("points", {"depth": 3}, "depth"),
        ("points", {"width": 0}, "width = 0"),
    ],
)
def test_what_cannot_be_built_is_named(name: str, config: object, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        build_network(name, config)


def test_a_diverged_network_is_not_saved(tmp_path: Path) -> None:
    network = PointNetwork(TINY)
    with torch.no_grad():
        next(network.parameters()).fill_(1e6)  # more than 16 bits hold
    with pytest.raises(WeightsError, match="NaN or infinity"):
        save_network(tmp_path / "points.safetensors", network, TINY, RECORD)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "claimed", [{"width": 2**24}, {"hidden": 2**40}, {"layers": 2**64 - 1}, {"layers": 2**13}, {"edge": (8,) * 9999}]
)
def test_sizes_that_the_tensors_do_not_have_take_neither_memory_nor_time(
    tmp_path: Path, claimed: dict[str, int]
) -> None:
    path = tmp_path / "points.safetensors"
    save_network(path, PointNetwork(TINY), PointNetworkConfig(**{**vars(TINY), **claimed}), RECORD)
    with pytest.raises(WeightsError, match=r"fit|cannot be built|not plausible"):
        load_network(path, "points")


def test_weights_of_other_sizes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "points.safetensors"
    save_network(path, PointNetwork(TINY), PointNetworkConfig(**{**vars(TINY), "width": 32}), RECORD)
    with pytest.raises(WeightsError, match="do not fit"):
        load_network(path, "points")
