"""Files of every kind made wrong: as bytes, and as what they say, with checksums that fit."""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fuzzing.messages import spoil_image
from fuzzing.mutation import INTEGERS, flip_bits, mutate_bytes, mutate_text, mutate_tree, nested, odd_scalar

Spoiler = Callable[[random.Random, bytes], bytes]
_TYPES = ("<f4", "<f8", "<i8", "|u1", "|b1", "<U5", "|S3", "|O", "<f2", ">i4", "<c8", "|V8", "<M8[ns]", "<f4,<i4")


def spoil_json(rng: random.Random, data: bytes) -> bytes:
    """Other values, types and keys; rarely other bytes, or brackets without end."""
    pick = rng.random()
    if pick < 0.15:
        return mutate_bytes(rng, data)
    if pick < 0.2:
        return mutate_text(rng, data.decode()).encode("utf-8", "surrogatepass")
    if pick < 0.23:
        return nested(rng).encode()
    made = mutate_tree(rng, json.loads(data))
    if pick < 0.25:
        made = odd_scalar(rng)
    return as_json(made).encode("utf-8", "surrogatepass")


def as_json(value: Any) -> str:
    """Also of what Python does not print: a number of too many digits stands for such values."""
    try:
        return json.dumps(value)
    except ValueError:
        return "1" * 5000


