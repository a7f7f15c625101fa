"""The lifting variant: anchors on keypoints, which the image can outvote."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from unipose_ros.networks.anchors import AnchorNetwork, AnchorNetworkConfig, AnchorVotes, LocalAnchors, _read
from unipose_ros.networks.registry import build_network, load_network, save_network
from unipose_ros.networks.weights import ModelCard

PLAIN = AnchorNetworkConfig(joints=2, size=64, widths=(8, 8, 8, 16), blocks=(1, 1, 1), head_width=16)
LIFTING = replace(PLAIN, local=8)
RECORD = ModelCard("depth", {}, "itop15", "(B, 1, 64, 64)", "nothing", "Apache-2.0")


def lifting() -> AnchorNetwork:
    torch.manual_seed(0)
    return AnchorNetwork(LIFTING).eval()


def keypoints(place: tuple[float, float], confidence: float) -> Tensor:
    return torch.tensor([*place, confidence]).expand(1, 2, 3)


def test_untrained_a_sure_keypoint_counts_as_much_as_the_whole_window() -> None:
    with torch.no_grad():
        votes = lifting()(torch.zeros(1, 1, 64, 64), keypoints((50.0, 20.0), 1.0))
    assert votes.pixels[0, 0].tolist() == pytest.approx([41, 26], abs=0.5)
    assert votes.anchor[0, 0].tolist() == pytest.approx([41, 26], abs=0.5)


def test_the_surer_the_keypoint_the_more_it_counts() -> None:
    network, away = lifting(), []
    with torch.no_grad():
        for confidence in (0.0, 0.1, 0.5, 1.0):
            votes = network(torch.zeros(1, 1, 64, 64), keypoints((50.0, 20.0), confidence))
            away.append(float((votes.pixels[0, 0] - torch.tensor([50.0, 20.0])).norm()))
    assert away == sorted(away, reverse=True)
    assert away[1] - away[-1] > 5


def test_a_keypoint_that_was_not_found_says_nothing() -> None:
    network, windows = lifting(), torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        without = network(windows)
        for place in ((50.0, 20.0), (float("nan"),) * 2):
            with_it = network(windows, keypoints(place, 0.0))
            for ours, theirs in zip(with_it, without, strict=True):
                assert torch.allclose(ours, theirs, atol=1e-5)


def test_a_keypoint_votes_for_its_own_joint_alone() -> None:
    network, windows = lifting(), torch.randn(1, 1, 64, 64)
    both = keypoints((50.0, 20.0), 0.9).clone()
    with torch.no_grad():
        before = network(windows, both)
        both[0, 0, :2] = 5.0
        after = network(windows, both)
    assert (after.pixels - before.pixels)[0, 0].norm() > 5
    assert torch.equal(after.pixels[0, 1], before.pixels[0, 1])


def test_features_are_read_where_the_keypoint_is() -> None:
    features = torch.zeros(1, 1, 4, 4)
    features[0, 0, 2, 1] = 1.0
    # The cell's middle is between its pixels 7 and 8.
    assert _read(features, torch.tensor([[[16 + 7.5, 32 + 7.5]]]), 64).item() == pytest.approx(1)
    assert _read(features, torch.tensor([[[16 + 15.5, 32 + 7.5]]]), 64).item() == pytest.approx(0.5)
    assert _read(features, torch.tensor([[[23.5, 200.0]]]), 64).item() == 0


def test_lifting_weights_come_back_and_plain_ones_do_not_fit(tmp_path: Path) -> None:
    path, network = tmp_path / "depth.safetensors", lifting()
    save_network(path, network, LIFTING, RECORD, half=False)
    loaded, _ = load_network(path, "depth")
    given = torch.randn(1, 1, 64, 64), keypoints((30.0, 20.0), 0.7)
    with torch.no_grad():
        assert torch.equal(loaded(*given).pixels, network(*given).pixels)
    assert set(AnchorNetwork(PLAIN).state_dict()) < set(network.state_dict())


def test_a_record_from_before_the_variant_builds_the_plain_network() -> None:
    before = {name: value for name, value in asdict(PLAIN).items() if name != "local"}
    assert build_network("depth", before).config == PLAIN


def test_gradients_reach_everything_that_speaks() -> None:
    torch.manual_seed(0)
    local = LocalAnchors(joints=2, count=4, width=8, hidden=8, others=16)
    outputs = local(torch.randn(3, 8, 4, 4), torch.rand(3, 2, 3), 64)
    sum(value.square().sum() for value in outputs).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in local.parameters())


def _blobs(count: int) -> tuple[Tensor, Tensor]:
    """Windows with a wide blob for the first joint and a narrow one for the second, and their places."""
    points = 12 + 40 * torch.rand(count, 2, 2)
    ticks = torch.arange(64.0)
    windows = torch.zeros(count, 1, 64, 64)
    for joint, width in enumerate((5.0, 2.5)):
        u, v = points[:, joint, :1, None], points[:, joint, 1:, None]
        windows[:, 0] += torch.exp(-((ticks - u) ** 2 + (ticks[:, None] - v) ** 2) / 2 / width**2)
    return windows, points


def _two_d(points: Tensor, wrong: float) -> Tensor:
    """Keypoints on the places; some of them anywhere, and just as sure."""
    anywhere = torch.rand(points.shape[:2]) < wrong
    near = torch.where(anywhere[..., None], 64 * torch.rand_like(points), points + torch.randn_like(points))
    return torch.cat([near, 0.5 + 0.5 * torch.rand(*points.shape[:2], 1)], dim=-1)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_the_image_outvotes_a_wrong_keypoint() -> None:
    torch.manual_seed(0)
    network = AnchorNetwork(LIFTING)
    optimizer = torch.optim.Adam(network.parameters(), lr=4e-3)
    for _ in range(150):
        windows, points = _blobs(32)
        votes = network(windows, _two_d(points, wrong=0.3))
        loss = (votes.pixels - points).abs().mean() + (votes.anchor - points).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    windows, points = _blobs(64)
    right = _two_d(points, wrong=0.0)
    displaced = right.clone()
    shift = torch.where(points[:, 0] > 32, -30.0, 30.0)
    displaced[:, 0, :2] += shift
    network.eval()
    with torch.no_grad():
        moved = _apart(network(windows, displaced), network(windows, right))[:, 0]
    # A lifter that only reads keypoints moves as far as the keypoint.
    assert moved.median() < 0.25 * shift.norm(dim=-1).mean()


def _apart(votes: AnchorVotes, others: AnchorVotes) -> Tensor:
    return (votes.pixels - others.pixels).norm(dim=-1)
