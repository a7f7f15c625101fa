"""Trained networks: from a weights file into a backend."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from unipose_ros.backends import Backend, BackendError, choose_backend, device_kind
from unipose_ros.files import atomic_path, describe_os_error, exclusive, file_sha256, write_atomic
from unipose_ros.networks.registry import get_spec, load_network
from unipose_ros.networks.weights import ModelCard, load_weights
from unipose_ros.resources import cache_dir

if TYPE_CHECKING:
    import torch

    from unipose_ros.networks.export import Exportable

_log = logging.getLogger(__name__)

#: ONNX Runtime and torch may differ by this part of the largest number that an output holds.
TOLERANCE = 1e-4
_PACKAGE = Path(__file__).resolve().parents[1]
#: What the networks are built of.
_SOURCES = (*sorted((_PACKAGE / "networks").glob("*.py")), _PACKAGE / "geometry" / "covariance.py")


@dataclass(frozen=True, eq=False)
class LoadedNetwork:
    """A network that is ready to run.

    Attributes:
        run: takes batches of any size.
        record: what the weights file says about it.
        device: where it runs.
    """

    run: Backend
    record: ModelCard
    device: str = "cpu"


def load_for_inference(
    path: Path, name: str, backend: str = "auto", device: str = "auto", threads: int = 2
) -> LoadedNetwork:
    """Load a network of :data:`unipose_ros.networks.registry.NETWORKS`.

    On CUDA it runs in half precision. ONNX Runtime gets a file that is exported once and kept in the cache.

    Raises:
        WeightsError: the file is absent, damaged, of another network, or does not fit this version.
        BackendError: the backend or device asked for is not there, or ONNX Runtime gets other numbers than torch.
    """
    choice = choose_backend(backend, device)
    if choice.backend == "torch":
        from unipose_ros.backends.torch_backend import TorchBackend

        module, record = load_network(path, name)
        run: Backend = TorchBackend(module, choice.device, threads, half=device_kind(choice.device) == "cuda")
    else:
        from unipose_ros.backends.onnx_backend import OnnxBackend

        _, record = load_weights(path, name)
        run = OnnxBackend(_onnx_file(path, name, record), choice.device, threads)
    _log.info("%s of %s runs with %s", name, path, run.description)
    return LoadedNetwork(run, record, choice.device)


def _onnx_file(path: Path, name: str, record: ModelCard) -> Path:
    """The exported network in the cache; made if it is not there, or is not what was put there.

    A checksum lies beside it: most damage to such a file leaves a network that runs and gives other numbers.
    """
    try:
        target = cache_dir() / "onnx" / f"{name}-{_key(record)}.onnx"
        if _is_intact(target):
            return target
        with exclusive(cache_dir(), "exporting a network", wait=True):
            if not _is_intact(target):  # another process may have made it in the meantime
                _log.info("exporting %s for ONNX Runtime, once, to %s", name, target)
                export_to_cache(path, name, target)
                write_atomic(_checksum_file(target), f"{file_sha256(target)}  {target.name}\n")
    except OSError as error:
        raise BackendError(
            f"the cache cannot be used: {describe_os_error(error)}; set UNIPOSE_CACHE or --output, or use backend torch"
        ) from error
    return target


def _checksum_file(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _is_intact(target: Path) -> bool:
    """Whether the file is there with the contents that were written."""
    if not target.is_file():
        return False
    try:
        recorded = _checksum_file(target).read_text(encoding="utf-8", errors="replace").split()
        intact = recorded[:1] == [file_sha256(target)]
    except OSError as error:
        _log.warning("%s cannot be checked (%s); it is exported again", target, error.strerror)
        return False
    if not intact:
        _log.warning("%s is damaged: it does not have its sha256; it is exported again", target)
    return intact


def _key(record: ModelCard) -> str:
    """Changes with the weights, with the network's sizes, and with the code that builds it."""
    digest = hashlib.sha256(record.sha256.encode() + json.dumps(dict(record.config), sort_keys=True).encode())
    for source in _SOURCES:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:20]


def export_to_cache(path: Path, name: str, target: Path) -> ModelCard:
    """Write an ONNX file at once or not at all, and only if it gives torch's numbers; returns the weights' record.

    Args:
        path: weights of the network.
        name: of the network.
        target: file to be written; its folder is made.

    Raises:
        WeightsError: the weights are absent, damaged or of another network.
        BackendError: torch is not there, the network cannot be exported, ONNX Runtime gets other numbers, or the
            file cannot be written.
    """
    try:
        import torch  # noqa: F401  # the export needs it; without it the reason is better said here
    except ImportError as error:
        raise BackendError(
            f"an intact {name} is not in {target.parent}, and only torch can put it there: install torch, or copy "
            f"{target.name} and {_checksum_file(target).name} from a machine that has them"
        ) from error
    from unipose_ros.networks.export import export_onnx

    if not get_spec(name).exported:
        raise BackendError(f"{name} cannot be exported for ONNX Runtime; use backend torch")
    module, record = load_network(path, name)
    try:
        with atomic_path(target) as part:
            export_onnx(module, part)
            _compare(module, part, cast("Exportable", module).example_input(3), name)
    except OSError as error:
        reason = describe_os_error(error)
        raise BackendError(
            f"{target} cannot be written: {reason}; set UNIPOSE_CACHE or --output, or use backend torch"
        ) from error
    return record


def _compare(module: torch.nn.Module, path: Path, example: torch.Tensor, name: str) -> None:
    import torch

    from unipose_ros.backends.onnx_backend import OnnxBackend

    with torch.inference_mode():
        outputs = module(example)
    expected = outputs if isinstance(outputs, tuple) else (outputs,)
    found = OnnxBackend(path, "cpu", 1)(example.numpy())
    difference = max(_difference(one.numpy(), other) for one, other in zip(expected, found, strict=True))
    if not difference <= TOLERANCE:
        raise BackendError(
            f"ONNX Runtime's {name} differs from torch's by {difference:.2g} of its largest number, {TOLERANCE} are "
            "allowed; use backend torch"
        )


def _difference(expected: NDArray[Any], found: NDArray[Any]) -> float:
    return float(np.abs(expected - found).max() / max(float(np.abs(expected).max()), 1e-6))
