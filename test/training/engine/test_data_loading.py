from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import Dataset

from unipose_training.engine.config import RunSettings, TrainingError
from unipose_training.engine.data_loading import SampleIndex, StepBatches, training_loader


def test_every_pass_shows_every_sample_once_in_another_order() -> None:
    drawn = [draw.number for batch in StepBatches(10, steps=6, batch=5, seed=0) for draw in batch]
    passes = [drawn[:10], drawn[10:20], drawn[20:]]
    assert [sorted(each) for each in passes] == [list(range(10))] * 3
    assert len({tuple(each) for each in passes}) == 3


@given(size=st.integers(1, 9), batch=st.integers(1, 7), step=st.integers(0, 6), seed=st.integers(0, 3))
def test_beginning_later_gives_the_later_batches(size: int, batch: int, step: int, seed: int) -> None:
    batches = StepBatches(size, 6, batch, seed)
    whole = list(batches)
    batches.begin(step)
    assert list(batches) == whole[step:]
    assert len(batches) == len(whole) - step


def test_processes_share_each_batch() -> None:
    batches = StepBatches(20, 4, 6, seed=0)
    whole = list(batches)
    parts = []
    for part in range(3):
        batches.begin(0, part, 3)
        parts.append(list(batches))
    for step in range(4):
        assert [len(part[step]) for part in parts] == [2, 2, 2]
        assert Counter(draw for part in parts for draw in part[step]) == Counter(whole[step])


def test_no_two_draws_share_their_random_numbers() -> None:
    draws = [draw for batch in StepBatches(3, 50, 4, seed=0) for draw in batch]
    assert len({draw.seed for draw in draws}) == len(draws)
    assert draws[0] != SampleIndex(draws[0].number, StepBatches(3, 50, 4, seed=1).__iter__().__next__()[0].seed)


class Blurred(Dataset[Tensor]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Tensor:
        return index + torch.rand(1)


class BlurredBatches(Blurred):
    def __getitems__(self, indices: list[int]) -> list[Tensor]:
        return [self[index] for index in indices]


@pytest.mark.parametrize("samples", [Blurred(), BlurredBatches()])
def test_random_reading_is_the_same_in_every_run_and_new_in_every_pass(samples: Blurred) -> None:
    settings = RunSettings(steps=4, batch=2, accelerator="cpu")
    first = torch.cat(list(training_loader(samples, settings)))
    torch.rand(3)
    again = torch.cat(list(training_loader(samples, settings)))
    assert torch.equal(first, again)
    assert len(set(first.flatten().tolist())) == 8


def test_no_samples_are_refused() -> None:
    with pytest.raises(TrainingError, match="no sample to train on"):
        StepBatches(0, 1, 1, 0)
