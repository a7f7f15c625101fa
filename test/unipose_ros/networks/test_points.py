"""The point network: shapes, symmetries, votes, export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from unipose_ros.backends import OnnxBackend
from unipose_ros.networks.export import export_onnx
from unipose_ros.networks.layers import aggregate_votes
from unipose_ros.networks.points import SIZES, PointNetwork, PointNetworkConfig, nearest_within

SMALL = PointNetworkConfig(points=256, frames=3, centers=32, neighbors=8, width=32, edge=(16,), layers=2, hidden=64)


@pytest.fixture
def network() -> PointNetwork:
    torch.manual_seed(0)
    return PointNetwork(SMALL).eval()


def clips(batch: int = 2, frames: int = 3, channels: int = 3) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(batch, frames, 256, channels) * 0.3


def test_every_frame_of_every_person_has_joints(network: PointNetwork) -> None:
    votes = network(clips())
    assert votes.joints.shape == (2, 3, 15, 3)
    assert votes.log_scales.shape == (2, 3, 15)
    assert votes.covariances.shape == (2, 3, 15, 6)
    assert all(torch.isfinite(value).all() for value in votes)


def test_one_network_takes_shorter_clips(network: PointNetwork) -> None:
    assert network(clips(frames=1)).joints.shape == (2, 1, 15, 3)


def test_untrained_joints_lie_inside_of_the_cloud(network: PointNetwork) -> None:
    assert network(clips()).joints.abs().max() < 0.5


def test_people_do_not_see_each_other_but_frames_do(network: PointNetwork) -> None:
    two = clips()
    alone = network(two[:1]).joints
    assert torch.allclose(network(two).joints[:1], alone, atol=1e-6)
    two[0, 0] += 0.1
    assert not torch.allclose(network(two).joints[0, 2], alone[0, 2], atol=1e-4)


def test_the_order_of_other_points_does_not_matter(network: PointNetwork) -> None:
    cloud = clips(1, 1)
    shuffled = cloud.clone()
    shuffled[:, :, 32:] = cloud[:, :, 32 + torch.randperm(224)]
    assert torch.allclose(network(cloud).joints, network(shuffled).joints, atol=1e-6)


def test_paint_is_seen() -> None:
    torch.manual_seed(0)
    painted = PointNetwork(PointNetworkConfig(**{**vars(SMALL), "paint": 2})).eval()
    cloud = clips(channels=5)
    before = painted(cloud).joints
    cloud[..., 4] += 1
    assert not torch.allclose(painted(cloud).joints, before, atol=1e-5)


def test_nearest_within_a_radius() -> None:
    points = torch.tensor([[[0.0, 0, 0], [0.1, 0, 0], [0.15, 0, 0], [0.3, 0, 0]]])
    found = nearest_within(points, points[:, :1], count=4, radius=0.2)
    assert found.tolist() == [[[0, 1, 2, 0]]]


def test_a_single_vote_is_the_joint() -> None:
    places = torch.randn(5, 2, 3)
    logits = torch.full((5, 2), -1e9)
    logits[3] = 0
    log_scales = torch.randn(5, 2)
    votes = aggregate_votes(places, logits, log_scales)
    assert torch.equal(votes.joints, places[3])
    assert torch.equal(votes.log_scales, log_scales[3])
    variance = (2 * (2 * log_scales[3]).exp())[:, None]
    assert torch.allclose(votes.covariances, variance * torch.tensor([1.0, 0, 0, 1, 0, 1]))


def test_the_covariance_is_long_where_votes_disagree() -> None:
    places = torch.zeros(2, 1, 3)
    places[:, 0, 2] = torch.tensor([-0.3, 0.3])
    votes = aggregate_votes(places, torch.zeros(2, 1), torch.full((2, 1), -3.0))
    xx, xy, _, yy, _, zz = votes.covariances[0].tolist()
    assert votes.joints.abs().max() == 0
    assert zz > 100 * xx
    assert (xx, xy) == (yy, 0)
    assert xx + yy + zz == pytest.approx(3 * 2 * np.exp(-6), rel=1e-5)


def test_covariances_are_positive_definite(network: PointNetwork) -> None:
    upper = network(clips()).covariances.detach()
    full = upper[..., [0, 1, 2, 1, 3, 4, 2, 4, 5]].unflatten(-1, (3, 3))
    assert torch.linalg.eigvalsh(full).min() > 0


def test_gradients_are_finite_for_repeated_points(network: PointNetwork) -> None:
    cloud = clips()[:, :, :1].expand(-1, -1, 256, -1).clone().requires_grad_(True)
    votes = network(cloud)
    (votes.joints.sum() + votes.covariances.sum() + votes.log_scales.sum()).backward()
    assert torch.isfinite(cloud.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


def test_onnx_runtime_says_the_same(network: PointNetwork, tmp_path: Path) -> None:
    path = tmp_path / "points.onnx"
    export_onnx(network, path)
    backend = OnnxBackend(path)
    for batch in (1, 3):
        given = clips(batch, frames=1) * 0.8
        with torch.inference_mode():
            expected = network(given)
        found = backend(given.numpy())
        for ours, theirs in zip(expected, found, strict=True):
            assert np.abs(ours.numpy() - theirs).max() < 2e-5


@pytest.mark.parametrize(("size", "giga", "mega"), [("xs", 0.08, 0.91), ("s", 0.16, 2.14), ("l", 6.42, 10.68)])
def test_sizes_cost_what_they_should(size: str, giga: float, mega: float) -> None:
    config = SIZES[size]
    # Without values attention is counted too; torch's counter does not know the CPU's fused one.
    with torch.device("meta"):
        network = PointNetwork(config)
        clip = torch.zeros(1, config.frames, config.points, 3)
    with FlopCounterMode(display=False) as counter:
        network(clip)
    assert counter.get_total_flops() / 2e9 == pytest.approx(giga, abs=0.01)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(mega, abs=0.01)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"centers": 4096}, {"neighbors": 4096}, {"radius": -1.0}])
def test_a_bad_size_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PointNetworkConfig(**wrong)
