"""Pickles give data and never run code."""

from __future__ import annotations

import io
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unipose_training.datasets.io import read_npz
from unipose_training.datasets.safe_pickle import load_npz, load_pickle
from unipose_training.errors import DataError

DATA = {
    "list": [1, 2.5, "text", None, True, b"bytes \xff"],
    "array": np.arange(6, dtype=np.float32).reshape(2, 3),
    "objects": np.array([np.zeros(2), "x"], object),
    "scalar": np.float64(3.5),
    "ordered": OrderedDict(a=1),
    "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "big-endian": np.arange(3, dtype=">f8"),
    "texts": np.array(["café", ""]),
    "bytes": np.array([b"a", b"bcd"]),
    "flags": np.array([True, False]),
    "nothing": np.zeros((0, 3)),
    "nested": [{"a": (np.ones(2), [np.int16(3)])}, b""],
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
    for name in ("big-endian", "texts", "bytes", "flags", "nothing"):
        np.testing.assert_array_equal(back[name], DATA[name])
        assert back[name].flags.writeable
    np.testing.assert_array_equal(back["nested"][0]["a"][0], [1, 1])
    assert (back["nested"][0]["a"][1], back["nested"][1]) == ([3], b"")


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


def claim(dtype: str, shape: tuple[int, ...], content: object, state: tuple[object, ...] = ()) -> bytes:
    """A pickle of an array, written by hand: its parts need not fit together."""
    out = io.BytesIO()
    writer = pickle._Pickler(out, 2)
    out.write(pickle.PROTO + b"\x02" + b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\n")
    writer.save((0,)), writer.save(b"b")
    out.write(pickle.TUPLE3 + pickle.REDUCE + pickle.MARK)
    writer.save(1), writer.save(shape)
    out.write(b"cnumpy\ndtype\n")
    writer.save((dtype, False, True))
    out.write(pickle.REDUCE)
    if state:
        writer.save(state)
        out.write(pickle.BUILD)
    writer.save(False), writer.save(content)
    out.write(pickle.TUPLE + pickle.BUILD + pickle.STOP)
    return out.getvalue()


def doubled(times: int) -> bytes:
    """A list in a list in a list, each twice: 2^times elements from as many bytes."""
    text = pickle.EMPTY_LIST + pickle.BINPUT + b"\x00" + pickle.MARK + pickle.BININT1 + b"\x01" + pickle.APPENDS
    for n in range(times):
        text += (
            pickle.EMPTY_LIST
            + pickle.BINPUT
            + bytes([n + 1])
            + pickle.MARK
            + 2 * (pickle.BINGET + bytes([n]))
            + pickle.APPENDS
        )
    return text + pickle.STOP


RECORDS = (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0)
CRAFTED = {
    "pointers as objects": claim("V8", (1,), b"A" * 8),
    "objects from bytes": claim("O8", (1,), b"A" * 8),
    "records with objects": claim("i8", (1,), b"A" * 8, RECORDS),
    "a sub-array": claim("i8", (1,), b"A" * 8, (3, "<", (np.dtype("i4"), (2,)), None, None, 8, 1, 0)),
    "more than there is": claim("u1", (3_000_000_000,), b"A"),
    "an overflow of sizes": claim("u1", (2**40, 2**40), b""),
    "less than nothing": claim("u1", (-1,), b""),
    "many axes": claim("u1", (1,) * 100, b"A"),
    "a text of no characters": claim("U1", (1,), b"\xff\xff\xff\xff"),
    "a long text": claim("S999999999", (1,), b"A"),
    "shared without end": doubled(29),
    "in itself": pickle.EMPTY_LIST + pickle.BINPUT + b"\0" + pickle.BINGET + b"\0" + pickle.APPEND + pickle.STOP,
    "deep": pickle.EMPTY_LIST * 100_000 + pickle.APPEND * 99_999 + pickle.STOP,
    "many": pickle.MARK + pickle.EMPTY_DICT * 3_000_000 + pickle.TUPLE + pickle.STOP,
    "a memo of its own": pickle.NONE + pickle.LONG_BINPUT + b"\xff\xff\xff\x7f" + b"cnumpy\nndarray\n" + pickle.STOP,
    "bytes that are not there": pickle.BINBYTES8 + b"\0\0\0\0\x10\0\0\0" + pickle.STOP,
    "a buffer that is not there": pickle.BYTEARRAY8 + b"\0\0\0\0\x10\0\0\0" + pickle.STOP,
    "a frame that is not there": pickle.FRAME + b"\0\0\0\0\x10\0\0\0" + pickle.STOP,
    "other defaults": b"c_codecs\nencode\n" + pickle.NONE + b"}U\x0c__defaults__(U\x05ascii\x85s\x86b.",
    "an array alone": b"cnumpy\nndarray\n(J\xff\xff\xff\x7ftU\x02u1\x86R.",
    "an array of another class": b"cnumpy._core.multiarray\n_reconstruct\n(c_codecs\nencode\nK\0\x85U\x01btR.",
    "an object of a class": b"ccollections\nOrderedDict\n)\x81.",
    "a function": b"c_codecs\nencode\n.",
    "a call of data": pickle.NONE + pickle.EMPTY_TUPLE + pickle.REDUCE + pickle.STOP,
    "an integer of many digits": b"I" + b"9" * 5000 + b"\n.",
}  # fmt: skip


@pytest.mark.parametrize("name", CRAFTED)
def test_what_is_made_to_break_a_reader_is_refused(tmp_path: Path, name: str) -> None:
    """In a process of its own: some of these ended the reader, or took all memory or time."""
    path = tmp_path / "data.pkl"
    path.write_bytes(CRAFTED[name])
    script = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from unipose_training.datasets.safe_pickle import DataError, load_pickle\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (60, 60))\n"
        "try:\n    load_pickle(Path(sys.argv[1]))\n"
        "except DataError as error:\n    print(error)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    output, _, megabytes = done.stdout.strip().rpartition("\n")
    assert "data.pkl: no readable pickle" in output, done.stderr
    assert int(megabytes) < 500


def test_the_same_content_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "data.pkl"
    shared = np.arange(4.0)
    path.write_bytes(pickle.dumps({"a": shared, "b": [shared, shared]}))
    back = load_pickle(path)
    assert back["a"] is back["b"][0] is back["b"][1]


def npz_of(path: Path, header: str, content: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        text = header.encode() + b" " * (-(len(header) + 11) % 64) + b"\n"
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content)


@pytest.mark.parametrize(
    ("header", "content"),
    [
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (3000000000,), }", b"A" * 8),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }", b"A" * 8),
        ("{'descr': [('x', '|O')], 'fortran_order': False, 'shape': (1,), }", b"A" * 8),
        ("{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }", b"\xff" * 4),
        ("{'descr': '<U0', 'fortran_order': False, 'shape': (3000000000,), }", b""),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (20000000,), }", bytes(160_000_000)),
        ("{'descr': '<f8', 'shape': (", b""),
        ("(" * 5000, b""),
        ("", b""),
    ],
)  # fmt: skip
def test_arrays_that_claim_what_is_not_there(tmp_path: Path, header: str, content: bytes) -> None:
    path = tmp_path / "data.npz"
    npz_of(path, header, content)
    with pytest.raises(DataError, match=r"data\.npz: key 'a' cannot be read"):
        load_npz(path, "a")
    with pytest.raises(DataError, match=r"data\.npz: cannot be read"):
        read_npz(path)
