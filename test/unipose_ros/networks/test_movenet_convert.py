from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unipose_ros.networks.movenet.convert import read_tfjs_weights
from unipose_ros.networks.weights import WeightsError

HALF = {"name": "half", "shape": [2, 1], "dtype": "float32", "quantization": {"dtype": "float16"}}
INT = {"name": "int", "shape": [], "dtype": "int32"}
FLOAT = {"name": "float", "shape": [3], "dtype": "float32"}
CONTENTS = np.array([1.5, -2], "<f2").tobytes() + np.int32(7).tobytes() + np.array([1, 2, 3], "<f4").tobytes()


def write(folder: Path, entries: list[dict[str, Any]], contents: bytes) -> Path:
    """A model whose contents are cut into two shards in the middle of a tensor."""
    (folder / "a.bin").write_bytes(contents[:3])
    (folder / "b.bin").write_bytes(contents[3:])
    path = folder / "model.json"
    path.write_text(json.dumps({"weightsManifest": [{"paths": ["a.bin", "b.bin"], "weights": entries}]}))
    return path


def test_all_types_across_shards(tmp_path: Path) -> None:
    weights = read_tfjs_weights(write(tmp_path, [HALF, INT, FLOAT], CONTENTS))
    assert weights["half"].dtype == np.float16
    np.testing.assert_array_equal(weights["half"], [[1.5], [-2]])
    assert weights["int"] == 7
    np.testing.assert_array_equal(weights["float"], [1, 2, 3])


@pytest.mark.parametrize(
    ("contents", "message"), [(CONTENTS[:-1], "end within 'float'"), (CONTENTS + b"12", "2 bytes are left over")]
)
def test_shards_of_the_wrong_length(tmp_path: Path, contents: bytes, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        read_tfjs_weights(write(tmp_path, [HALF, INT, FLOAT], contents))


def test_scaled_quantization_is_refused(tmp_path: Path) -> None:
    entry = {"name": "w", "shape": [1], "dtype": "float32", "quantization": {"dtype": "uint8", "scale": 0.1, "min": 0}}
    with pytest.raises(WeightsError, match="'w' is stored as uint8"):
        read_tfjs_weights(write(tmp_path, [entry], b"1234"))


@pytest.mark.parametrize("text", ["", "[]", "{}", "{"])
def test_no_model(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.json"
    path.write_text(text)
    with pytest.raises(WeightsError, match="no TFJS graph model"):
        read_tfjs_weights(path)
