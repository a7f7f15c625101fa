from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unipose_training.adaptation import mixing as module
from unipose_training.adaptation.mixing import SHARES, choose_share, interpolate
from unipose_training.engine.step import Task


def one_weight(value: float) -> nn.Linear:
    network = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        network.weight.fill_(value)
    return network


class Errors(Task):
    """100 mm, and functions of the weight for source people (row 0) and for those of the recording (row 1)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def trained(self) -> nn.Module:
        return self.network

    def validation_metrics(self, batch: Any) -> dict[str, Tensor]:
        weight = self.network.weight[0, 0]  # type: ignore[index]
        return {"mpjpe_mm": torch.where(batch.rows == 0, 100 + 10.0 * weight**2, 100 - 30.0 * weight)}


class Rows:
    """What is asked of a batch."""

    def __init__(self, rows: list[int]) -> None:
        self.rows = torch.tensor(rows)


@pytest.fixture(autouse=True)
def whole_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "select", lambda people, rows: Rows(people.rows[rows].tolist()))


def chosen(adapted: float, margin: float) -> module.Mixture:
    source, recording = Rows([0, 0]), Rows([1] * 70)
    return choose_share(one_weight(0), one_weight(adapted), Errors, source, recording, margin)  # type: ignore[arg-type]


@pytest.mark.parametrize("margin", [0.0, 0.004, 0.01, 0.02, 0.03, 0.05, 0.2])
def test_the_largest_share_within_the_margin_is_taken(margin: float) -> None:
    found = chosen(1.0, margin)
    within = [share for share in SHARES if 10 * share**2 <= 100 * margin]
    assert found.share == max(within, default=min(SHARES))
    assert (found.source_before, found.recording_before) == (100, 100)
    assert found.source == pytest.approx(100 + 10 * found.share**2)
    assert found.recording == pytest.approx(100 - 30 * found.share, rel=1e-5)


def test_of_hopeless_weights_little_is_left() -> None:
    assert chosen(50.0, 0.02).share == min(SHARES)


def test_weights_lie_between_and_counts_are_those_of_the_adapted_network() -> None:
    parent, network = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    assert network.running_mean is not None
    assert network.num_batches_tracked is not None
    network.running_mean.fill_(8.0)
    network.num_batches_tracked.fill_(5)
    interpolate(network, parent, 0.25)
    assert network.running_mean.tolist() == [2.0, 2.0]
    assert int(network.num_batches_tracked) == 5
