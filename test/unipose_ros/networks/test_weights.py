from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save as save_torch

from unipose_ros.networks.weights import (
    ModelCard,
    WeightsError,
    fill_module,
    load_weights,
    save_weights,
    tensors_sha256,
)

TENSORS = {"weight": np.arange(6, dtype=np.float16).reshape(2, 3), "bias": np.ones(2, np.float32)}
RECORD = ModelCard("lifter", {"width": 8}, "itop15", "(N, 3) float32", "synthetic", "Apache-2.0", {"mpjpe": 0.05})


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    save_weights(path, TENSORS, RECORD)
    return path


def test_what_was_saved_is_loaded(stored: Path) -> None:
    tensors, record = load_weights(stored, "lifter")
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == TENSORS[name].dtype
        np.testing.assert_array_equal(tensor, TENSORS[name])
    assert record.config == {"width": 8}
    assert record.metrics == {"mpjpe": 0.05}
    assert record.sha256 == tensors_sha256(TENSORS)


def test_saving_leaves_nothing_else(stored: Path) -> None:
    assert [path.name for path in stored.parent.iterdir()] == [stored.name]


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere\.safetensors is not there"):
        load_weights(tmp_path / "nowhere.safetensors", "lifter")


def test_other_network(stored: Path) -> None:
    with pytest.raises(WeightsError, match="of 'lifter', not of 'points'"):
        load_weights(stored, "points")


@pytest.mark.parametrize("kept", [0, 4, 40, -1])
def test_truncated_file(stored: Path, kept: int) -> None:
    stored.write_bytes(stored.read_bytes()[:kept])
    with pytest.raises(WeightsError, match="no complete safetensors file"):
        load_weights(stored, "lifter")


def test_one_changed_bit(stored: Path) -> None:
    contents = bytearray(stored.read_bytes())
    contents[-1] ^= 1
    stored.write_bytes(contents)
    with pytest.raises(WeightsError, match="damaged"):
        load_weights(stored, "lifter")


class Malicious:
    """Unpickling this creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_pickles_are_refused_unopened(tmp_path: Path, writer: str) -> None:
    trace, path = tmp_path / "executed", tmp_path / "weights.safetensors"
    if writer == "pickle":
        path.write_bytes(pickle.dumps(Malicious(trace)))
    else:
        torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="is a pickle"):
        load_weights(path, "lifter")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "no unipose record"),
        ({"unipose": "{"}, "cannot be read"),
        ({"unipose": json.dumps({"network": "lifter"})}, "cannot be read"),
        ({"unipose": "[]"}, "cannot be read"),
    ],
)
def test_records_that_cannot_be_read(tmp_path: Path, metadata: dict[str, str] | None, message: str) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(TENSORS, path, metadata=metadata)
    with pytest.raises(WeightsError, match=message):
        load_weights(path, "lifter")


def _changed_header(path: Path, change: Callable[[dict[str, str]], object]) -> None:
    """Change the metadata of a file; its tensors stay."""
    contents = path.read_bytes()
    (length,) = struct.unpack_from("<Q", contents)
    header = json.loads(contents[8 : 8 + length])
    change(header["__metadata__"])
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + contents[8 + length :])


@pytest.mark.parametrize(
    ("field", "value"),
    [("config", {"width": 9}), ("joint_set", "coco17"), ("metrics", {"mpjpe": 0.01}), ("license", "none"),
     ("training_data", "other"), ("input", "millimeters")],
)  # fmt: skip
def test_an_altered_record_is_refused(stored: Path, field: str, value: object) -> None:
    def alter(metadata: dict[str, str]) -> None:
        metadata["unipose"] = json.dumps({**json.loads(metadata["unipose"]), field: value}, sort_keys=True)

    _changed_header(stored, lambda metadata: None)
    load_weights(stored, "lifter")
    _changed_header(stored, alter)
    with pytest.raises(WeightsError, match="damaged"):
        load_weights(stored, "lifter")


def test_a_record_without_its_checksum_is_refused(stored: Path) -> None:
    _changed_header(stored, lambda metadata: metadata.pop("unipose_sha256"))
    with pytest.raises(WeightsError, match="no checksum"):
        load_weights(stored, "lifter")
    tensors, _ = load_weights(stored, "lifter", verified=True)
    assert tensors.keys() == TENSORS.keys()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    path = tmp_path / "weights.safetensors"
    bias = np.array([1, value], np.float16)
    save_weights(path, TENSORS | {"bias": bias}, RECORD)
    with pytest.raises(WeightsError, match="'bias' holds NaN or infinity"):
        load_weights(path, "lifter")


def test_types_that_numpy_has_not_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(save_torch({"weight": torch.zeros(3, dtype=torch.bfloat16)}, metadata={"unipose": "{}"}))
    with pytest.raises(WeightsError, match=r"no complete safetensors file|cannot be read"):
        load_weights(path, "lifter")


@pytest.mark.parametrize("folder", ["caf\udce9", "ünï", "a:b"])
def test_any_name_of_a_file(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "weights.safetensors"
    save_weights(path, TENSORS, RECORD)
    assert load_weights(path, "lifter")[1].network == "lifter"


@pytest.mark.parametrize(("field", "value"), [("network", ""), ("joint_set", None), ("config", "{}"), ("metrics", 1)])
def test_record_fields_are_checked(field: str, value: object) -> None:
    fields = {"network": "n", "config": {}, "joint_set": "", "input": "", "training_data": "", "license": ""}
    with pytest.raises(WeightsError, match=field):
        ModelCard(**(fields | {field: value}))


def test_checksum_sees_names_shapes_types_and_values() -> None:
    values = np.zeros((2, 3), np.float32)
    variants = [{"a": values}, {"b": values}, {"a": values.T}, {"a": values.astype(np.int32)}, {"a": values + 1}]
    assert len({tensors_sha256(each) for each in variants}) == len(variants)


def test_module_is_filled_exactly() -> None:
    module = torch.nn.Linear(3, 2)
    fill_module(module, TENSORS)
    np.testing.assert_array_equal(module.weight.detach().numpy(), TENSORS["weight"].astype(np.float32))
    assert module.weight.dtype == torch.float32


@pytest.mark.parametrize(
    "tensors",
    [
        {"weight": TENSORS["weight"]},
        TENSORS | {"extra": np.zeros(1, np.float32)},
        TENSORS | {"bias": np.zeros(3, np.float32)},
    ],
    ids=["missing", "left over", "shape"],
)
def test_tensors_that_do_not_fit(tensors: dict[str, np.ndarray]) -> None:
    with pytest.raises(WeightsError, match="1 tensors do not fit Linear"):
        fill_module(torch.nn.Linear(3, 2), tensors)
