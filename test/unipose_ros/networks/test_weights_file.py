"""Our reader and writer of safetensors understand the library's files and the other way round."""

from __future__ import annotations

import contextlib
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unipose_ros.networks.weights import SafetensorsError, read_tensors, write_tensors

TENSORS: dict[str, np.ndarray] = {
    "half": np.arange(6, dtype=np.float16).reshape(2, 3),
    "scalar": np.array(3, np.int64),
    "empty": np.zeros((0, 4), np.float32),
    "flags": np.array([True, False]),
    "transposed": np.arange(6.0).reshape(2, 3).T,
}


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value.dtype == other[name].dtype
        np.testing.assert_array_equal(value, other[name])


def test_what_was_written_is_read() -> None:
    tensors, metadata = read_tensors(write_tensors(TENSORS, {"about": "ä"}))
    same(tensors, TENSORS)
    assert metadata == {"about": "ä"}


def test_the_library_understands_us_and_we_the_library() -> None:
    library = pytest.importorskip("safetensors.numpy")
    contiguous = {name: np.asarray(value, order="C") for name, value in TENSORS.items()}
    same(library.load(write_tensors(TENSORS, {})), TENSORS)
    same(read_tensors(library.save(contiguous, {"a": "b"}))[0], TENSORS)


def packed(header: Any, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(kind: str = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"", "hold no header"),
        (struct.pack("<Q", 2**40), "cut short"),
        (packed([]), "no JSON object"),
        (packed({"a": entry("BF16")}, b"1234"), "of type BF16"),
        (packed({"a": entry(["F32"])}, b"1234"), "of type"),
        (packed({"a": entry(shape=(2,))}, b"1234"), "needs 8 bytes"),
        (packed({"a": entry(shape=(-1,))}, b"1234"), "outside"),
        (packed({"a": entry(offsets=(0, 4))}, b"12"), "outside"),
        (packed({"a": entry(offsets=(0,))}, b"1234"), "nothing usable"),
        (packed({"a": entry(), "b": entry()}, b"1234"), "overlap"),
        (packed({"a": entry()}, b"12345678"), "belong to no tensor"),
        (packed({"__metadata__": {"a": 1}}), "no texts"),
    ],
)
def test_what_is_no_such_file_is_refused(contents: bytes, words: str) -> None:
    with pytest.raises(SafetensorsError, match=words):
        read_tensors(contents)


def test_types_that_the_format_lacks_are_refused() -> None:
    with pytest.raises(SafetensorsError, match="complex"):
        write_tensors({"a": np.zeros(2, complex)}, {})


@given(st.integers(0, 400), st.integers(0, 255))
def test_no_change_of_a_byte_leads_to_another_error(position: int, value: int) -> None:
    contents = bytearray(write_tensors({"a": np.ones((2, 2), np.float32)}, {"k": "v"}))
    contents[position % len(contents)] = value
    with contextlib.suppress(SafetensorsError):
        read_tensors(bytes(contents))
