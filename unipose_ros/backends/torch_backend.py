"""Networks in torch."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


class TorchBackend:
    """A torch module, run without gradients.

    Args:
        module: takes and returns tensors, or a tuple of them.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: of the CPU for one operation. Torch has one setting for the whole process.
        half: on CUDA, products are taken in 16 bits; sums and what is put out stay in 32.
    """

    def __init__(self, module: torch.nn.Module, device: str = "cpu", threads: int = 2, half: bool = False) -> None:
        self._device = torch.device(device)
        on_cpu = self._device.type == "cpu"
        if on_cpu:
            torch.set_num_threads(threads)
        self._half = half and not on_cpu
        self._module = module.eval().to(self._device)
        how = f"{torch.get_num_threads()} threads" if on_cpu else "half precision" if self._half else "full precision"
        self._description = f"torch {torch.__version__} on {device}, {how}"

    @property
    def description(self) -> str:
        """What runs it and where."""
        return self._description

    def __call__(self, *inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Run once."""
        precision = torch.autocast(self._device.type, torch.float16) if self._half else nullcontext()
        with torch.inference_mode(), precision:
            tensors = [torch.from_numpy(np.ascontiguousarray(value)).to(self._device) for value in inputs]
            outputs = self._module(*tensors)
        results = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        return tuple(_to_numpy(output) for output in results)


def _to_numpy(output: torch.Tensor) -> NDArray[Any]:
    return np.asarray((output.float() if output.dtype == torch.float16 else output).cpu().numpy())
