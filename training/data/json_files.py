"""JSON of data sets, with errors that name file and key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_training.data.errors import DataError


def read_json(path: Path, remedy: str = "check --root and that the data set is complete") -> Any:
    """Parse a file.

    Raises:
        DataError: it is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: not found; {remedy}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: no readable JSON ({error}); download it again") from error


def value_of(path: Path, record: Any, key: str) -> Any:
    """``record[key]``, where ``key`` is a path of names joined by dots.

    Raises:
        DataError: there is none.
    """
    for name in key.split("."):
        if not isinstance(record, dict) or name not in record:
            raise DataError(f"{path}: key '{key}' is missing; the file is of another version or another data set")
        record = record[name]
    return record


def array_of(path: Path, record: Any, key: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Numbers under a key as float64; a -1 in ``shape`` takes any length.

    Raises:
        DataError: there are none, or another number of them.
    """
    value = value_of(path, record, key)
    try:
        return np.asarray(value, np.float64).reshape(shape)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: key '{key}' is not numbers of shape {list(shape)} ({error})") from error
