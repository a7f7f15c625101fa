"""What runs a network: ONNX Runtime, torch or OpenVINO, on the CPU or on CUDA, behind one protocol."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

from numpy.typing import NDArray

BACKENDS = ("onnx", "torch", "openvino")
DEVICES = ("cpu", "cuda")
#: CUDA runs networks in half precision, which is torch's part; on the CPU, ONNX Runtime is faster and starts sooner.
_PACKAGES = {"onnx": "onnxruntime", "torch": "torch", "openvino": "openvino"}
_PREFERRED = {"cuda": ("torch", "onnx"), "cpu": ("onnx", "torch")}


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
    """A backend of :data:`BACKENDS` on a device: ``cpu``, ``cuda`` or ``cuda:N``."""

    backend: str
    device: str


def check_device(device: str) -> None:
    """Refuse what is no name of a device; whether the machine has it is another question.

    Raises:
        BackendError: says which names there are.
    """
    if device != "auto" and not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise BackendError(f"device '{device}' is unknown; use auto, cpu, cuda or cuda:N")


def choose_backend(backend: str = "auto", device: str = "auto") -> Choice:
    """Settle what ``auto`` means on this machine. CUDA is preferred to the CPU.

    Args:
        backend: ``onnx``, ``torch``, ``openvino`` or ``auto``, which is one of the first two.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``auto``.

    Raises:
        BackendError: an unknown name, or nothing installed that serves it.
    """
    check_device(device)
    if backend not in (*BACKENDS, "auto"):
        raise BackendError(f"backend '{backend}' is unknown; use auto, {', '.join(BACKENDS[:-1])} or {BACKENDS[-1]}")
    for each_device in ("cuda", "cpu") if device == "auto" else (device,):
        for each in _PREFERRED[device_kind(each_device)] if backend == "auto" else (backend,):
            if _serves(each, each_device):
                return Choice(each, each_device)
    raise BackendError(_remedy(backend, device))


def device_kind(device: str) -> str:
    """``cuda:1`` -> ``cuda``."""
    return device.partition(":")[0]


def device_number(device: str) -> int:
    """``cuda:1`` -> 1; 0 where none is named."""
    return int(device.partition(":")[2] or 0)


def _serves(backend: str, device: str) -> bool:
    """Whether a backend is installed and, for CUDA, finds a usable device."""
    if find_spec(_PACKAGES[backend]) is None:
        return False
    if device == "cpu":
        return True
    if backend == "openvino":
        return False
    # Importing torch takes seconds; without a driver the answer is known before.
    if not _has_cuda_driver():
        return False
    return _onnx_has_cuda() if backend == "onnx" else device_number(device) < _torch_cuda_devices()


def _has_cuda_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def _onnx_has_cuda() -> bool:
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def _torch_cuda_devices() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _remedy(backend: str, device: str) -> str:
    request = f"backend '{backend}' on device '{device}' cannot be had"
    if device_kind(device) == "cuda":
        return (
            f"{request}: no CUDA driver, no such GPU, or no CUDA build of it; "
            "install torch for CUDA or onnxruntime-gpu, or use cpu"
        )
    package = _PACKAGES.get(backend, "onnxruntime (or torch)")
    return f"{request}: install {package}, or use backend auto"