def spoil_text(rng: random.Random, data: bytes) -> bytes:
    """Lines, words, and bytes that are no text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return mutate_bytes(rng, data)
    if rng.random() < 0.2:
        return mutate_bytes(rng, data)
    return mutate_text(rng, text).encode("utf-8", "surrogatepass")


def spoil_npy(rng: random.Random, data: bytes) -> bytes:
    """An array with other numbers, type, shape, order, or another header than content."""
    pick = rng.random()
    if pick < 0.2:
        return mutate_bytes(rng, data)
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except ValueError:
        return mutate_bytes(rng, data)
    if pick < 0.55:
        return _npy_with_header(rng, array)
    return _npy(_odd_array(rng, array))


def _odd_array(rng: random.Random, array: np.ndarray) -> np.ndarray:
    kind = rng.randrange(6)
    if kind == 0:
        return array[: rng.randrange(len(array) + 1)] if array.ndim else array.reshape(1)
    if kind == 1:
        return array.reshape(-1) if rng.random() < 0.5 else array[None]
    if kind == 2:
        with np.errstate(all="ignore"):
            try:
                return array.astype(rng.choice(_TYPES[:7]))
            except ValueError:
                return np.zeros(array.shape)
    made = array.copy()
    if not made.size:
        return np.zeros((3, 3))
    if made.dtype.kind == "f":
        made.flat[rng.randrange(made.size) :: rng.choice((1, 5, made.size))] = rng.choice((np.nan, np.inf, -1, 1e30, 0))
    elif made.dtype.kind in "iu":
        limits = np.iinfo(made.dtype)
        made.flat[rng.randrange(made.size)] = rng.choice((limits.min, limits.max, 0, 1, limits.max // 2))
    elif made.dtype.kind in "US":
        made.flat[rng.randrange(made.size)] = rng.choice(("", "x", "{}", "[" * 3))
    return made if rng.random() < 0.8 else np.concatenate([np.atleast_1d(made)] * 2)


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _npy_with_header(rng: random.Random, array: np.ndarray) -> bytes:
    """Content as it is after a header that claims something else."""
    header: dict[str, Any] = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    key = rng.choice(("descr", "fortran_order", "shape", "shape"))
    if key == "descr":
        header[key] = rng.choice(_TYPES)
    elif key == "shape":
        header[key] = tuple(rng.choice((*INTEGERS, -1, 10**12, True)) for _ in range(rng.choice((0, 1, 2, 3, 40))))
    else:
        header[key] = rng.choice((True, 1, None, "x"))
    text = repr(header) if rng.random() < 0.9 else mutate_text(rng, repr(header))
    if rng.random() < 0.03:
        text = "(" * 300
    encoded = text.encode("latin1", "replace") + b" " * (63 - (len(text) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(encoded) % 65536) + encoded + array.tobytes()


def spoil_npz(rng: random.Random, data: bytes) -> bytes:
    """An archive whose arrays, or whose JSON among them, are others; or other bytes."""
    pick = rng.random()
    if pick < 0.25:
        return mutate_bytes(rng, data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen = rng.choice(sorted(members))
    if pick < 0.32:
        del members[chosen]
    elif pick < 0.36:
        members[rng.choice(("x.npy", "x", "../x.npy", "about"))] = members.pop(chosen)
    elif chosen == "about.npy" and pick < 0.9:
        text = spoil_json(rng, str(np.load(io.BytesIO(members[chosen]))).encode())
        members[chosen] = _npy(np.array(text.decode("utf-8", "replace").replace("\x00", "")))
    else:
        members[chosen] = spoil_npy(rng, members[chosen])
    stream = io.BytesIO()
    how = rng.choice((zipfile.ZIP_STORED,) * 14 + (zipfile.ZIP_DEFLATED,) * 5 + (zipfile.ZIP_LZMA,))
    with zipfile.ZipFile(stream, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    made = stream.getvalue()
    return flip_bits(rng, made) if rng.random() < 0.1 else made


def spoil_hdf5(rng: random.Random, data: bytes) -> bytes:
    """Other bytes, or other arrays: shapes, types, numbers, groups in their place, claims beyond the file."""
    if rng.random() < 0.5 or b"\x89HDF" not in data[:1024]:
        return mutate_bytes(rng, data)
    stream = io.BytesIO(data)
    with h5py.File(stream, "r+") as file:
        key = rng.choice(sorted(file))
        kind = rng.randrange(5)
        array = np.asarray(file[key])
        del file[key]
        if kind == 0:
            pass
        elif kind == 1:
            file.create_group(key)
        elif kind == 2:  # claims what was never written
            shape = tuple(rng.choice((length, 2**20, 2**31)) for length in array.shape)
            file.create_dataset(key, shape, array.dtype, chunks=tuple(min(n, 64) or 1 for n in shape) or None)
        elif array.dtype.kind in "biuf":
            odd = _odd_array(rng, array)
            file[key] = odd if odd.dtype.kind in "biuf" else odd.astype("S5")
        else:
            file[key] = array[: rng.randrange(len(array) + 1)]
    return stream.getvalue()


def spoil_mat(rng: random.Random, data: bytes) -> bytes:
    """MATLAB 5: other bytes, or tags, flags and dimensions of arrays in parts compressed; 7.3 as HDF5."""
    if b"\x89HDF" in data[:1024]:  # 7.3, whose head ends in IM, too
        return spoil_hdf5(rng, data)
    if rng.random() < 0.3:
        return mutate_bytes(rng, data)
    made = data[:128]
    for element in _mat_elements(data):
        changed = bytearray(element)
        for _ in range(rng.choice((0, 1, 1, 2, 5))):
            # The first words hold types, sizes, class and dimensions.
            at = 4 * rng.randrange(min(len(changed), rng.choice((64, 64, 1 << 20))) // 4)
            struct.pack_into("<I", changed, at, rng.choice((*INTEGERS, *range(20), 1 << 17)) % 2**32)
        whole = bytes(changed) if rng.random() < 0.9 else bytes(changed[: rng.randrange(len(changed))])
        if rng.random() < 0.05:
            whole += bytes(1 << 27)
        if rng.random() < 0.5 or len(whole) > 1 << 26:
            packed = zlib.compress(whole, 1)
            whole = struct.pack("<II", 15, len(packed)) + packed
        made += whole
    return made if rng.random() < 0.9 else mutate_bytes(rng, made)


def _mat_elements(data: bytes) -> Iterator[bytes]:
    """Those of a sound file, not compressed, with their tags."""
    at = 128
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        at += 8
        yield zlib.decompress(data[at : at + size]) if kind == 15 else data[at - 8 : at + size]
        at += size


def spoil_pickle(rng: random.Random, data: bytes) -> bytes:
    """Other bytes; operations lost, doubled, exchanged; arguments changed; or another pickle altogether."""
    pick = rng.random()
    if pick < 0.3:
        return mutate_bytes(rng, data)
    if pick < 0.4:
        return rng.choice(_BOMBS)(rng)
    if pick < 0.55:
        try:
            made = mutate_tree(rng, _plain(pickle.loads(data)))  # our own, made a moment ago
            return pickle.dumps(made, rng.choice((0, 2, 4)))
        except (ValueError, RecursionError):
            return mutate_bytes(rng, data)
    places = [place for _, _, place in pickletools.genops(data) if place is not None]
    pieces = [data[a:b] for a, b in zip(places, [*places[1:], len(data)], strict=True)]
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, other, kind = rng.randrange(len(pieces)), rng.randrange(len(pieces)), rng.randrange(4)
        if kind == 0 and len(pieces) > 1:
            del pieces[at]
        elif kind == 1:
            pieces.insert(at, pieces[other])
        elif kind == 2:
            pieces[at] = pieces[other]
        else:
            pieces[at] = pieces[at][:1] + mutate_bytes(rng, pieces[at][1:], 1)
    return b"".join(pieces)


def _plain(value: Any) -> Any:
    """Small arrays as lists, so that trees of them can be changed; large ones as they are."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(each) for each in value)
    return value.tolist() if isinstance(value, np.ndarray) and value.size < 20 else value


