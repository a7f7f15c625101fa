"""A task that a few steps can learn, and broken samples at will."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from unipose_training.engine.config import RunSettings
from unipose_training.engine.data_loading import training_loader, validation_loader
from unipose_training.engine.loop import Outcome, train
from unipose_training.engine.step import Task

SETTINGS = RunSettings(
    steps=24,
    batch=4,
    learning_rate=1e-2,
    warmup_steps=5,
    accelerator="cpu",
    threads=1,
    log_every=4,
    validate_every=0,
    checkpoint_every=8,
)


class Sums(Dataset[tuple[Tensor, Tensor]]):
    """Four numbers, blurred anew each time, and their sum; ``broken`` ones are NaN."""

    def __init__(self, size: int = 30, broken: frozenset[int] = frozenset()) -> None:
        self.numbers = torch.randn(size, 4, generator=torch.Generator().manual_seed(1))
        self.numbers[sorted(broken)] = torch.nan

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        numbers = self.numbers[index]
        return numbers + 0.05 * torch.randn(4), numbers.sum()


class AddUp(Task):
    """Learns sums with everything that a checkpoint has to hold: running means, dropout, an average."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.network = nn.Sequential(
                nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 1)
            )
        self.average = nn.Linear(16, 1).requires_grad_(False)
        self.average.load_state_dict(self.network[4].state_dict())
        self.stop_at = -1

    def training_loss(self, batch: tuple[Tensor, Tensor], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        if step == self.stop_at:
            raise KeyboardInterrupt
        error = (self._say(batch[0]) - batch[1]).abs().mean()
        return error + 0 * batch[0].sum(), {"distance": error}

    def _say(self, numbers: Tensor) -> Tensor:
        output: Tensor = self.network(numbers)[:, 0]
        return output

    def on_step_end(self, step: int) -> None:
        for kept, new in zip(self.average.parameters(), self.network[4].parameters(), strict=True):
            kept.lerp_(new, 0.1)

    def validation_metrics(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        return {"error": (self._say(batch[0]) - batch[1]).abs()}

    def trained(self) -> nn.Module:
        return self.network


TrainFunction = Callable[..., tuple[Outcome, AddUp]]


@pytest.fixture
def add_up() -> TrainFunction:
    """Trains a new task in a folder; keywords are settings, or ``broken`` and ``stop_at``."""

    def run(
        folder: Path, broken: frozenset[int] = frozenset(), stop_at: int = -1, **settings: object
    ) -> tuple[Outcome, AddUp]:
        chosen = replace(SETTINGS, **settings)  # type: ignore[arg-type]  # names are the caller's matter
        task = AddUp()
        task.stop_at = stop_at
        training = training_loader(Sums(broken=broken), chosen)
        return train(task, training, validation_loader(Sums(), chosen), chosen, folder), task

    return run
