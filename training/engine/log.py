"""A run's figures: ``metrics.csv`` for programs, TensorBoard's files for eyes."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from torch.utils.tensorboard import SummaryWriter

from unipose_training.engine.errors import TrainingError

METRICS = "metrics.csv"


class Entry(NamedTuple):
    """One figure.

    Attributes:
        step: steps done when it was measured.
        split: ``training``, ``validation`` or ``run`` (speed, learning rate, skipped batches).
        name: of the loss term or figure.
        value: the mean since the last entry of that name.
    """

    step: int
    split: str
    name: str
    value: float


class RunLog:
    """Writes a run's figures, each row at once to disk.

    Args:
        folder: of the run.
        step: that the run goes on from. What was written of later steps by a piece that was killed
            is removed; those steps will be done again.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / METRICS
        kept = [entry for entry in read_metrics(self._path) if entry.step <= step] if self._path.is_file() else []
        self._rewrite(kept)
        self._file = self._path.open("a", newline="", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, split: str, figures: Mapping[str, float]) -> None:
        """Write figures of a step."""
        rows = csv.writer(self._file)
        for name, value in figures.items():
            rows.writerow(Entry(step, split, name, float(f"{value:.6g}")))
            self._board.add_scalar(f"{split}/{name}", value, step)
        self._file.flush()
        self._board.flush()

    def close(self) -> None:
        """Close both files."""
        self._file.close()
        self._board.close()

    def _rewrite(self, entries: list[Entry]) -> None:
        part = self._path.with_suffix(".partial")
        with part.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([Entry._fields, *entries])
        part.replace(self._path)


def read_metrics(path: Path) -> list[Entry]:
    """All figures of a run; a last line that was cut short is left out.

    Raises:
        TrainingError: the file is not there, or not one of :class:`RunLog`.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            if next(rows, None) != list(Entry._fields):
                raise TrainingError(f"{path}: no {METRICS} of a run; name one, or its folder")
            return list(_entries(rows))
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror}); name a run's folder") from error


def _entries(rows: Iterator[list[str]]) -> Iterator[Entry]:
    for row in rows:
        try:
            step, split, name, value = row
            yield Entry(int(step), split, name, float(value))
        except ValueError:
            return
