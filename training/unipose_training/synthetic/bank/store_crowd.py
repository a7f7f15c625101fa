"""A crowd as arrays of small integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.bank.crowd import Crowd, ShapeBasis, Template
from unipose_training.synthetic.materials import Material

Arrays = dict[str, NDArray[Any]]
#: Means are whole multiples of this many meters, components (of which some ten are added) of that many.
_STEP, _FINE_STEP = 2.0**-14, 2.0**-13
_COEFFICIENT = 32767
_PREFIX = "crowd_"


def has_crowd(arrays: Arrays) -> bool:
    """Whether these arrays hold a crowd, and not single people."""
    return f"{_PREFIX}faces" in arrays


def pack_crowd(crowd: Crowd) -> Arrays:
    """All of it but the materials."""
    templates = crowd.templates
    bases = [each.vertices for each in templates]
    arrays = {
        "vertex_counts": np.array([len(basis.mean) // 3 for basis in bases], np.int32),
        "face_counts": np.array([len(each.faces) for each in templates], np.int32),
        "component_counts": np.array([len(basis.components) for basis in bases], np.int32),
        "wearer_counts": np.array([len(basis.coefficients) for basis in bases], np.int32),
        "faces": np.concatenate([each.faces.astype(np.uint16) for each in templates]),
        "look": np.concatenate([each.look.astype(np.uint8) for each in templates]),
        "bones": np.concatenate([each.bones.astype(np.uint8) for each in templates]),
        "weights": np.concatenate([to_bytes(each.weights) for each in templates]),
        "means": np.concatenate([np.rint(basis.mean / _STEP).astype(np.int16) for basis in bases]),
        "components": np.concatenate(
            [np.rint(basis.components / _FINE_STEP).astype(np.int16).ravel() for basis in bases]
        ),
        "coefficients": np.concatenate([_short(basis.coefficients).ravel() for basis in bases]),
        "skeleton_mean": crowd.skeletons.mean,
        "skeleton_components": crowd.skeletons.components,
        "skeleton_coefficients": _short(crowd.skeletons.coefficients),
        "carried": crowd.carried.astype(np.uint8),
        "rests": crowd.rests.astype(np.float32),
    }
    return {f"{_PREFIX}{name}": values for name, values in arrays.items()}


def unpack_crowd(
    arrays: Arrays,
    bones: tuple[str, ...],
    parents: tuple[int, ...],
    joints: int,
    materials: tuple[tuple[Material, ...], ...],
) -> Crowd:
    """Back from arrays."""
    of = {name[len(_PREFIX) :]: values for name, values in arrays.items() if name.startswith(_PREFIX)}
    counts = {name: of[f"{name}_counts"].astype(np.int64) for name in ("vertex", "face", "component", "wearer")}
    per_vertex = {name: _split(of[name], counts["vertex"]) for name in ("bones", "weights")}
    per_face = {name: _split(of[name], counts["face"]) for name in ("faces", "look")}
    means = _split(of["means"], 3 * counts["vertex"])
    components = _split(of["components"], 3 * counts["vertex"] * counts["component"])
    coefficients = _split(of["coefficients"], counts["wearer"] * counts["component"])
    templates = []
    for number, mean in enumerate(means):
        count = int(counts["component"][number])
        basis = ShapeBasis(
            mean.astype(np.float32) * np.float32(_STEP),
            components[number].reshape(count, len(mean)).astype(np.float32) * np.float32(_FINE_STEP),
            _long(coefficients[number]).reshape(-1, count),
        )
        templates.append(
            Template(
                per_face["faces"][number].astype(np.int64),
                per_face["look"][number].astype(np.int64),
                per_vertex["bones"][number].astype(np.int64),
                per_vertex["weights"][number].astype(np.float32) / np.float32(255),
                basis,
            )
        )
    skeletons = ShapeBasis(of["skeleton_mean"], of["skeleton_components"], _long(of["skeleton_coefficients"]))
    carried, rests = of["carried"].astype(np.int64), of["rests"].astype(np.float64)
    return Crowd(tuple(templates), skeletons, carried, joints, bones, parents, rests, materials)


def to_bytes(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Rows that sum to 1 -> rows that sum to 255."""
    whole = np.rint(weights * 255).astype(np.int64)
    rows = np.arange(len(whole))
    whole[rows, whole.argmax(axis=1)] += 255 - whole.sum(axis=1)
    return whole.astype(np.uint8)


def _split(values: NDArray[Any], counts: NDArray[np.int64]) -> list[NDArray[Any]]:
    return np.split(values, np.cumsum(counts)[:-1])


def _short(coefficients: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.rint(coefficients * _COEFFICIENT).astype(np.int16)


def _long(coefficients: NDArray[np.int16]) -> NDArray[np.float32]:
    return coefficients.astype(np.float32) / np.float32(_COEFFICIENT)
