"""Networks in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from unipose_ros.backends import BackendError, device_kind, device_number

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxBackend:
    """A network from an ONNX file.

    Args:
        model: the file, or its contents.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: of the CPU for one operation.
        name: what errors call a network that comes from no file.

    Raises:
        BackendError: the device cannot be had, or the file is no network.
    """

    def __init__(self, model: Path | bytes, device: str = "cpu", threads: int = 2, name: str = "the network") -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that spin while they wait are a little faster, but take a core from the rest of the robot.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        provider = _PROVIDERS[device_kind(device)]
        settings = {"device_id": str(device_number(device))} if device_kind(device) == "cuda" else {}
        try:
            # Its bytes, not its name, which may be in an encoding that onnxruntime does not take.
            contents = model if isinstance(model, bytes) else model.read_bytes()
            self._session = onnxruntime.InferenceSession(contents, options, providers=[(provider, settings)])
        except Exception as error:  # onnxruntime has no common base class for its errors
            what = name if isinstance(model, bytes) else str(model)
            raise BackendError(f"{what} cannot be loaded by onnxruntime ({error})") from error
        if provider not in self._session.get_providers():
            raise BackendError(f"onnxruntime cannot use {device} (CUDA or cuDNN libraries missing?); use device cpu")
        self._inputs = [each.name for each in self._session.get_inputs()]
        #: The file; the name of a network that comes from none.
        self.path = Path(name) if isinstance(model, bytes) else model
        #: Sides of the inputs and of the outputs; ``None`` for one that may have any length.
        self.input_shapes = [_shape(each.shape) for each in self._session.get_inputs()]
        self.output_shapes = [_shape(each.shape) for each in self._session.get_outputs()]
        #: What the file says of itself.
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self._description = f"onnxruntime {onnxruntime.__version__} on {device}, {threads} threads"

    @property
    def description(self) -> str:
        """What runs it and where."""
        return self._description

    def __call__(self, *inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Run once."""
        fed = {name: np.ascontiguousarray(value) for name, value in zip(self._inputs, inputs, strict=True)}
        return tuple(self._session.run(None, fed))


def _shape(sides: list[int | str | None]) -> tuple[int | None, ...]:
    """Names of free sides are of no use here."""
    return tuple(side if isinstance(side, int) else None for side in sides)
