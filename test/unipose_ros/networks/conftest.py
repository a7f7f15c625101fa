"""MoveNet's weights: the real ones if they were fetched, and made-up ones in the published format."""

from __future__ import annotations

import io
import json
import math
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from unipose_ros.networks.movenet.convert import movenet_graph, published_names
from unipose_ros.networks.movenet.decode import ONNX, SAFETENSORS, verified_file
from unipose_ros.networks.weights import WeightsError

DATA = Path(__file__).resolve().parents[2] / "data"


@pytest.fixture(scope="session")
def movenet_weights() -> Path:
    """Folder of the real, fetched weights."""
    try:
        verified_file(SAFETENSORS)
        return verified_file(ONNX).parent
    except WeightsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def two_people() -> np.ndarray:
    """(256, 256, 3) RGB, two rendered people."""
    return np.ascontiguousarray(cv2.imread(str(DATA / "movenet_people.png"))[..., ::-1])


@pytest.fixture(scope="session")
def published_model() -> dict[str, bytes]:
    """A MoveNet with small random weights as the package holds it: file name -> contents."""
    random = np.random.default_rng(0)
    entries, shards = [], []
    for name, shape in movenet_graph().tensors.items():
        std = max(math.prod(shape[1:]), 4) ** -0.5  # keeps the values' size from layer to layer
        if len(shape) == 4:
            out, each, height, width = shape
            # A 3x3 filter with one input is per channel here: its channels are the third axis.
            shape = (height, width, out, 1) if each == 1 and height == 3 else (height, width, each, out)
        values = (std * random.standard_normal(shape)).astype("<f2")
        entries.append(
            {
                "name": published_names()[name],
                "shape": list(shape),
                "dtype": "float32",
                "quantization": {"dtype": "float16", "original_dtype": "float32"},
            }
        )
        shards.append(values.tobytes())
    description = {"weightsManifest": [{"paths": ["movenet-multipose.bin"], "weights": entries}]}
    return {"movenet-multipose.json": json.dumps(description).encode(), "movenet-multipose.bin": b"".join(shards)}


@pytest.fixture(scope="session")
def published_package(published_model: dict[str, bytes]) -> bytes:
    """That model as npm's tarball."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as archive:
        for name, contents in published_model.items():
            entry = tarfile.TarInfo(f"package/models/{name}")
            entry.size = len(contents)
            archive.addfile(entry, io.BytesIO(contents))
    return stream.getvalue()
