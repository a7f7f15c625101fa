"""Pickles give data and never run code."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unipose_training.datasets.errors import DataError
from unipose_training.datasets.safe_pickle import load_npz, load_pickle

DATA = {
    "list": [1, 2.5, "text", None, True, b"bytes \xff"],
    "array": np.arange(6, dtype=np.float32).reshape(2, 3),
    "objects": np.array([np.zeros(2), "x"], object),
    "scalar": np.float64(3.5),
    "ordered": OrderedDict(a=1),
    "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
}


class Attack:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._target,)


class Evaluation:
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("1 + 1",)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_data_comes_out_as_it_went_in(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(DATA, protocol))
    back = load_pickle(path)
    assert back["list"] == DATA["list"]
    assert back["ordered"] == DATA["ordered"]
    assert back["scalar"] == 3.5
    np.testing.assert_array_equal(back["array"], DATA["array"])
    np.testing.assert_array_equal(back["columns"], DATA["columns"])
    assert back["objects"][1] == "x"


def test_python_2_with_the_old_module_names(tmp_path: Path) -> None:
    path = tmp_path / "data.pkl"
    # Python 2 writes str as bytes and knows numpy.core only.
    old = pickle.dumps({"a": np.arange(3.0)}, 2).replace(b"numpy._core", b"numpy.core")
    path.write_bytes(old)
    np.testing.assert_array_equal(load_pickle(path)["a"], [0, 1, 2])
    path.write_bytes(b"(dp0\nS'sequence'\np1\nS'caf\\xe9'\np2\ns.")
    assert load_pickle(path) == {"sequence": "café"}


def test_code_is_not_run(tmp_path: Path) -> None:
    target = tmp_path / "pwned"
    for number, attack in enumerate((Attack(target), Evaluation())):
        path = tmp_path / f"{number}.pkl"
        path.write_bytes(pickle.dumps({"sequence": attack}))
        with pytest.raises(DataError, match=rf"{number}\.pkl: it refers to '.*', which no data needs"):
            load_pickle(path)
        npz = tmp_path / f"{number}.npz"
        np.savez(npz, positions_3d=np.array({"S1": attack}, object))
        with pytest.raises(DataError, match=rf"{number}\.npz: it refers to"):
            load_npz(npz, "positions_3d")
    assert not target.exists()


@pytest.mark.parametrize("compressed", [False, True])
def test_npz_entries(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "data.npz"
    save = np.savez_compressed if compressed else np.savez
    save(path, table=np.array({"S1": np.ones(2)}, object), plain=DATA["array"], columns=DATA["columns"])
    np.testing.assert_array_equal(load_npz(path, "table")["S1"], [1, 1])
    np.testing.assert_array_equal(load_npz(path, "plain"), DATA["array"])
    np.testing.assert_array_equal(load_npz(path, "columns"), DATA["columns"])
    with pytest.raises(
        DataError, match=r"data\.npz: key 'other' is missing, there are \['table', 'plain', 'columns'\]"
    ):
        load_npz(path, "other")


def test_damage_is_named(tmp_path: Path) -> None:
    pkl, npz = tmp_path / "data.pkl", tmp_path / "data.npz"
    pkl.write_bytes(pickle.dumps(DATA)[:-30])
    with pytest.raises(DataError, match=r"data\.pkl: no readable pickle"):
        load_pickle(pkl)
    np.savez_compressed(npz, a=np.arange(1000))
    npz.write_bytes(npz.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"data\.npz: key 'a' cannot be read .* download it again"):
        load_npz(npz, "a")
    for load in (lambda: load_pickle(tmp_path / "none.pkl"), lambda: load_npz(tmp_path / "none.npz", "a")):
        with pytest.raises(DataError, match="not found"):
            load()
