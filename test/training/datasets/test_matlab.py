"""MATLAB's files, which SciPy writes here: the same arrays as SciPy reads, and one error for damaged ones."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from unipose_training.datasets.matlab import read_mat
from unipose_training.errors import DataError

RNG = np.random.default_rng(0)
CELLS = np.empty((2, 2), object)
CELLS[:] = [[np.arange(6.0).reshape(2, 3), np.zeros((0, 0))], [np.float32([[1, 2]]), np.uint8([[7]])]]
VARIABLES = {
    "poses": RNG.normal(size=(4, 15, 3)),
    "depth": RNG.integers(0, 4000, (6, 5)).astype(np.uint16),
    "one": np.int8([[-3]]),
    "flags": np.array([[True, False]]),
    "cells": CELLS,
}


def write(path: Path, compressed: bool, **more: object) -> Path:
    scipy.io.savemat(path, {**VARIABLES, **more}, do_compression=compressed)
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_and_cells_are_those_that_scipy_reads(tmp_path: Path, compressed: bool) -> None:
    path = write(tmp_path / "all.mat", compressed)
    found, expected = read_mat(path), scipy.io.loadmat(path)
    assert set(found) == set(VARIABLES)
    for name in set(VARIABLES) - {"cells"}:
        np.testing.assert_array_equal(found[name], expected[name])
    assert found["cells"].shape == (2, 2)
    for cell, other in zip(found["cells"].flat, expected["cells"].flat, strict=True):
        np.testing.assert_array_equal(cell, other)


def test_only_what_is_asked_for_is_read_and_other_kinds_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "all.mat", True, text="abc", record={"a": 1}, imaginary=np.array([[1j]]))
    found = read_mat(path, {"one", "text", "record", "imaginary"})
    assert set(found) == {*VARIABLES, "text", "record", "imaginary"}
    assert [name for name, array in found.items() if array.shape] == ["one"]


def test_big_endian(tmp_path: Path) -> None:
    head = b"MATLAB".ljust(124) + b"\x01\x00MI"
    array = (
        struct.pack(">II II II ii", 6, 8, 6, 0, 5, 8, 1, 2)
        + struct.pack(">HH4s", 1, 1, b"x")
        + struct.pack(">II2d", 9, 16, 1.5, -2)
    )
    path = tmp_path / "big.mat"
    path.write_bytes(head + struct.pack(">II", 14, len(array)) + array)
    np.testing.assert_array_equal(read_mat(path)["x"], [[1.5, -2]])


def test_sizes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "all.mat"
    scipy.io.savemat(path, {"x": np.arange(12.0)[None]})
    whole = bytearray(path.read_bytes())
    assert struct.unpack_from("<iiii", whole, 152) == (5, 8, 1, 12)
    for at, value, message in (
        (132, 2**31, "2147483648 bytes where"),
        (160, 2**30, r"12 numbers in an array of shape \[1073741824, 12\]"),
        (160, 2**32 - 1, r"shape \[-1, 12\]"),
        (156, 2**32 - 4, "bytes where"),
        (144, 1, "0 cells in an array|more than 100000 cells|where a cell|cells in an array"),
        (152, 99, "without flags, dimensions or name"),
        (128, 5, "type 5 where an array is expected"),
    ):
        wrong = whole.copy()
        struct.pack_into("<I", wrong, at, value)
        path.write_bytes(wrong)
        with pytest.raises(DataError, match=message):
            read_mat(path)
    path.write_bytes(whole[:-9])
    with pytest.raises(DataError, match="are left"):
        read_mat(path)


def test_what_inflates_beyond_what_such_a_file_holds_is_refused(tmp_path: Path) -> None:
    packed = zlib.compress(struct.pack("<II", 14, 1 << 27) + bytes(1 << 27), 9)
    path = tmp_path / "bomb.mat"
    path.write_bytes(b"MATLAB".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 15, len(packed)) + packed)
    with pytest.raises(DataError, match=r"bomb\.mat: no readable MATLAB 5 file .*more than such a file holds"):
        read_mat(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="are left"):
        read_mat(path)


def test_other_versions_say_what_to_save(tmp_path: Path) -> None:
    path = tmp_path / "old.mat"
    scipy.io.savemat(path, {"x": np.ones((2, 2))}, format="4")
    with pytest.raises(DataError, match="-v7"):
        read_mat(path)
    path.write_bytes(bytes(512) + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(DataError, match=r"MATLAB 7\.3.*-v7"):
        read_mat(path)
    with pytest.raises(DataError, match="not found"):
        read_mat(tmp_path / "none.mat")
