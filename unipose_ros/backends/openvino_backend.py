"""Networks in OpenVINO: on CPUs that compute in bfloat16 (AVX-512 BF16, AMX) about twice as fast as ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from unipose_ros.backends import BackendError

#: Networks are compiled for one shape of their inputs at a time, which is faster; so many are kept.
_KEPT = 8


class OpenVinoBackend:
    """A network from an ONNX file, on the CPU.

    A shape that has not been seen before is compiled for, which takes up to a second: meant for networks whose input
    always has the same one.

    Args:
        path: the file.
        threads: of the CPU.
        precision: ``auto``: bfloat16 where the CPU computes in it, else float32.

    Raises:
        BackendError: the file is no network.
    """

    def __init__(self, path: Path, threads: int = 2, precision: str = "auto") -> None:
        self._core = openvino.Core()
        # With the default, performance, OpenVINO takes bfloat16 where the CPU has it.
        hints = {} if precision == "auto" else {"INFERENCE_PRECISION_HINT": precision}
        self._settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY", **hints}
        try:
            # Its bytes, not its name, which may be in an encoding that openvino does not take.
            self._contents = path.read_bytes()
            self._core.read_model(self._contents, b"")
        except Exception as error:  # openvino has no class of its own for its errors
            raise BackendError(f"{path} cannot be loaded by openvino ({error})") from error
        self._compiled: dict[tuple[tuple[int, ...], ...], Any] = {}
        self._description = f"openvino {openvino.__version__.partition('-')[0]} on cpu, {threads} threads"

    @property
    def description(self) -> str:
        """What runs it and where."""
        return self._description

    def __call__(self, *inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Run once."""
        shapes = tuple(each.shape for each in inputs)
        request = self._compiled.get(shapes)
        if request is None:
            request = self._compile(shapes)
        results = request.infer([np.ascontiguousarray(each) for each in inputs])
        return tuple(np.asarray(results[output]).copy() for output in request.model_outputs)

    def _compile(self, shapes: tuple[tuple[int, ...], ...]) -> Any:
        model = self._core.read_model(self._contents, b"")
        model.reshape({number: list(shape) for number, shape in enumerate(shapes)})
        if len(self._compiled) >= _KEPT:
            self._compiled.pop(next(iter(self._compiled)))
        self._compiled[shapes] = self._core.compile_model(model, "CPU", self._settings).create_infer_request()
        return self._compiled[shapes]
