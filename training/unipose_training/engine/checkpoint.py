"""Everything that a run needs to go on, in one file that is either old or new, never half written."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.rank_zero import rank_zero_only
from torch import nn

from unipose_ros.documents import DocumentError, read_yaml
from unipose_ros.files import describe_os_error, write_atomic
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
