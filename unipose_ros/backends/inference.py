"""Trained networks: from a weights file into a backend."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from unipose_ros.backends import Backend, BackendError, OnnxBackend, TorchBackend, choose_backend, device_kind
from unipose_ros.files import atomic_path, describe_os_error, exclusive, file_sha256, write_atomic
from unipose_ros.networks.graphs import Graph, find_graph, source_sha256
from unipose_ros.networks.registry import load_network, source_module
from unipose_ros.networks.weights import ModelCard, Tensors, WeightsError, load_weights
from unipose_ros.resources import cache_dir

if TYPE_CHECKING:
    import torch

    from unipose_ros.networks.export import Exportable

_log = logging.getLogger(__name__)

#: OpenVINO gains something with the 2D network alone: these are small, and their numbers of people change.
_BESIDE = {"openvino": "onnx"}
#: ONNX Runtime and torch may differ by this part of the largest number that an output holds.
TOLERANCE = 1e-4
#: Characters of an exporter's reason that are shown; some print whole tensors.
_LONGEST_REASON = 300


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

    def warm_up(self, batch: NDArray[Any]) -> None:
        """Run once, before the first frame.

        Raises:
            WeightsError: what comes out is not finite: with numbers that overflow no person would ever be found.
        """
        outputs = self.run(batch)
        # In half precision a batch of zeros is no proof.
        if device_kind(self.device) == "cpu" and not all(np.isfinite(output).all() for output in outputs):
            raise WeightsError(
                f"network '{self.record.network}' puts out NaN or infinity: its weights are far too large or damaged; "
                "fetch or train them again"
            )


def load_for_inference(
    path: Path, name: str, backend: str = "auto", device: str = "auto", threads: int = 2
) -> LoadedNetwork:
    """Load a network of :data:`unipose_ros.networks.registry.NETWORKS`.

    On CUDA it runs in half precision. With backend ``openvino`` it is ONNX Runtime that runs it. ONNX Runtime gets the
    shipped graph with the file's tensors in it (:mod:`unipose_ros.networks.graphs`), which needs no torch; a network
    of sizes that have no graph is exported once and kept in the cache. Where that cannot be done, backend ``auto``
    takes torch.

    Raises:
        WeightsError: the file is absent, damaged, of another network, or does not fit this version.
        BackendError: the backend or device asked for is not there, or ONNX Runtime gets other numbers than torch.
    """
    choice = choose_backend(_BESIDE.get(backend, backend), device)
    if choice.backend == "onnx":
        try:
            return _in_onnxruntime(path, name, choice.device, threads)
        except BackendError as error:
            if backend != "auto" or find_spec("torch") is None:
                raise
            _log.warning("%s runs in torch, for ONNX Runtime cannot run it: %s", name, error)
    return _in_torch(path, name, choice.device, threads)


def _in_torch(path: Path, name: str, device: str, threads: int) -> LoadedNetwork:
    module, record = load_network(path, name)
    run = TorchBackend(module, device, threads, half=device_kind(device) == "cuda")
    return _told(LoadedNetwork(run, record, device), path)


def _in_onnxruntime(path: Path, name: str, device: str, threads: int) -> LoadedNetwork:
    tensors, record = load_weights(path, name)
    model = _model(tensors, record) or _onnx_file(path, name, record)
    return _told(LoadedNetwork(OnnxBackend(model, device, threads, str(path)), record, device), path)


def _told(loaded: LoadedNetwork, path: Path) -> LoadedNetwork:
    _log.info("%s of %s runs with %s", loaded.record.network, path, loaded.run.description)
    return loaded


def _model(tensors: Tensors, record: ModelCard) -> bytes | None:
    """The shipped graph with these tensors; ``None`` where it has to be exported anew."""
    graph = find_graph(record.network, record.config)
    if graph is None or _is_outdated(graph):
        return None
    return graph.model(tensors)


def _is_outdated(graph: Graph) -> bool:
    """Whether the network's code was changed after its graph was made, and can be exported here."""
    if graph.sources == source_sha256(source_module(graph.network)) or find_spec("torch") is None:
        return False
    _log.info("the graph of %s is older than its code; `unipose export --graphs` makes it anew", graph.network)
    return True


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
    digest.update(source_sha256(source_module(record.network)).encode())
    return digest.hexdigest()[:20]


def export_network(path: Path, name: str, target: Path) -> ModelCard:
    """Write a network as an ONNX file: its shipped graph with its tensors, else an export by torch.

    Raises:
        WeightsError, BackendError: as :func:`export_to_cache`.
    """
    tensors, record = load_weights(path, name)
    model = _model(tensors, record)
    if model is None:
        return export_to_cache(path, name, target)
    try:
        write_atomic(target, model)
    except OSError as error:
        raise BackendError(
            f"{target} cannot be written: {describe_os_error(error)}; choose another --output"
        ) from error
    return record


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
        import onnx  # noqa: F401  # torch's exporter needs it; without it the refusal here is clearer
        import torch  # noqa: F401
    except ImportError as error:
        raise BackendError(
            f"'{name}' of these sizes has no shipped graph, and its export needs {error.name}: pip install torch onnx, "
            f"or copy {target.name} and {_checksum_file(target).name} to {target.parent} from a machine that has them"
        ) from error
    from unipose_ros.networks.export import export_onnx

    module, record = load_network(path, name)
    try:
        # The exporter opens no files whose names are not UTF-8.
        with TemporaryDirectory() as folder, atomic_path(target) as part:
            made = Path(folder, "network.onnx")
            export_onnx(module, made)
            _compare(module, made, cast("Exportable", module).example_input(3), name)
            shutil.copyfile(made, part)
    except OSError as error:
        reason = describe_os_error(error)
        raise BackendError(
            f"{target} cannot be written: {reason}; set UNIPOSE_CACHE or --output, or use backend torch"
        ) from error
    except BackendError:
        raise
    except (ImportError, RuntimeError, TypeError, ValueError) as error:  # whatever torch's exporter runs into
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_REASON]
        raise BackendError(f"{name} cannot be exported ({reason}); use backend torch") from error
    return record


def _compare(module: torch.nn.Module, path: Path, example: torch.Tensor, name: str) -> None:
    import torch

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
