"""The stream as what recipes read: batches that follow from seed and step alone, in any process."""

from __future__ import annotations

import hashlib
import io
import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from unipose_ros.files import write_atomic
from unipose_training.datasets.io import read_npz
from unipose_training.engine.config import RunSettings
from unipose_training.engine.data_loading import SampleIndex, StepBatches, loader_of, seed_of
from unipose_training.errors import DataError, reading
from unipose_training.samples.dataset import PersonBatch, identity_collate
from unipose_training.synthetic.bank import load_bank
from unipose_training.synthetic.stream.people import Inputs, PeopleMaker, divided, select, with_fewer_children
from unipose_training.synthetic.stream.settings import StreamSettings

_log = logging.getLogger(__name__)

#: Parts of seeds: training chunks, validation.
_TRAINING, _VALIDATION = 11, 12


class PersonStream(Dataset[PersonBatch]):
    """People of a run, ``batch`` for each of its steps.

    Step s belongs to chunk ``(s // (batches * interleave)) * interleave + s % interleave``: chunks take turns. A
    reader that is asked for every ``interleave``-th step makes each of its chunks once.

    Args:
        settings: of the stream.
        inputs: what is cut out of each person.
        run: whose steps, batch, seed and accelerator these are.
    """

    def __init__(self, settings: StreamSettings, inputs: Inputs, run: RunSettings) -> None:
        self._settings, self._inputs, self._run = settings, inputs, run
        self._device = stream_device(settings.device, run.accelerator)
        self._maker: PeopleMaker | None = None
        self._chunks: OrderedDict[int, PersonBatch] = OrderedDict()
        self._digest = ""

    def __len__(self) -> int:
        return self._run.steps * self._run.batch

    def __getitem__(self, index: int) -> PersonBatch:
        """One person as a batch of one."""
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> PersonBatch:
        """The people of some numbers, of one step; this is what a DataLoader calls."""
        settings, size = self._settings, self._run.batch
        step = indices[0] // size
        turn, position = divmod(step, settings.batches * settings.interleave)
        chunk = turn * settings.interleave + position % settings.interleave
        rows = [position // settings.interleave * size + index % size for index in indices]
        batch = select(self._chunk(chunk), torch.tensor(rows, device=self._device))
        return batch._replace(rows=torch.tensor(indices, device=self._device))

    def _chunk(self, number: int) -> PersonBatch:
        if number in self._chunks:
            self._chunks.move_to_end(number)
            return self._chunks[number]
        seed = seed_of(self._run.seed, _TRAINING, number)
        path = self._kept(number)
        batch = _read(path, self._device) if path else None
        if batch is None:
            batch = self._made().make(seed, self._settings.batches * self._run.batch)
            if path:
                _write(path, batch)
        self._chunks[number] = batch
        while len(self._chunks) > self._settings.interleave:
            self._chunks.popitem(last=False)
        return batch

    def _made(self) -> PeopleMaker:
        """Built where it is needed: in the process that reads."""
        if self._maker is None:
            bank = divided(load_bank(self._settings.bank_file), self._settings.validation_bodies, validation=False)
            bank = with_fewer_children(bank, self._settings.children)
            self._maker = PeopleMaker(bank, self._settings, self._inputs, self._device)
        return self._maker

    def _kept(self, number: int) -> Path | None:
        """Where a finished chunk is kept: by all that it depends on."""
        if self._settings.cache is None:
            return None
        if not self._digest:
            self._digest = stream_digest(self._settings, self._inputs, self._run, self._device)
        return self._settings.cache / self._digest / f"{number:06d}.npz"

    def __getstate__(self) -> dict[str, object]:
        """Workers make their own chunks."""
        return {**self.__dict__, "_maker": None, "_chunks": OrderedDict()}


def stream_digest(settings: StreamSettings, inputs: Inputs, run: RunSettings, device: torch.device) -> str:
    """What decides over the people of a stream, in a few letters."""
    facts = {name: value for name, value in asdict(settings).items() if name not in ("cache", "device", "interleave")}
    bank = hashlib.sha256(settings.bank_file.read_bytes()).hexdigest()
    whole = f"{facts} {inputs} {run.batch} {run.seed} {bank} {device.type}"
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


class ValidationPeople(Dataset[PersonBatch]):
    """People of bodies and motions that the stream keeps back; always the same, each seen once.

    Args:
        settings: of the stream.
        inputs: what is cut out of each person.
        run: its accelerator decides where they are made; they are made anew where that is another one.
    """

    def __init__(self, settings: StreamSettings, inputs: Inputs, run: RunSettings) -> None:
        device = stream_device(settings.device, run.accelerator)
        once = replace(settings, views=1, replays=1)
        bank = divided(load_bank(settings.bank_file), settings.validation_bodies, validation=True)
        maker = PeopleMaker(bank, once, inputs, device)
        self._people = maker.make(seed_of(_VALIDATION), settings.validation_people)

    def __len__(self) -> int:
        return len(self._people.rows)

    def __getitem__(self, index: int) -> PersonBatch:
        """One person as a batch of one."""
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> PersonBatch:
        """Several people; this is what a DataLoader calls."""
        return select(self._people, torch.tensor(list(indices), device=self._people.rows.device))


class StreamBatches(StepBatches):
    """The numbers of a stream's people in their order: no person is drawn twice."""

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        for step in range(self._first, self.steps):
            positions = range(step * self.batch + self._part, (step + 1) * self.batch, self._parts)
            # The people's own seeds follow from seed and step; one seed a batch costs less than one a person.
            seed = seed_of(self.seed, 1, step)
            yield [SampleIndex(position, seed) for position in positions]


def stream_loader(stream: PersonStream, run: RunSettings) -> DataLoader[PersonBatch]:
    """What :func:`unipose_training.engine.loop.train` reads."""
    return loader_of(stream, StreamBatches(len(stream), run.steps, run.batch, run.seed), run, identity_collate)


def stream_device(wanted: str, accelerator: str) -> torch.device:
    """What renders: ``wanted``, or what the run computes on."""
    cuda = torch.cuda.is_available() and accelerator != "cpu"
    return torch.device("cuda" if wanted == "cuda" or (wanted == "auto" and cuda) else "cpu")


def _read(path: Path, device: torch.device) -> PersonBatch | None:
    """A finished chunk; None where there is none that can be read."""
    if not path.exists():
        return None
    try:
        with reading(path, "made again"):
            stored = read_npz(path, PersonBatch._fields, "made again")
            return PersonBatch(**{name: torch.from_numpy(value).to(device) for name, value in stored.items()})
    except DataError as error:
        _log.warning("%s", error)
        return None


def _write(path: Path, batch: PersonBatch) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: v.cpu().numpy() for name, v in batch._asdict().items()})
    write_atomic(path, buffer.getvalue())  # other runs may make the same chunk at the same time
