"""A dressed person of 40 000 triangles -> the same with a few thousand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.wardrobe import Piece

Array = NDArray[np.float64]
#: Directions in which a triangle is asked whether it can be seen.
_DIRECTIONS = 96
#: Meters from the surface at which such a ray begins.
_LIFT = 1e-3


@dataclass(frozen=True, eq=False)
class LightMesh:
    """A person at rest.

    Attributes:
        vertices: (V, 3) meters.
        faces: (T, 3).
        look: (T,) index into the person's materials.
        bone_weights: (V, B); rows sum to 1.
    """

    vertices: Array
    faces: NDArray[np.int64]
    look: NDArray[np.int64]
    bone_weights: Array


def lighten(pieces: tuple[Piece, ...], triangles: int) -> LightMesh:
    """Drop what no person can see at rest, then merge triangles piece by piece (quadric error metric).

    Args:
        triangles: about how many shall be left.

    Raises:
        SyntheticError: fewer than 500 triangles are asked for.
    """
    return joined([part for _, part in light_parts(pieces, triangles)])


def light_parts(pieces: tuple[Piece, ...], triangles: int) -> list[tuple[int, LightMesh]]:
    """As :func:`lighten`, piece by piece; with the number of each piece that can be seen.

    Raises:
        SyntheticError: fewer than 500 triangles are asked for.
    """
    if triangles < 500:
        raise SyntheticError(f"triangles = {triangles}: a person needs at least 500")
    seen = _visible(pieces)
    shares = _shares(pieces, seen)
    return [
        (number, _simplify(pieces[number], here, max(round(triangles * shares[number]), 20)))
        for number, here in enumerate(seen)
        if here.any()
    ]


def _shares(pieces: tuple[Piece, ...], seen: list[NDArray[np.bool_]]) -> Array:
    """Triangles in proportion to the geometric mean of area and present number.

    Area alone would starve face and hands, number alone would spend most of them on shoelaces.
    """
    areas = np.array([_areas(piece.rest, piece.faces[here]).sum() for piece, here in zip(pieces, seen, strict=True)])
    numbers = np.array([here.sum() for here in seen])
    wanted = np.sqrt(areas * numbers)
    return np.asarray(wanted / wanted.sum())


def _areas(vertices: Array, faces: NDArray[np.int64]) -> Array:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2)


def _visible(pieces: tuple[Piece, ...]) -> list[NDArray[np.bool_]]:
    """For every piece: which triangles can be seen from far away in some direction."""
    starts = np.cumsum([0, *(len(piece.rest) for piece in pieces)])
    vertices = np.concatenate([piece.rest for piece in pieces])
    faces = np.concatenate([piece.faces + start for piece, start in zip(pieces, starts, strict=False)])
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    scene, core = ray_scene(vertices, faces)
    free = np.zeros(len(faces), bool)
    for direction in _sphere(_DIRECTIONS):
        side = np.sign(normals @ direction)[:, None]
        rays = np.concatenate([(a + b + c) / 3 + _LIFT * side * normals, np.broadcast_to(direction, a.shape)], axis=1)
        free |= ~scene.test_occlusions(core.Tensor(rays.astype(np.float32))).numpy()
    return np.split(free, np.cumsum([len(piece.faces) for piece in pieces])[:-1])


def _sphere(number: int) -> Array:
    """(n, 3) unit vectors, evenly spread (Fibonacci lattice)."""
    z = 1 - 2 * (np.arange(number) + 0.5) / number
    angle = np.pi * (1 + 5**0.5) * np.arange(number)
    return np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], axis=1)


def ray_scene(vertices: Array, faces: NDArray[np.int64]) -> tuple[Any, Any]:
    """Open3d's ray casting scene of a mesh, and its tensor module."""
    import open3d

    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(open3d.core.Tensor(vertices.astype(np.float32)), open3d.core.Tensor(faces.astype(np.uint32)))
    return scene, open3d.core


def _simplify(piece: Piece, seen: NDArray[np.bool_], triangles: int) -> LightMesh:
    import open3d

    faces, look = piece.faces[seen], piece.look[seen]
    mesh = open3d.geometry.TriangleMesh(open3d.utility.Vector3dVector(piece.rest), open3d.utility.Vector3iVector(faces))
    mesh.remove_unreferenced_vertices()
    # Sleeves, hems and the cut at the neck keep their outline, or skin would show between the pieces.
    light = mesh.simplify_quadric_decimation(min(triangles, len(faces)), boundary_weight=10.0)
    light.remove_unreferenced_vertices()
    vertices, merged = np.asarray(light.vertices), np.asarray(light.triangles).astype(np.int64)
    scene, core = ray_scene(piece.rest, faces)
    weights = _weights_at(scene, core, piece, faces, vertices)
    middle = core.Tensor(vertices[merged].mean(axis=1).astype(np.float32))
    nearest = scene.compute_closest_points(middle)["primitive_ids"].numpy()
    return LightMesh(vertices, merged, look[nearest], weights)


def _weights_at(scene: Any, core: Any, piece: Piece, faces: NDArray[np.int64], vertices: Array) -> Array:
    """(V, B) weights of new vertices: those of the nearest place on the piece."""
    met = scene.compute_closest_points(core.Tensor(vertices.astype(np.float32)))
    u, v = met["primitive_uvs"].numpy().astype(np.float64).T
    corners = faces[met["primitive_ids"].numpy()]
    shares = np.stack([1 - u - v, u, v], axis=1)
    return np.asarray(np.einsum("vk,vkb->vb", shares, piece.bone_weights[corners]))


def joined(parts: list[LightMesh]) -> LightMesh:
    """One mesh of several."""
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    return LightMesh(
        vertices=np.concatenate([part.vertices for part in parts]),
        faces=np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=False)]),
        look=np.concatenate([part.look for part in parts]),
        bone_weights=np.concatenate([part.bone_weights for part in parts]),
    )


def distances_mm(light: LightMesh, pieces: tuple[Piece, ...]) -> Array:
    """Distance of every light vertex and triangle center from the full surface, millimeters."""
    starts = np.cumsum([0, *(len(piece.rest) for piece in pieces)])
    faces = np.concatenate([piece.faces + start for piece, start in zip(pieces, starts, strict=False)])
    scene, core = ray_scene(np.concatenate([piece.rest for piece in pieces]), faces)
    points = np.concatenate([light.vertices, light.vertices[light.faces].mean(axis=1)])
    return np.asarray(1e3 * scene.compute_distance(core.Tensor(points.astype(np.float32))).numpy(), np.float64)
