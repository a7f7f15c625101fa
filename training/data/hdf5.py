"""HDF5 files (also MATLAB 7.3), opened once per process, with errors that name file and key."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from unipose_training.data.errors import DataError


def dataset(path: Path, key: str, shape: tuple[int | None, ...], kinds: str) -> h5py.Dataset:
    """A data set of a file; rows are read when it is indexed.

    Args:
        shape: expected; ``None`` for any length.
        kinds: the allowed ``numpy.dtype.kind`` letters.

    Raises:
        DataError: the file cannot be read, or the key is absent or holds something else.
    """
    return _checked(path, key, shape, kinds, os.getpid(), _changed(path))


@lru_cache(maxsize=64)
def _checked(
    path: Path, key: str, shape: tuple[int | None, ...], kinds: str, process: int, changed: int
) -> h5py.Dataset:
    """Looked up and checked once: that takes longer than reading a frame."""
    file = _open(path, process, changed)
    if key not in file:
        raise DataError(f"{path}: key '{key}' is missing, there are {sorted(file)}; take the data set's own file")
    found = file[key]
    if not isinstance(found, h5py.Dataset):
        raise DataError(f"{path}: key '{key}' is a group, expected an array; take the data set's own file")
    fits = len(found.shape) == len(shape) and all(e in (None, f) for e, f in zip(shape, found.shape, strict=True))
    if not fits or found.dtype.kind not in kinds:
        wanted = ["n" if length is None else length for length in shape]
        raise DataError(
            f"{path}: key '{key}' is {found.dtype}{list(found.shape)}, expected {wanted} of kind '{kinds}'; "
            "the file is of another version or another data set"
        )
    return found


def read(data: h5py.Dataset, rows: int | slice) -> NDArray[Any]:
    """Rows of a data set.

    Raises:
        DataError: they cannot be read.
    """
    try:
        return np.asarray(data[rows])
    except OSError as error:
        path, key = data.file.filename, data.name.lstrip("/")
        raise DataError(f"{path}: key '{key}' is damaged at {rows} ({error}); download the file again") from error


def _changed(path: Path) -> int:
    packed = path.with_name(path.name + ".gz")
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        remedy = f"unpack it: gunzip -k {packed.name}" if packed.exists() else "check --root and that it is complete"
        raise DataError(f"{path}: not found; {remedy}") from error


@lru_cache(maxsize=16)
def _open(path: Path, process: int, changed: int) -> h5py.File:
    """A handle from before a fork must not be used after it, and one from before a change of the file is stale."""
    del process, changed
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path}: no readable HDF5 file ({error}); download it again") from error
