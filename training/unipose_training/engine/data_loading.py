"""Which samples make which step: a function of seed and step alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sized
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from unipose_ros.termination import start_reader
from unipose_training.engine.config import RunSettings, TrainingError

# Random numbers as functions of where a run stands, so that nothing need be kept to go on.


def seed_of(*parts: int) -> int:
    """A 63 bit seed from whole numbers from 0, unlike that of any others."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def seed_everything(*parts: int) -> None:
    """Seed torch, NumPy's global generator and Python's with :func:`seed_of`."""
    seed = seed_of(*parts)
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # for libraries that draw from it
    random.seed(seed)


class SampleIndex(NamedTuple):
    """A sample to be read.

    Attributes:
        number: of the sample in the data set.
        seed: of whatever is random about reading it (augmentation).
    """

    number: int
    seed: int


class StepBatches(Sampler[list[SampleIndex]]):
    """The batches of a run, one per step.

    Every pass over the data has an order of its own; a batch may end one pass and begin the next.

    Args:
        size: of the data set.
        steps: of the whole run.
        batch: samples per step, over all processes together.
        seed: of the orders.

    Raises:
        TrainingError: there are no samples.
    """

    def __init__(self, size: int, steps: int, batch: int, seed: int) -> None:
        if size < 1:
            raise TrainingError("there is no sample to train on; look at what was read, and at what leaves samples out")
        self.size, self.steps, self.batch, self.seed = size, steps, batch, seed
        self._first, self._part, self._parts = 0, 0, 1

    def begin(self, step: int, part: int = 0, parts: int = 1) -> None:
        """Begin at a step, and give one of several processes its part of each batch."""
        self._first, self._part, self._parts = step, part, parts

    def __len__(self) -> int:
        return self.steps - self._first

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        orders: dict[int, NDArray[np.intp]] = {}
        for step in range(self._first, self.steps):
            indices = range(step * self.batch + self._part, (step + 1) * self.batch, self._parts)
            passes = {index // self.size for index in indices}
            orders = {number: self._order(number, orders) for number in passes}
            yield [SampleIndex(int(orders[p // self.size][p % self.size]), seed_of(self.seed, 1, p)) for p in indices]

    def _order(self, number: int, known: dict[int, NDArray[np.intp]]) -> NDArray[np.intp]:
        """The order of one pass over the data; made anew only when it is not known."""
        if number in known:
            return known[number]
        return np.random.default_rng(seed_of(self.seed, 0, number)).permutation(self.size)


class _Seeded(Dataset[Any]):
    """A data set asked by :class:`SampleIndex`: reading has random numbers of its own, wherever it happens."""

    def __init__(self, samples: Dataset[Any]) -> None:
        self._samples = samples

    def __getitem__(self, draw: SampleIndex) -> Any:
        seed_everything(draw.seed)
        return self._samples[draw.number]

    def __getitems__(self, draws: list[SampleIndex]) -> Any:
        """What a DataLoader calls; data sets that read a batch at once are let do so."""
        read_all = getattr(self._samples, "__getitems__", None)
        if read_all is None:
            return [self[draw] for draw in draws]
        seed_everything(draws[0].seed)
        return read_all([draw.number for draw in draws])


def training_loader(
    samples: Dataset[Any], settings: RunSettings, collate: Callable[[list[Any]], Any] | None = None
) -> DataLoader[Any]:
    """What :func:`unipose_training.engine.loop.train` reads: batch after batch, the same in every run.

    Random numbers in ``samples[i]`` must come from the generators of torch, NumPy (the global one)
    or Python, which are seeded for every sample, or from nothing else than ``i``.

    Args:
        samples: with ``len``.
        collate: makes a batch of a list of samples; torch's own by default.

    Raises:
        TrainingError: there are no samples.
    """
    assert isinstance(samples, Sized)
    batches = StepBatches(len(samples), settings.steps, settings.batch, settings.seed)
    return loader_of(samples, batches, settings, collate)


def loader_of(
    samples: Dataset[Any],
    batches: StepBatches,
    settings: RunSettings,
    collate: Callable[[list[Any]], Any] | None = None,
) -> DataLoader[Any]:
    """:func:`training_loader` with batches of one's own."""
    return _loader(_Seeded(samples), settings, collate, batch_sampler=batches)


def validation_loader(
    samples: Dataset[Any], settings: RunSettings, collate: Callable[[list[Any]], Any] | None = None
) -> DataLoader[Any]:
    """All samples once, in their order."""
    return _loader(samples, settings, collate, batch_size=settings.batch)


def _loader(
    samples: Dataset[Any], settings: RunSettings, collate: Callable[[list[Any]], Any] | None, **order: Any
) -> DataLoader[Any]:
    # CUDA does not survive a fork: readers are started anew where there may be a GPU.
    context = "forkserver" if settings.workers and settings.accelerator != "cpu" else None
    return DataLoader(
        samples, num_workers=settings.workers, collate_fn=collate, multiprocessing_context=context,
        worker_init_fn=start_reader, **order,
    )  # fmt: skip
