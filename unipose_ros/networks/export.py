"""Networks as ONNX files, for machines without torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unipose_ros.networks.anchors import AnchorVotes
from unipose_ros.networks.layers import Votes

#: The first that has layer normalization as one operation.
_OPSET = 17


def export_onnx(
    module: nn.Module, example: Tensor, path: Path, outputs: Sequence[str], free: Mapping[int, str] | None = None
) -> None:
    """Write a network of one input with any number of samples in it.

    Args:
        module: gives a tensor or a tuple of tensors.
        example: an input; its first side is the batch.
        outputs: names of what it gives.
        free: further sides of input and outputs that may have any length, with names for them.
    """
    axes = {0: "batch", **(free or {})}
    with warnings.catch_warnings():
        # The exporter by tracing is called old, but needs nothing beside torch.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), (example,), str(path), input_names=["input"], output_names=list(outputs),
            dynamic_axes={name: dict(axes) for name in ("input", *outputs)}, opset_version=_OPSET, dynamo=False,
        )  # fmt: skip


@dataclass(frozen=True)
class ExportSpec:
    """What a kind of network takes and gives.

    Attributes:
        example: its configuration and a number of samples -> an input.
        outputs: names of what it gives.
        free: as in :func:`export_onnx`.
    """

    example: Callable[[Any, int], Tensor]
    outputs: tuple[str, ...]
    free: Mapping[int, str] = field(default_factory=dict)


def _cloud(config: Any, batch: int) -> Tensor:
    return 0.3 * torch.randn(batch, 1, config.points, 3 + config.paint)


def _window(config: Any, batch: int) -> Tensor:
    return torch.randn(batch, config.channels, config.size, config.size).clamp(-2, 2)


def _view(config: Any, batch: int) -> Tensor:
    """Log depths, and that all of them were read."""
    del config
    return torch.stack([0.3 * torch.randn(batch, 96, 128), torch.ones(batch, 96, 128)], dim=1)


#: Name in the weights' record -> what to know for the export. The person detector's image has the camera's shape.
EXPORTS: dict[str, ExportSpec] = {
    "points": ExportSpec(_cloud, Votes._fields),
    "depth": ExportSpec(_window, AnchorVotes._fields),
    "rgb": ExportSpec(_window, AnchorVotes._fields),
    "person_detector": ExportSpec(_view, ("maps",), {2: "height", 3: "width"}),
}
