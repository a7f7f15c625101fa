"""Reads the weights of a TensorFlow.js graph model (a JSON description and binary shards)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.networks.weights import WeightsError

_STORED: dict[str, np.dtype[Any]] = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4"), "int32": np.dtype("<i4")}


def read_tfjs_weights(description: Path) -> dict[str, NDArray[Any]]:
    """All constants of a graph model by name, in the type and shape they are stored in.

    Only the half-precision form of quantisation is understood: it is a plain type, not a scale.

    Raises:
        WeightsError: not such a model, another type, or a shard shorter or longer than described.
    """
    try:
        groups = json.loads(description.read_text(encoding="utf-8"))["weightsManifest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{description} is no TFJS graph model ({error!r}); fetch it again") from error
    weights: dict[str, NDArray[Any]] = {}
    for group in groups:
        buffer = b"".join((description.parent / shard).read_bytes() for shard in group["paths"])
        offset = 0
        for entry in group["weights"]:
            dtype = _stored_type(entry)
            size = math.prod(entry["shape"]) * dtype.itemsize
            if offset + size > len(buffer):
                raise WeightsError(f"{description}: its shards end within '{entry['name']}'; fetch them again")
            flat = np.frombuffer(buffer, dtype, size // dtype.itemsize, offset)
            weights[entry["name"]] = flat.reshape(entry["shape"])
            offset += size
        if offset != len(buffer):
            raise WeightsError(f"{description}: {len(buffer) - offset} bytes are left over; fetch it again")
    return weights


def _stored_type(entry: dict[str, Any]) -> np.dtype[Any]:
    name = entry.get("quantization", {}).get("dtype", entry["dtype"])
    if name not in _STORED:
        raise WeightsError(
            f"TFJS weight '{entry['name']}' is stored as {name}; only {', '.join(_STORED)} are understood"
        )
    return _STORED[name]
