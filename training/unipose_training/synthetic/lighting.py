"""Color images: lamps, soft shadows, exposure and the camera's noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_training.synthetic.materials import shade
from unipose_training.synthetic.renderer import Hits, Scene, View, dot, pixel_rays

Array = NDArray[np.float64]
#: An array of NumPy or a tensor of torch.
Values = TypeVar("Values")


@dataclass(frozen=True)
class Lamp:
    """A round lamp: where, how large (radius, meters) and how bright."""

    position: tuple[float, float, float]
    radius: float
    power: float


CEILING_LAMPS = (Lamp((-1.6, 1.4, 2.5), 0.35, 3.4), Lamp((1.9, 3.6, 2.55), 0.3, 1.9))


@dataclass(frozen=True)
class Lighting:
    """Lamps, and light from everywhere.

    Attributes:
        lamps: each casts soft shadows.
        ambient: from above; from below comes half of it.
        exposure: factor before the film.
        noise: standard deviation in 8-bit steps.
        samples: rays per pixel along each axis.
    """

    lamps: tuple[Lamp, ...] = CEILING_LAMPS
    ambient: float = 0.28
    exposure: float = 1.8
    noise: float = 1.5
    samples: int = 2


#: Display gamma of the film; see :func:`develop`.
GAMMA = 2.2
#: Light from above, and what comes from below of it.
_SKY, _FLOOR = 0.75, 0.25


def ambient_light(ambient: float | Values, up: Values) -> Values:
    """Light from everywhere on surfaces.

    Args:
        ambient: from above; from below comes half of it.
        up: upward component of the unit normals.
    """
    light: Values = ambient * (_SKY + _FLOOR * cast(Any, up))
    return light


def lamp_light(points: Array, normals: Array, lamps: Array, power: float) -> Array:
    """(N,) light of a lamp on (N, 3) points if nothing stands between: Lambert's law and the inverse square.

    Args:
        lamps: (N, 3) or (3,) where it stands.
    """
    towards = lamps - points
    distance = np.sqrt(dot(towards, towards))
    cosine = np.clip(dot(normals, towards) / distance, 0, 1)
    return np.asarray(power * cosine / distance**2)


def render_color(
    scene: Scene, camera: Camera, view: View, lighting: Lighting, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB."""
    hits = scene.cast(view, pixel_rays(camera, lighting.samples))
    light = np.zeros((len(hits.depth), 3))
    seen = hits.triangle >= 0
    light[seen] = _lit_color(scene, view, lighting, select(hits, seen), _lamp_spots(camera, lighting)[seen])
    fine = light.reshape(camera.height, lighting.samples, camera.width, lighting.samples, 3)
    return develop(fine.mean(axis=(1, 3)), lighting, rng)


def _lamp_spots(camera: Camera, lighting: Lighting) -> Array:
    """(rays, 3) place on a lamp of radius 1 that each ray asks for light.

    The rays of a pixel share the lamp out evenly among them, all pixels in the same way: the mean
    makes shadows soft without speckles.
    """
    n = lighting.samples
    row, column = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    # Neighboring rays ask for distant places, or an edge of the mesh would be seen as a shadow's.
    order = (np.arange(n * n) * 5) % (n * n) if n % 5 else np.arange(n * n)
    x, y = ((column.ravel()[order] + 0.5) / n * 2 - 1), ((row.ravel()[order] + 0.5) / n * 2 - 1)
    pattern = np.stack([x, y, np.zeros(n * n)], axis=1).reshape(1, n, 1, n, 3)
    whole = np.broadcast_to(pattern, (camera.height, n, camera.width, n, 3))
    return whole.reshape(-1, 3)


def select(hits: Hits, keep: NDArray[np.bool_]) -> Hits:
    """Some of the hits."""
    return Hits(hits.depth[keep], hits.triangle[keep], hits.weights[keep])


def _lit_color(scene: Scene, view: View, lighting: Lighting, hits: Hits, spots: Array) -> Array:
    points = scene.at(hits, scene.surface.vertices)
    normals = facing(scene.at(hits, scene.normals), view.position - points)
    reflectance = reflectance_of(scene, hits)
    # Off the surface, so that a point does not shade itself where flat triangles stand for a curve.
    lifted = points + 0.012 * normals
    irradiance = ambient_light(lighting.ambient, normals[:, 2])
    for lamp in lighting.lamps:
        places = lamp.position + lamp.radius * spots
        irradiance = irradiance + lamp_light(points, normals, places, lamp.power) * scene.is_lit(lifted, places)
    return reflectance * irradiance[:, None]


def facing(normals: Array, towards: Array) -> Array:
    """Unit normals on the side that is seen: cloth has two sides."""
    scale = 1 / np.maximum(np.sqrt(dot(normals, normals)), 1e-12)
    return np.asarray(normals * np.where(dot(normals, towards) < 0, -scale, scale)[:, None])


def reflectance_of(scene: Scene, hits: Hits) -> Array:
    """(N, 3) linear reflectance of what was hit; hits only, no misses."""
    places = scene.at(hits, scene.surface.texture)
    looks = scene.surface.look[hits.triangle]
    color = np.empty_like(places)
    for look in np.unique(looks):
        here = looks == look
        color[here] = shade(scene.surface.materials[look], places[here])
    return color


def develop(light: NDArray[np.floating], lighting: Lighting, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Linear light (H, W, 3) -> 8-bit sRGB with a soft shoulder, a lens's blur and noise; in float32 if given so."""
    exposed = 1 - np.exp(-lighting.exposure * light)
    image = 255 * np.clip(exposed, 0, 1) ** (1 / GAMMA)
    image = cv2.GaussianBlur(image, (0, 0), 0.5)
    grain = lighting.noise * rng.standard_normal(image.shape, np.float32 if light.dtype == np.float32 else np.float64)
    return np.asarray(np.clip(np.rint(image + grain), 0, 255), np.uint8)
