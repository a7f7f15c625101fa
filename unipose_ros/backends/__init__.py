"""What runs a network: ONNX Runtime, torch or OpenVINO, on the CPU or on CUDA, behind one protocol.

Each is imported when it is first asked for: a robot has one of them.
"""

from __future__ import annotations

import ctypes
import re
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

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


def computes_in_bfloat16() -> bool:
    """Whether the CPU does, and says so as Linux has it."""
    try:
        return any(feature in Path("/proc/cpuinfo").read_text() for feature in ("avx512_bf16", "amx_bf16"))
    except OSError:
        return False


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


_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxBackend:
    """A network from an ONNX file, in ONNX Runtime.

    Args:
        model: the file, or its contents.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: of the CPU for one operation.
        name: what errors call a network that comes from no file.

    Raises:
        BackendError: the device cannot be had, or the file is no network.
    """

    def __init__(self, model: Path | bytes, device: str = "cpu", threads: int = 2, name: str = "the network") -> None:
        import onnxruntime

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


class TorchBackend:
    """A module, run in torch without gradients.

    Args:
        module: takes and returns tensors, or a tuple of them.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: of the CPU for one operation. Torch has one setting for the whole process.
        half: on CUDA, products are taken in 16 bits; sums and what is put out stay in 32.
    """

    def __init__(self, module: torch.nn.Module, device: str = "cpu", threads: int = 2, half: bool = False) -> None:
        import torch

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
        import torch

        precision = torch.autocast(self._device.type, torch.float16) if self._half else nullcontext()
        with torch.inference_mode(), precision:
            tensors = [torch.from_numpy(np.ascontiguousarray(value)).to(self._device) for value in inputs]
            outputs = self._module(*tensors)
        results = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        return tuple(
            np.asarray((each.float() if each.dtype == torch.float16 else each).cpu().numpy()) for each in results
        )


#: Networks are compiled for one shape of their inputs at a time, which is faster; so many are kept.
_KEPT = 8


class OpenVinoBackend:
    """A network from an ONNX file, in OpenVINO on the CPU.

    Where the CPU computes in bfloat16 (AVX-512 BF16, AMX) it is about twice as fast as ONNX Runtime.

    A shape that has not been seen before is compiled for, which takes up to a second: meant for networks whose input
    has few of them.

    Args:
        path: the file.
        threads: of the CPU.
        precision: ``auto``: bfloat16 where the CPU computes in it, else float32.

    Raises:
        BackendError: the file is no network.
    """

    def __init__(self, path: Path, threads: int = 2, precision: str = "auto") -> None:
        import openvino

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
        self._compiling = threading.Lock()
        self._compiled: dict[tuple[tuple[int, ...], ...], tuple[Any, threading.Lock]] = {}
        self._description = f"openvino {openvino.__version__.partition('-')[0]} on cpu, {threads} threads"

    @property
    def description(self) -> str:
        """What runs it and where."""
        return self._description

    def __call__(self, *inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Run once."""
        shapes = tuple(each.shape for each in inputs)
        with self._compiling:
            request, running = self._compiled.get(shapes) or self._compile(shapes)
        # A request takes one call at a time, and its outputs are overwritten by the next one.
        with running:
            results = request.infer([np.ascontiguousarray(each) for each in inputs])
            return tuple(np.asarray(results[output]).copy() for output in request.model_outputs)

    def _compile(self, shapes: tuple[tuple[int, ...], ...]) -> tuple[Any, threading.Lock]:
        model = self._core.read_model(self._contents, b"")
        model.reshape({number: list(shape) for number, shape in enumerate(shapes)})
        if len(self._compiled) >= _KEPT:
            self._compiled.pop(next(iter(self._compiled)))
        request = self._core.compile_model(model, "CPU", self._settings).create_infer_request()
        self._compiled[shapes] = request, threading.Lock()
        return self._compiled[shapes]
