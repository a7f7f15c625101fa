from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch

import unipose_ros.backends as backends
import unipose_ros.detection.movenet as movenet
from unipose_ros.backends import BackendError, Choice, OnnxBackend, OpenVinoBackend, TorchBackend, choose_backend


class Affine(torch.nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return 2 * x.float() + 1, y - x


def write_onnx(path: Path, *inputs: torch.Tensor) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated
        torch.onnx.export(Affine(), inputs, str(path), dynamo=False)
    return path


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A machine of which the test says what it has."""
    has = {"onnxruntime": True, "torch": True, "openvino": False, "driver": False, "onnx cuda": False, "torch cuda": 0}
    monkeypatch.setattr(backends, "find_spec", lambda name: object() if has[name] else None)
    monkeypatch.setattr(backends, "_has_cuda_driver", lambda: has["driver"])
    monkeypatch.setattr(backends, "_onnx_has_cuda", lambda: has["onnx cuda"])
    monkeypatch.setattr(backends, "_torch_cuda_devices", lambda: has["torch cuda"])
    return has


@pytest.mark.parametrize(
    ("installed", "bfloat16", "asked", "expected"),
    [
        (True, True, "auto", "openvino"),
        (True, False, "auto", "onnx"),
        (False, True, "auto", "onnx"),
        (True, True, "onnx", "onnx"),
        (True, False, "openvino", "openvino"),
    ],
)
def test_movenet_takes_openvino_where_it_is_installed_and_the_cpu_computes_in_bfloat16(
    machine: dict[str, int], monkeypatch: pytest.MonkeyPatch, installed: bool, bfloat16: bool, asked: str, expected: str
) -> None:
    machine["openvino"] = installed
    taken = []

    def runner(name: str) -> Callable[..., SimpleNamespace]:
        return lambda *_: taken.append(name) or SimpleNamespace(description=name)

    monkeypatch.setattr(movenet, "find_spec", lambda name: object() if machine[name] else None)
    monkeypatch.setattr(movenet, "computes_in_bfloat16", lambda: bfloat16)
    monkeypatch.setattr(movenet, "verified_file", Path)
    monkeypatch.setattr(movenet, "_RUNNERS", {name: runner(name) for name in backends.BACKENDS})
    movenet.load_movenet(asked)
    assert taken == [expected]


@pytest.mark.parametrize(
    ("present", "asked", "expected"),
    [
        ({}, ("auto", "auto"), Choice("onnx", "cpu")),
        ({}, ("torch", "auto"), Choice("torch", "cpu")),
        ({"onnxruntime": False}, ("auto", "auto"), Choice("torch", "cpu")),
        ({"torch cuda": 2}, ("auto", "auto"), Choice("onnx", "cpu")),
        ({"driver": True, "torch cuda": 2}, ("auto", "auto"), Choice("torch", "cuda")),
        ({"driver": True, "torch cuda": 2}, ("auto", "cpu"), Choice("onnx", "cpu")),
        ({"driver": True, "torch cuda": 2}, ("onnx", "auto"), Choice("onnx", "cpu")),
        ({"driver": True, "torch cuda": 2, "onnx cuda": True}, ("auto", "cuda"), Choice("torch", "cuda")),
        ({"driver": True, "onnx cuda": True}, ("auto", "auto"), Choice("onnx", "cuda")),
        ({"driver": True, "torch cuda": 2}, ("auto", "cuda:1"), Choice("torch", "cuda:1")),
        ({"openvino": True}, ("auto", "auto"), Choice("onnx", "cpu")),
        ({"openvino": True, "driver": True}, ("openvino", "auto"), Choice("openvino", "cpu")),
    ],
)
def test_choice(machine: dict[str, int], present: dict[str, int], asked: tuple[str, str], expected: Choice) -> None:
    machine.update(present)
    assert choose_backend(*asked) == expected


@pytest.mark.parametrize(
    ("absent", "asked", "message"),
    [
        ((), ("auto", "cuda"), "no CUDA driver.*or use cpu"),
        ((), ("onnx", "cuda"), "backend 'onnx' on device 'cuda'"),
        ((), ("openvino", "cpu"), "install openvino"),
        (("onnxruntime",), ("onnx", "auto"), "install onnxruntime"),
        (("onnxruntime", "torch"), ("auto", "auto"), "install onnxruntime"),
        ((), ("tensorrt", "auto"), "backend 'tensorrt' is unknown; use auto, onnx, torch or openvino"),
        ((), ("auto", "tpu"), "device 'tpu' is unknown; use auto, cpu, cuda or cuda:N"),
        ((), ("auto", "cuda:"), "device 'cuda:' is unknown"),
    ],
)
def test_what_cannot_be_had(
    machine: dict[str, int], absent: tuple[str, ...], asked: tuple[str, str], message: str
) -> None:
    machine.update(dict.fromkeys(absent, False))
    with pytest.raises(BackendError, match=message):
        choose_backend(*asked)


def test_a_gpu_that_the_machine_does_not_have(machine: dict[str, int]) -> None:
    machine.update({"driver": True, "torch cuda": 2})
    with pytest.raises(BackendError, match=r"on device 'cuda:2' cannot be had.*no such GPU"):
        choose_backend("auto", "cuda:2")


def test_both_run_the_same(tmp_path: Path) -> None:
    x, y = np.arange(6, dtype=np.uint8).reshape(2, 3), np.full((2, 3), 9, np.uint8)
    path = write_onnx(tmp_path / "affine.onnx", torch.from_numpy(x), torch.from_numpy(y))
    for backend in (OnnxBackend(path), TorchBackend(Affine())):
        outputs = backend(x.T.copy().T, y)  # not contiguous
        assert isinstance(outputs, tuple)
        np.testing.assert_array_equal(outputs[0], 2.0 * x + 1)
        np.testing.assert_array_equal(outputs[1], y - x)
        assert "cpu" in backend.description


def test_a_damaged_onnx_file(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    with pytest.raises(BackendError, match=r"bad\.onnx cannot be loaded"):
        OnnxBackend(tmp_path / "bad.onnx")


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_onnxruntime_falling_back_silently_is_an_error(tmp_path: Path) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    path = write_onnx(tmp_path / "affine.onnx", torch.zeros(1), torch.zeros(1))
    with pytest.raises(BackendError, match="cannot use cuda"):
        OnnxBackend(path, "cuda")


def test_torch_takes_a_single_output_too() -> None:
    (output,) = TorchBackend(torch.nn.ReLU())(np.array([-1.0, 2.0], np.float32))
    np.testing.assert_array_equal(output, [0.0, 2.0])


def test_openvino_gives_the_same_in_single_precision(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    path = tmp_path / "mix.onnx"
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(3, 4, 3, padding=1).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        free = {"image": {2: "height", 3: "width"}}
        names = {"input_names": ["image"], "output_names": ["maps"]}
        torch.onnx.export(layer, (torch.zeros(1, 3, 8, 8),), str(path), dynamo=False, dynamic_axes=free, **names)
    backend, reference = OpenVinoBackend(path, 1, "f32"), OnnxBackend(path, threads=1)
    for size in ((16, 24), (8, 40), (16, 24)):
        image = np.random.default_rng(0).normal(size=(1, 3, *size)).astype(np.float32)
        np.testing.assert_allclose(backend(image)[0], reference(image)[0], atol=1e-5)
    assert "openvino" in backend.description
    # Live frames and whole images beside them are seen at once, in two threads.
    images = [np.full((1, 3, 16, 16 + 8 * (number % 2)), number, np.float32) for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(backend, images))
    for image, (found,) in zip(images, together, strict=True):
        np.testing.assert_allclose(found, reference(image)[0], atol=1e-4)


def test_a_file_that_openvino_cannot_read(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    with pytest.raises(BackendError, match=r"bad\.onnx cannot be loaded"):
        OpenVinoBackend(tmp_path / "bad.onnx")
