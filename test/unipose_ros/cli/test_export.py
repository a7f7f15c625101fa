"""Trained networks as files for other runtimes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from unipose_ros.cli.export import main
from unipose_ros.networks.registry import load_network
from unipose_ros.resources import resource_path

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.mark.parametrize(
    ("network", "shape", "folder"), [("points", (1, 1024, 3), "a"), ("depth", (1, 96, 96), os.fsdecode(b"\xff"))]
)
def test_any_runtime_gets_torchs_numbers(network: str, shape: tuple[int, ...], folder: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / folder / f"{network}.onnx"
    assert main([network, "--output", str(path)]) == 0
    example = np.random.default_rng(0).normal(0, 0.3, (3, *shape)).astype(np.float32)
    found = onnxruntime.InferenceSession(path.read_bytes()).run(None, {"input": example})
    with torch.inference_mode():
        expected = load_network(resource_path("weights", f"{network}.safetensors"), network)[0](torch.tensor(example))
    assert np.abs(found[0] - expected[0].numpy()).max() <= 1e-4 * np.abs(found[0]).max()


def test_what_cannot_be_exported_is_refused_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    assert main(["points", "--weights", str(broken), "--output", str(tmp_path / "out.onnx")]) == 1
    assert str(broken) in capsys.readouterr().err
    assert not (tmp_path / "out.onnx").exists()


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["points", "--output", str(tmp_path / "file" / "out.onnx")]) == 1
    assert "cannot be written" in capsys.readouterr().err
