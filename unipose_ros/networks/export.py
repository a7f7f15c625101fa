"""Networks as ONNX files, for machines without torch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

#: The first that has layer normalisation as one operation.
_OPSET = 17


def export_onnx(module: nn.Module, example: Tensor, path: Path, outputs: Sequence[str]) -> None:
    """Write a network of one input with any number of samples in it.

    Args:
        module: gives a tensor or a tuple of tensors.
        example: an input; its first side is the batch.
        outputs: names of what it gives.
    """
    with warnings.catch_warnings():
        # The exporter by tracing is called old, but needs nothing beside torch.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), (example,), str(path), input_names=["input"], output_names=list(outputs),
            dynamic_axes={name: {0: "batch"} for name in ("input", *outputs)}, opset_version=_OPSET, dynamo=False,
        )  # fmt: skip
