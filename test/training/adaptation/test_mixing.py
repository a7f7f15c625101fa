"""How far each layer goes from old weights to adapted ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unipose_training.adaptation import mixing as module
from unipose_training.adaptation.mixing import UNIFORM, choose_shares, interpolate, layer_of
from unipose_training.engine.step import Task


class TwoLayers(nn.Module):
    """One number a layer."""

    def __init__(self, values: tuple[float, float]) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            self.first.weight.fill_(values[0])
            self.second.weight.fill_(values[1])


class Errors(Task):
    """100 mm, and a polynomial of the layers for source people (row 0) and for those of the recording (row 1)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def trained(self) -> nn.Module:
        return self.network

    def validation_metrics(self, batch: Any) -> dict[str, Tensor]:
        first, second = self.network.first.weight[0, 0], self.network.second.weight[0, 0]  # type: ignore[union-attr, index]
        source = 100 + 1.0 * first**2 + 10.0 * second**2
        recording = 100 - 30.0 * first - 5.0 * second
        return {"mpjpe_mm": torch.where(batch.rows == 0, source, recording)}


class Rows:
    """What is asked of a batch."""

    def __init__(self, rows: list[int]) -> None:
        self.rows = torch.tensor(rows)


@pytest.fixture(autouse=True)
def whole_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "select", lambda people, rows: Rows(people.rows[rows].tolist()))


def test_layers_that_cost_source_people_little_go_further() -> None:
    parent, trained = TwoLayers((0.0, 0.0)), TwoLayers((1.0, 1.0))
    found = choose_shares(parent, trained, Errors, Rows([0, 0]), Rows([1] * 70), 0.02)  # type: ignore[arg-type]
    assert found.uniform == max(share for share in UNIFORM if 11 * share**2 <= 2)
    assert found.shares["first"] == pytest.approx(1.0)
    # 1 + 10 x^2 = 2
    assert found.shares["second"] == pytest.approx(0.1**0.5, abs=0.03)
    assert found.source <= 102.0 + 1e-4
    assert found.source == pytest.approx(101 + 10 * found.shares["second"] ** 2, abs=1e-3)
    assert found.source_before == 100
    assert found.recording < found.recording_uniform < found.recording_before == 100


def test_hopeless_weights_go_back_towards_the_parent() -> None:
    parent, trained = TwoLayers((0.0, 0.0)), TwoLayers((1.0, 50.0))
    found = choose_shares(parent, trained, Errors, Rows([0]), Rows([1]), 0.02)  # type: ignore[arg-type]
    assert found.uniform == UNIFORM[-1]
    assert found.source < found.source_uniform
    assert found.shares["second"] == pytest.approx(0.0, abs=0.01)


def test_weights_between_two_networks() -> None:
    parent, network = TwoLayers((1.0, 2.0)), TwoLayers((3.0, 6.0))
    interpolate(network, parent, {"first": 0.25, "second": 1.0})
    assert network.first.weight.item() == pytest.approx(1.5)
    assert network.second.weight.item() == 6.0
    assert layer_of("layers.0.widen.weight") == "layers.0.widen"
