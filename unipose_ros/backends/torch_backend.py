"""Networks in torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


class TorchBackend:
    """A torch module, run without gradients.

    Args:
        module: takes and returns tensors, or a tuple of them.
        device: ``cpu`` or ``cuda``.
        threads: of the CPU for one operation. Torch has one setting for the whole process.
    """

    def __init__(self, module: torch.nn.Module, device: str = "cpu", threads: int = 2) -> None:
        if device == "cpu":
            torch.set_num_threads(threads)
        self._device = torch.device(device)
        self._module = module.eval().to(self._device)
        self._description = f"torch {torch.__version__} on {device}, {torch.get_num_threads()} threads"

    @property
    def description(self) -> str:
        """What runs it and where."""
        return self._description

    def __call__(self, *inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Run once."""
        with torch.inference_mode():
            tensors = [torch.from_numpy(np.ascontiguousarray(value)).to(self._device) for value in inputs]
            outputs = self._module(*tensors)
        results = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        return tuple(output.cpu().numpy() for output in results)
