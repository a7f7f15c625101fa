"""Pickled data without running what is in it.

Some data sets are published as pickles or as NumPy files of Python objects, which would execute any
code on loading. Here only containers, numbers, text and NumPy arrays can come out.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from unipose_training.datasets.errors import DataError

_DAMAGED = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, MemoryError,
    OverflowError, ImportError, UnicodeError, OSError, zipfile.BadZipFile,
)  # fmt: skip


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """What ``_codecs.encode`` does for the bytes in old pickles; other codecs are refused."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"codec '{encoding}'")
    return text.encode("latin1")


def _allowed() -> dict[tuple[str, str], Callable[..., Any]]:
    """What a pickle may call. NumPy's helpers are asked for by example; their module's name has changed."""
    found: dict[tuple[str, str], Callable[..., Any]] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("collections", "OrderedDict"): OrderedDict,
        ("_codecs", "encode"): _encode,
    }
    example = np.zeros(1)
    for core in ("numpy.core", "numpy._core"):
        found[f"{core}.multiarray", "_reconstruct"] = _maker(example.__reduce__())
        found[f"{core}.multiarray", "scalar"] = _maker(example[0].__reduce__())
        found[f"{core}.numeric", "_frombuffer"] = _maker(example.__reduce_ex__(5))
    return found


def _maker(reduced: Any) -> Callable[..., Any]:
    made: Callable[..., Any] = reduced[0]
    return made


class _DataUnpickler(pickle.Unpickler):
    _safe = _allowed()

    def find_class(self, module: str, name: str) -> Any:
        """Only what is on the list.

        Raises:
            DataError: anything else.
        """
        if (module, name) not in self._safe:
            raise DataError(f"it refers to '{module}.{name}', which no data needs, so it was not loaded")
        return self._safe[module, name]


def load_pickle(path: Path) -> Any:
    """A pickle, also of Python 2 (``encoding="latin1"``).

    Raises:
        DataError: it is missing or damaged, or would run code.
    """
    try:
        with path.open("rb") as file:
            return _DataUnpickler(file, encoding="latin1").load()
    except FileNotFoundError:
        raise DataError(f"{path}: not found; check --root and that the data set is complete") from None
    except DataError as error:
        raise DataError(f"{path}: {error}; take the publishers' own file") from error
    except _DAMAGED as error:
        raise DataError(f"{path}: no readable pickle ({error!r}); download it again") from error


def load_npz(path: Path, key: str) -> Any:
    """An entry of an ``.npz``: an array, or what an array of one Python object holds.

    Raises:
        DataError: the file or the entry is missing or damaged, or would run code.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            if key not in names:
                raise DataError(f"key '{key}' is missing, there are {names}")
            with archive.open(f"{key}.npy") as file:
                return _read_array(file)
    except FileNotFoundError:
        raise DataError(f"{path}: not found; check --root and that the data set is complete") from None
    except DataError as error:
        raise DataError(f"{path}: {error}; take the publishers' own file") from error
    except _DAMAGED as error:
        raise DataError(f"{path}: key '{key}' cannot be read ({error!r}); download it again") from error


def _read_array(file: IO[bytes]) -> Any:
    """NumPy's ``.npy``; objects follow the header as a pickle, which NumPy itself would execute."""
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(file)
    if dtype.hasobject:
        objects = _DataUnpickler(file, encoding="latin1").load()
        return objects.item() if shape == () else objects
    values = np.frombuffer(file.read(), dtype)
    return values.reshape(shape[::-1]).T if fortran else values.reshape(shape)
