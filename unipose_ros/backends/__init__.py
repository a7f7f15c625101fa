"""What runs a network: ONNX Runtime or torch, on the CPU or on CUDA, behind one protocol."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

from numpy.typing import NDArray

BACKENDS = ("onnx", "torch")
DEVICES = ("cpu", "cuda")


class BackendError(RuntimeError):
    """The backend or device asked for cannot be had; the text says what to install or to ask for instead."""


class Backend(Protocol):
    """A loaded network."""

    @property
    def description(self) -> str:
        """What runs it and where, for logs and diagnostics."""
        ...

    def __call__(self, *inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """The network's inputs in their order -> its outputs in theirs."""
        ...


@dataclass(frozen=True)
class Choice:
    """A backend of :data:`BACKENDS` on a device of :data:`DEVICES`."""

    backend: str
    device: str


def choose_backend(backend: str = "auto", device: str = "auto") -> Choice:
    """Settle what ``auto`` means on this machine.

    CUDA is preferred to the CPU. On the CPU, ONNX Runtime is preferred to torch: it is faster
    there and starts sooner.

    Raises:
        BackendError: an unknown name, or nothing installed that serves it.
    """
    for name, value, known in (("backend", backend, BACKENDS), ("device", device, DEVICES)):
        if value not in (*known, "auto"):
            raise BackendError(f"{name} '{value}' is unknown; use auto, {' or '.join(known)}")
    backends = BACKENDS if backend == "auto" else (backend,)
    devices = ("cuda", "cpu") if device == "auto" else (device,)
    for each_device in devices:
        for each in backends:
            if _serves(each, each_device):
                return Choice(each, each_device)
    raise BackendError(_remedy(backend, device))


def _serves(backend: str, device: str) -> bool:
    """Whether a backend is installed and, for CUDA, finds a usable device."""
    if find_spec("onnxruntime" if backend == "onnx" else "torch") is None:
        return False
    # Importing torch takes seconds; without a driver the answer is known before.
    return device == "cpu" or (_has_cuda_driver() and (_onnx_has_cuda() if backend == "onnx" else _torch_has_cuda()))


def _has_cuda_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def _onnx_has_cuda() -> bool:
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def _torch_has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _remedy(backend: str, device: str) -> str:
    asked = f"backend '{backend}' on device '{device}' cannot be had"
    if device == "cuda":
        return f"{asked}: no CUDA driver, or no CUDA build of it; install onnxruntime-gpu or torch for CUDA, or use cpu"
    package = {"onnx": "onnxruntime", "torch": "torch"}.get(backend, "onnxruntime (or torch)")
    return f"{asked}: install {package}, or use backend auto"