def _many_references(rng: random.Random) -> bytes:
    """A list of itself twice, doubled again and again."""
    levels = rng.choice((10, 29, 60))
    return (
        b"\x80\x02]q\x00"
        + b"".join(b"(h" + bytes([n]) + b"h" + bytes([n]) + b"lq" + bytes([n + 1]) for n in range(levels))
        + b"."
    )


def _claimed_array(rng: random.Random) -> bytes:
    """numpy.ndarray of billions of numbers."""
    size = rng.choice((3_000_000_000, 2**40, -1, 10))
    return b"\x80\x02cnumpy\nndarray\n(I%d\ntX\x02\x00\x00\x00u1\x86R." % size


def _claimed_bytes(rng: random.Random) -> bytes:
    """Texts, bytes and frames of any length."""
    size = struct.pack("<Q", rng.choice((2**62, 2**40, 2**31, 2**63 - 1)))
    return b"\x80\x05" + rng.choice((b"\x96", b"\x8e", b"\x8d", b"\x95")) + size + b"abc."


def _odd_type(rng: random.Random) -> bytes:
    """numpy.dtype with a state of its own."""
    name = rng.choice((b"O8", b"V8", b"f4", b"M8[ns]", b"f999999999", b"U999999999"))
    state = rng.choice(
        (b"(I3\nX\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t", b"(I3\nNNNt", b"]", b"N")
    )
    return b"\x80\x02cnumpy\ndtype\nX" + struct.pack("<I", len(name)) + name + b"K\x00K\x01\x87R" + state + b"b."


def _call(rng: random.Random) -> bytes:
    """A function that no data needs."""
    module, name = rng.choice(((b"os", b"system"), (b"builtins", b"eval"), (b"numpy", b"load"), (b"\xff", b"\x00")))
    return b"\x80\x02c" + module + b"\n" + name + b"\nX\x04\x00\x00\x00true\x85R."


_BOMBS = (_many_references, _claimed_array, _claimed_bytes, _odd_type, _call, lambda rng: b"(" * 100_000 + b".")

_BY_SUFFIX: dict[str, Spoiler] = {
    ".json": spoil_json,
    ".npy": spoil_npy,
    ".npz": spoil_npz,
    ".h5": spoil_hdf5,
    ".mat": spoil_mat,
    ".pkl": spoil_pickle,
    ".png": spoil_image,
    ".jpg": spoil_image,
}


def spoil(rng: random.Random, path: Path | str, data: bytes) -> bytes:
    """A file made wrong, as its suffix says."""
    return _BY_SUFFIX.get(Path(path).suffix, spoil_text)(rng, data)
