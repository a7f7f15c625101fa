"""The image network: anchors, decoding, export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from unipose_ros.backends import OnnxBackend
from unipose_ros.networks.anchors import (
    DEPTH_SIZES,
    RGB_SIZES,
    AnchorNetwork,
    AnchorNetworkConfig,
    LocalAnchorVotes,
    _by_anchor,
    anchor_pixels,
    count_anchor_votes,
)
from unipose_ros.networks.export import export_onnx

SMALL = AnchorNetworkConfig(joints=3, size=64, widths=(8, 8, 8, 16), blocks=(1, 1, 1), head_width=8)


@pytest.fixture
def network() -> AnchorNetwork:
    torch.manual_seed(0)
    made = AnchorNetwork(SMALL)
    made(torch.randn(16, 1, 64, 64))  # running means of a few windows
    return made.eval()


def test_anchors_of_288_pixels() -> None:
    anchors = anchor_pixels(288)
    assert anchors.shape == (18 * 18 * 16, 2)
    assert len(anchors.unique(dim=0)) == 5184
    assert anchors.min() == 2
    assert anchors.max() == 286
    first_cell = {(u, v) for u, v in anchors[:16].tolist()}
    assert first_cell == {(u, v) for u in (2, 6, 10, 14) for v in (2, 6, 10, 14)}
    # The next cell is to the right, the next row of cells below.
    assert (anchors[16] - anchors[0]).tolist() == [16, 0]
    assert (anchors[18 * 16] - anchors[0]).tolist() == [0, 16]


def test_one_hot_logits_return_anchor_and_offset() -> None:
    torch.manual_seed(0)
    anchors = anchor_pixels(288)
    offsets, depths = torch.randn(1, 5184, 15, 2), torch.randn(1, 5184, 15)
    chosen = torch.randint(5184, (15,))
    logits = torch.full((1, 5184, 15), -1e9)
    logits[0, chosen, range(15)] = 0
    votes = count_anchor_votes(LocalAnchorVotes(anchors[:, None], offsets, depths, logits, depths * 2))
    assert torch.equal(votes.pixels[0], anchors[chosen] + offsets[0, chosen, range(15)])
    assert torch.equal(votes.depths[0], depths[0, chosen, range(15)])
    assert torch.equal(votes.log_scales[0], 2 * votes.depths[0])
    assert torch.equal(votes.anchor[0], anchors[chosen])
    assert votes.covariances.abs().max() == 0


def test_outputs_of_the_feature_map_meet_their_anchors() -> None:
    rows, columns, joints = 3, 4, 2
    outputs = torch.zeros(1, 16 * joints, rows, columns)
    anchor, joint, row, column = 7, 1, 1, 3
    outputs[0, anchor * joints + joint, row, column] = 5
    sorted_out = _by_anchor(outputs, joints, 1)
    assert sorted_out.nonzero().tolist() == [[0, (row * columns + column) * 16 + anchor, joint, 0]]


def test_the_covariance_is_that_of_the_votes() -> None:
    anchors = torch.tensor([[0.0, 0.0], [4.0, 2.0]])
    depths, zeros = torch.tensor([[[0.1], [-0.1]]]), torch.zeros(1, 2, 1)
    votes = count_anchor_votes(LocalAnchorVotes(anchors[:, None], torch.zeros(1, 2, 1, 2), depths, zeros, zeros))
    assert votes.pixels.tolist() == [[[2.0, 1.0]]]
    assert votes.covariances[0, 0].tolist() == pytest.approx([4.0, 2.0, -0.2, 1.0, -0.1, 0.01])


def test_untrained_joints_are_in_the_middle() -> None:
    torch.manual_seed(0)
    votes = AnchorNetwork(SMALL).eval()(torch.randn(2, 1, 64, 64))
    assert (votes.pixels - 32).abs().max() < 1
    assert votes.depths.abs().max() < 0.05


@pytest.mark.usefixtures("one_thread")
def test_what_moves_in_the_window_moves_the_prediction() -> None:
    torch.manual_seed(0)
    network = AnchorNetwork(SMALL)
    windows = torch.zeros(4, 1, 64, 64)
    for place, window in enumerate(windows):
        window[0, 8 + 8 * place : 24 + 8 * place, 20:36] = 1
    targets = torch.stack([torch.full((4, 3), 28.0), 16.0 + 8 * torch.arange(4.0)[:, None].expand(4, 3)], dim=-1)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(30):
        votes = network(windows)
        loss = (votes.pixels - targets).abs().mean() + (votes.anchor - targets).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (votes.pixels - targets).abs().mean() < 3


def test_onnx_runtime_says_the_same(network: AnchorNetwork, tmp_path: Path) -> None:
    path = tmp_path / "anchors.onnx"
    export_onnx(network, path)
    backend = OnnxBackend(path)
    for batch in (1, 3):
        given = torch.randn(batch, 1, 64, 64)
        with torch.inference_mode():
            expected = network(given)
        for ours, theirs in zip(expected, backend(given.numpy()), strict=True):
            assert np.abs(ours.numpy() - theirs).max() < 1e-3 * max(1, float(ours.abs().max()))


@pytest.mark.parametrize(
    ("config", "giga"),
    [(DEPTH_SIZES["tiny"], 0.27), (DEPTH_SIZES["base"], 1.41), (RGB_SIZES["tiny"], 0.38), (RGB_SIZES["base"], 2.51)],
)
def test_sizes_cost_what_they_should_and_fit_in_a_file(config: AnchorNetworkConfig, giga: float) -> None:
    with torch.device("meta"):
        network = AnchorNetwork(config).eval()
        window = torch.zeros(1, config.channels, config.size, config.size)
    with FlopCounterMode(display=False) as counter:
        network(window)
    assert counter.get_total_flops() / 2e9 == pytest.approx(giga, abs=0.01)
    assert sum(value.numel() for value in network.state_dict().values()) * 2 < 12e6


@pytest.mark.parametrize(
    "wrong", [{"size": 200}, {"widths": (8, 8)}, {"blocks": (0, 1, 1)}, {"joints": 0}, {"local": -1}]
)
def test_a_bad_size_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AnchorNetworkConfig(**wrong)
