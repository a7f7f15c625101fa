"""Larger point networks that start with what a smaller one has learned."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from unipose_ros.networks.points import SIZES, PointNetwork, PointNetworkConfig
from unipose_ros.networks.weights import WeightsError
from unipose_ros.resources import resource_path
from unipose_training.tasks.base import init_network, widen_point_network

SMALL = PointNetworkConfig(points=64, centers=16, neighbors=8, edge=(16,), width=32, layers=2, heads=2, hidden=48)


@pytest.fixture
def small() -> PointNetwork:
    torch.manual_seed(3)
    network = PointNetwork(SMALL)
    with torch.no_grad():
        network.vote.weight.mul_(10)  # joints that depend on the cloud
    return network


def _widened(small: PointNetwork, config: PointNetworkConfig) -> PointNetwork:
    return widen_point_network(SMALL, {name: value.numpy() for name, value in small.state_dict().items()}, config)


def _apart(first: PointNetwork, second: PointNetwork) -> float:
    clips = first.example_input(8)
    with torch.no_grad():
        return float((first(clips).joints - second(clips).joints).norm(dim=-1).max())


@pytest.mark.parametrize("grown", [{"layers": 3}, {"heads": 4}, {"hidden": 96}, {"edge": (24,)}])
def test_the_function_stays_where_tokens_keep_their_width(small: PointNetwork, grown: dict[str, int]) -> None:
    large = _widened(small, replace(SMALL, **grown))
    assert _apart(small, large) < 1e-5
    assert sum(p.numel() for p in large.parameters()) > sum(p.numel() for p in small.parameters())


def test_the_function_stays_near_where_tokens_get_wider(small: PointNetwork) -> None:
    wider = replace(SMALL, width=48)
    anew = PointNetwork(wider)
    with torch.no_grad():
        anew.vote.weight.mul_(10)
    assert _apart(small, _widened(small, wider)) < 0.5 * _apart(small, anew)


def test_every_new_weight_can_learn(small: PointNetwork) -> None:
    large = _widened(small, replace(SMALL, width=48, layers=3, heads=3, hidden=96, edge=(24,)))
    optimizer = torch.optim.SGD(large.parameters(), lr=0.1)
    before = {name: value.clone() for name, value in large.state_dict().items()}
    for _ in range(3):  # what is read by zeros has its first gradient once they are none
        optimizer.zero_grad()
        votes = large(large.example_input(4))
        (votes.joints.square().sum() + votes.log_scales.square().sum()).backward()
        optimizer.step()
    assert all((value != before[name]).any() for name, value in large.state_dict().items())


@pytest.mark.parametrize("other", [{"layers": 1}, {"width": 16}, {"radius": 0.3}, {"edge": (8,)}, {"edge": (16, 16)}])
def test_what_cannot_grow_is_refused(small: PointNetwork, other: dict[str, float]) -> None:
    with pytest.raises(WeightsError, match=next(iter(other))):
        _widened(small, replace(SMALL, **other))


def test_shipped_weights_start_a_larger_size() -> None:
    network = init_network("points", "s", str(resource_path("weights", "points.safetensors")))
    assert isinstance(network, PointNetwork)
    assert network.config == SIZES["s"] != SIZES["xs"]
