"""The folder of a run: its configuration, its checkpoint, its figures and their curves.

``checkpoint.pt`` has everything that a run needs to go on and is either old or new, never half written.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.rank_zero import rank_zero_only
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from unipose_ros.documents import DocumentError, read_yaml
from unipose_ros.files import atomic_path, describe_os_error, write_atomic
from unipose_training.engine.config import TrainingError, as_mapping, to_yaml

# Several processes may train together, each running the same command.


def is_first_process() -> bool:
    """Whether this process is the one that speaks and writes for all."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0


CHECKPOINT = "checkpoint.pt"


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        step: steps done.
        skipped: batches without a finite loss and gradient.
        in_row: of them, those after the last good one.
        seconds: of training.
        figures: of the last validation.
    """

    step: int = 0
    skipped: int = 0
    in_row: int = 0
    seconds: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)


def save_checkpoint(
    folder: Path, fabric: Fabric, task: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write ``checkpoint.pt``; all processes call this, one writes.

    Raises:
        OSError: it cannot be written; the one before is still there.
    """
    if fabric.is_global_zero:
        state = {
            "task": task.state_dict(),
            "optimizer": optimizer.state_dict(),
            "precision": fabric.strategy.precision.state_dict(),
            "progress": vars(progress),
        }
        contents = io.BytesIO()  # writing itself, torch meets a full disk with errors of its own
        torch.save(state, contents)
        write_atomic(folder / CHECKPOINT, contents.getvalue())
    fabric.barrier()


def load_checkpoint(folder: Path, fabric: Fabric, task: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Go on from ``checkpoint.pt``, or begin where there is none.

    Raises:
        TrainingError: it is damaged, or of another task.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        return Progress()
    state = _read(path, fabric.device)
    try:
        task.load_state_dict(state["task"])
        optimizer.load_state_dict(state["optimizer"])
        fabric.strategy.precision.load_state_dict(state["precision"])
        return Progress(**state["progress"])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise TrainingError(
            f"{path} is of another task or version ({str(error).splitlines()[0]}); name another --output"
        ) from error


def _read(path: Path, device: torch.device) -> Any:
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # whatever zip, pickle or torch make of a damaged file
        raise TrainingError(f"{path} is damaged ({type(error).__name__}); remove it to begin anew") from error


# The folder of a run belongs to one configuration.


CONFIG = "config.yaml"


def prepare_run_dir(output: Path, config: Any, changed: bool = False) -> None:
    """Make the folder of a run and write ``config.yaml`` into it; every recipe begins with this.

    Fields marked :data:`unipose_training.engine.config.RESUME_SAFE` may differ from those that the run
    began with.

    Args:
        config: the recipe's dataclass.
        changed: go on with another configuration all the same.

    Raises:
        TrainingError: the folder cannot be made, or holds a run of another configuration.
    """
    path = output / CONFIG
    try:
        output.mkdir(parents=True, exist_ok=True)
        if path.is_file() and not changed and any(output.rglob(CHECKPOINT)):
            _refuse_changes(path, config)
        write_atomic(path, to_yaml(config))
    except OSError as error:
        reason = describe_os_error(error)
        raise TrainingError(f"--output {output}: cannot be used ({reason}); name another folder") from error


def _refuse_changes(path: Path, config: Any) -> None:
    before = dict(_leaves(_read_config(path)))
    now, free = dict(_leaves(as_mapping(config))), set(_free(config))
    differing = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
    if changes := [f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in differing if key not in free]:
        raise TrainingError(
            f"{path.parent} holds a run of another configuration: {'; '.join(changes[:4])}; "
            "name another --output, or go on all the same with --allow-config-change"
        )


def _read_config(path: Path) -> dict[str, Any]:
    try:
        values = read_yaml(path)
    except DocumentError:
        values = None
    return values if isinstance(values, dict) else {}


def _leaves(values: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{place}{key}.")
        else:
            yield f"{place}{key}", value


def _free(config: Any, place: str = "") -> Iterator[str]:
    """Dotted names of the fields that may change."""
    for entry in dataclasses.fields(config):
        value = getattr(config, entry.name)
        if dataclasses.is_dataclass(value):
            yield from _free(value, f"{place}{entry.name}.")
        elif entry.metadata.get("free"):
            yield f"{place}{entry.name}"


# A run's figures: ``metrics.csv`` for programs, TensorBoard's files for eyes.


_log = logging.getLogger(__name__)

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
        step: that the run resumes from. What was written of later steps by a piece that was killed
            is removed; those steps will be done again.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / METRICS
        kept = [entry for entry in read_metrics(self._path) if entry.step <= step] if self._path.is_file() else []
        self._rewrite(kept)
        self._file = self._path.open("a", newline="", encoding="utf-8")
        self._board = _board(folder / "tensorboard", step)

    def write(self, step: int, split: str, figures: Mapping[str, float]) -> None:
        """Write figures of a step.

        Raises:
            OSError: they cannot be written; the error names the file.
        """
        rows = csv.writer(self._file)
        try:
            for name, value in figures.items():
                rows.writerow(Entry(step, split, name, float(f"{value:.6g}")))
                if self._board is not None:
                    self._board.add_scalar(f"{split}/{name}", value, step)
            self._file.flush()
            if self._board is not None:
                self._board.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path.parent)) from error

    def close(self) -> None:
        """Close both files; what could not be written has been reported by then."""
        with suppress(OSError):
            self._file.close()
        if self._board is not None:
            with suppress(OSError):
                self._board.close()

    def _rewrite(self, entries: list[Entry]) -> None:
        with atomic_path(self._path) as part, part.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([Entry._fields, *entries])


