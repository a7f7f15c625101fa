"""A task's figures over all samples of a loader."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader

from unipose_training.engine.task import Task


@torch.no_grad()
def validate(fabric: Fabric, task: Task, loader: DataLoader[Any]) -> dict[str, float]:
    """Mean of each figure over the samples that have it; NaN when none has.

    The first process does all of it, the others wait.
    """
    figures: dict[str, float] = {}
    if fabric.is_global_zero:
        task.eval()
        figures = _means(fabric, task, loader)
        task.train()
    fabric.barrier()
    return figures


def _means(fabric: Fabric, task: Task, loader: DataLoader[Any]) -> dict[str, float]:
    found: dict[str, list[Tensor]] = defaultdict(list)
    for batch in loader:
        with fabric.autocast():
            figures = task.validation_figures(fabric.to_device(batch))
        for name, values in figures.items():
            found[name].append(values.detach().double().flatten().cpu())
    return {name: float(torch.cat(values).nanmean()) for name, values in found.items()}
