"""Everything that a run needs to go on, in one file that is either old or new, never half written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from unipose_training.engine.errors import TrainingError

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
    folder: Path, fabric: Fabric, task: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write ``checkpoint.pt``; all processes call this, one writes."""
    if fabric.is_global_zero:
        state = {
            "task": task.state_dict(),
            "optimiser": optimiser.state_dict(),
            "precision": fabric.strategy.precision.state_dict(),
            "progress": vars(progress),
        }
        part = folder / f".{CHECKPOINT}"
        torch.save(state, part)
        part.replace(folder / CHECKPOINT)
    fabric.barrier()


def load_checkpoint(folder: Path, fabric: Fabric, task: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
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
        optimiser.load_state_dict(state["optimiser"])
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