def _board(folder: Path, step: int) -> SummaryWriter | None:
    try:
        return SummaryWriter(str(folder), purge_step=step + 1)
    except UnicodeEncodeError:
        _log.warning("%s: TensorBoard cannot write to names that are no UTF-8; the figures are in %s", folder, METRICS)
        return None


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
    except (OSError, ValueError, csv.Error) as error:
        raise TrainingError(f"{path}: cannot be read ({error}); name a run's folder") from error


def _entries(rows: Iterator[list[str]]) -> Iterator[Entry]:
    for row in rows:
        try:
            step, split, name, value = row
            yield Entry(int(step), split, name, float(value))
        except ValueError:
            return


# A run's curves as an image: each loss term, figure and measure of the run in a panel of its own.


_COLUMNS = 3
_PANEL = (4.0, 2.4)  # inches
#: Values that differ by more than this factor are drawn on a logarithmic axis.
_LOG_FROM = 20
_COLORS = {"training": "#2f6db5", "validation": "#c4491d", "run": "#7a7f87"}


def draw_curves(metrics: Path, image: Path) -> None:
    """Draw ``metrics.csv`` of a run.

    Args:
        image: written as PNG.

    Raises:
        TrainingError: the file cannot be read, or holds no figures.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = _curves(read_metrics(metrics))
    if not curves:
        raise TrainingError(f"{metrics}: it holds no figures yet; run the recipe for log_every steps")
    rows = math.ceil(len(curves) / _COLUMNS)
    figure = Figure((_COLUMNS * _PANEL[0], rows * _PANEL[1]), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, _COLUMNS, squeeze=False, sharex=True).flat)
    for axis, ((split, name), points) in zip(axes, curves.items(), strict=False):
        _draw(axis, split, name, points)
    for axis in axes[len(curves) :]:
        axis.remove()
    with atomic_path(image) as part:
        figure.savefig(part, dpi=100, format="png")


def _curves(entries: Sequence[Entry]) -> dict[tuple[str, str], list[Entry]]:
    """Entries by split and name: losses first, then validation, then the run."""
    curves: dict[tuple[str, str], list[Entry]] = {}
    for split in _COLORS:
        for entry in entries:
            if entry.split == split and entry.name != "skipped":
                curves.setdefault((split, entry.name), []).append(entry)
    return curves


def _draw(axis: Any, split: str, name: str, points: Sequence[Entry]) -> None:
    values = [point.value for point in points]
    # A mark for each validation: there may be one only.
    axis.plot([point.step for point in points], values, ".-" if split == "validation" else "-", color=_COLORS[split])
    if split != "run" and min(values) > 0 and max(values) > _LOG_FROM * min(values):
        axis.set_yscale("log")
    axis.set_xlabel("steps", fontsize=8)
    axis.set_title(f"{split}: {name.replace('_', ' ')}", fontsize=10, loc="left")
    axis.tick_params(labelsize=8, labelbottom=True)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
