"""Images by ray casting (open3d, on the CPU)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, rays
from unipose_training.synthetic.materials import Surface, merge, vertex_normals

Array = NDArray[np.float64]

#: A visible joint lies this deep (meters) under its own skin at most; more means that another limb is in front.
DEEPEST = 0.18


@dataclass(frozen=True, eq=False)
class View:
    """Where a camera stands.

    Attributes:
        position: (3,) meters, world.
        rotation: (3, 3) world -> optical frame (x right, y down, z forward).
    """

    position: Array
    rotation: Array

    def to_camera(self, points: Array) -> Array:
        """(..., 3) world -> (..., 3) optical frame."""
        return np.asarray((points - self.position) @ self.rotation.T)


def look_at(position: Sequence[float], target: Sequence[float]) -> View:
    """A level camera that has a point in its middle."""
    eye = np.asarray(position, np.float64)
    forward = np.asarray(target, np.float64) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return View(eye, np.stack([right, np.cross(forward, right), forward]))


@dataclass(frozen=True, eq=False)
class Hits:
    """What N rays met.

    Attributes:
        depth: (N,) meters along the optical axis, inf where nothing was hit.
        triangle: (N,) index, -1 for nothing.
        weights: (N, 3) of the triangle's corners.
    """

    depth: NDArray[np.float32]
    triangle: NDArray[np.int64]
    weights: NDArray[np.float32]


class Scene:
    """Surfaces that rays can be cast at.

    Attributes:
        surface: all of them as one.
        owners: (T,) owner of each triangle.
        normals: (V, 3).
    """

    def __init__(self, surfaces: Sequence[Surface]) -> None:
        # Imported here: it takes seconds, and reading this package's data needs none of it.
        import open3d

        self._core = open3d.core
        self.surface, self.owners = merge(surfaces)
        self.normals = vertex_normals(self.surface)
        self._scene = open3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(
            self._core.Tensor(self.surface.vertices.astype(np.float32)),
            self._core.Tensor(self.surface.faces.astype(np.uint32)),
        )

    def cast(self, view: View, directions: Array) -> Hits:
        """Cast rays from a camera.

        Args:
            directions: (N, 3) in the optical frame with z = 1, so that ray length is depth.
        """
        return self.cast_beams(beams(view, directions))

    def cast_beams(self, starts_and_directions: NDArray[np.float32]) -> Hits:
        """Cast rays of the world; see :func:`beams`."""
        count = len(starts_and_directions)
        met = self._scene.cast_rays(self._core.Tensor(starts_and_directions))
        depth = met["t_hit"].numpy()
        triangle = np.where(np.isfinite(depth), met["primitive_ids"].numpy().astype(np.int64), -1)
        weights = np.empty((count, 3), np.float32)
        weights[:, 1:] = met["primitive_uvs"].numpy()
        weights[:, 0] = 1 - weights[:, 1] - weights[:, 2]
        return Hits(depth, triangle, weights)

    def is_lit(self, points: Array, lamps: Array) -> NDArray[np.bool_]:
        """Whether nothing stands between (N, 3) points and their (N, 3) lamps."""
        beams = np.empty((len(points), 6), np.float32)
        beams[:, :3], beams[:, 3:] = points, lamps - points
        blocked = self._scene.test_occlusions(self._core.Tensor(beams), tnear=1e-3, tfar=0.999)
        return np.asarray(~blocked.numpy())

    def at(self, hits: Hits, values: Array) -> Array:
        """Interpolate (V, D) values of the vertices at the hits; rows of misses are meaningless."""
        corners = self.surface.faces[np.maximum(hits.triangle, 0)]
        # Corner by corner: einsum over all three is several times slower.
        mixed = hits.weights[:, :1] * values.take(corners[:, 0], axis=0)
        for corner in (1, 2):
            mixed += hits.weights[:, corner : corner + 1] * values.take(corners[:, corner], axis=0)
        return np.asarray(mixed)


def beams(view: View, directions: Array) -> NDArray[np.float32]:
    """(N, 6) position of the camera and direction in the world of every ray.

    Args:
        directions: (N, 3) in the optical frame with z = 1, so that ray length is depth.
    """
    rays_of_world = np.empty((len(directions), 6), np.float32)
    rays_of_world[:, :3], rays_of_world[:, 3:] = view.position, directions @ view.rotation
    return rays_of_world


def dot(ones: Array, others: Array) -> Array:
    """(N,) scalar products of rows; NumPy's sum over so short an axis is slow."""
    return np.asarray(np.einsum("nd,nd->n", ones, others))


def pixel_rays(camera: Camera, samples: int = 1) -> Array:
    """Rays through ``samples`` x ``samples`` places in every pixel, as (H*s*W*s, 3) with z = 1.

    One sample goes through the center of the pixel.
    """
    places = (np.arange(samples) + 0.5) / samples - 0.5
    u = (np.arange(camera.width)[:, None] + places).ravel()
    v = (np.arange(camera.height)[:, None] + places).ravel()
    grid = np.stack(np.meshgrid(u, v), axis=-1)
    return rays(camera, grid.reshape(-1, 2))


def render_depth(scene: Scene, camera: Camera, view: View) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Ideal depth and owner of every pixel.

    Returns:
        (H, W) float32 meters, 0 where there is nothing; (H, W) owner, -1 where there is nothing.
    """
    hits = scene.cast(view, pixel_rays(camera))
    size = (camera.height, camera.width)
    depth = np.where(np.isfinite(hits.depth), hits.depth, 0).astype(np.float32)
    owner = np.where(hits.triangle >= 0, scene.owners[hits.triangle], -1)
    return depth.reshape(size), owner.reshape(size)
