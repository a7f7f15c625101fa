"""Random scenes: a robot's camera in a room with furniture and one to five people.

The camera is at x = y = 0 and looks anywhere; people and furniture are drawn by distance and
bearing from it, so that most of them are in the image. Everything is drawn for a whole batch at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unipose_training.synthetic.bank import BodyBank
from unipose_training.synthetic.batch.looks import Looks, looks_of
from unipose_training.synthetic.batch.scenes import Blocks, Cameras, Lamps, People, Rooms, SceneBatch
from unipose_training.synthetic.errors import SyntheticError
from unipose_training.synthetic.materials import PATTERNS
from unipose_training.synthetic.variety.cameras import KINDS
from unipose_training.synthetic.variety.split import TRAINING

Array = NDArray[np.float64]
#: Width, depth and height in meters of furniture and clutter: chair, table, cupboard, sofa, carton, post, shelf.
_FURNITURE = np.array([
    (0.5, 0.5, 0.9), (1.3, 0.8, 0.75), (1.0, 0.5, 1.9), (1.9, 0.9, 0.8), (0.4, 0.4, 0.35), (0.1, 0.1, 2.0),
    (0.8, 0.35, 1.2),
])  # fmt: skip
#: Meters around a person that furniture and other people leave free.
_PERSON_RADIUS = 0.3
#: Materials of a body that get new colors: top, bottom and footwear.
_DYED = slice(1, 4)


@dataclass(frozen=True)
class DrawSettings:
    """What scenes are like.

    Attributes:
        width, height: of the images.
        people: largest number in a frame.
        blocks: largest number of pieces of furniture in a frame.
        nearest, farthest: meters, distance of people.
        camera_low, camera_high: meters above the floor.
        cameras: kinds, see :data:`unipose_training.synthetic.variety.cameras.KINDS`.

    Raises:
        SyntheticError: a range is empty or a camera unknown.
    """

    width: int = 320
    height: int = 240
    people: int = 5
    blocks: int = 8
    nearest: float = 1.0
    farthest: float = 5.5
    camera_low: float = 0.3
    camera_high: float = 1.8
    cameras: tuple[str, ...] = TRAINING.cameras

    def __post_init__(self) -> None:
        if not (0 < self.nearest < self.farthest and 0 < self.camera_low <= self.camera_high):
            raise SyntheticError(f"drawing scenes: {self}: distances and heights must be rising and positive")
        if not self.cameras or not set(self.cameras) <= set(KINDS):
            raise SyntheticError(f"drawing scenes: cameras = {self.cameras}; use some of {', '.join(KINDS)}")
        if self.people < 1 or self.blocks < 0:
            raise SyntheticError(
                f"drawing scenes: people = {self.people}, blocks = {self.blocks}; give at least 1 and 0"
            )


@dataclass(frozen=True, eq=False)
class _Standpoints:
    """Where F cameras stand and look: (F,) each; angles in radians, fields of view half of the whole."""

    height: Array
    yaw: Array
    pitch: Array
    half_view: Array
    low: Array
    high: Array


def draw_scenes(bank: BodyBank, settings: DrawSettings, seed: int, frames: int) -> SceneBatch:
    """Draw a batch; the same arguments give the same scenes."""
    rng = np.random.default_rng(seed)
    cameras, standpoints = _draw_cameras(rng, settings, frames)
    who, where = _draw_places(rng, settings, standpoints)
    return SceneBatch(
        cameras=cameras,
        rooms=Rooms(_tensor(standpoints.low), _tensor(standpoints.high), _room_looks(rng, frames)),
        blocks=_draw_blocks(rng, settings, standpoints, who, where),
        people=_draw_people(rng, bank, who, where),
        lamps=_draw_lamps(rng, standpoints),
        seed=seed,
    )


def _draw_cameras(rng: np.random.Generator, settings: DrawSettings, frames: int) -> tuple[Cameras, _Standpoints]:
    height = rng.uniform(settings.camera_low, settings.camera_high, frames)
    yaw = rng.uniform(-np.pi, np.pi, frames)
    # Robots' cameras are tilted towards people's middles, about 1 m above the floor.
    pitch = np.arctan2(height - 1.0, 3.0) + rng.normal(0, 0.08, frames)
    kinds = [KINDS[settings.cameras[number]] for number in rng.integers(len(settings.cameras), size=frames)]
    # Images of another shape than the sensor's are cut from its middle.
    scale = [max(settings.width / kind.width, settings.height / kind.height) for kind in kinds]
    focal = np.array([kind.focal for kind in kinds]) * scale * rng.uniform(0.98, 1.02, frames)
    center = np.array([(settings.width - 1) / 2, (settings.height - 1) / 2]) + rng.normal(0, 0.01, (frames, 2)) * [
        settings.width, settings.height,
    ]  # fmt: skip
    intrinsics = np.column_stack([focal, focal * rng.normal(1, 0.003, frames), center])
    positions = np.column_stack([np.zeros((frames, 2)), height])
    rotations = _rotations(yaw, pitch, rng.normal(0, 0.02, frames))
    cameras = Cameras(settings.width, settings.height, _tensor(intrinsics), _tensor(positions), _tensor(rotations))
    low = np.column_stack([-rng.uniform(2.2, 7.0, (frames, 2)), np.zeros(frames)])
    high = np.column_stack([rng.uniform(2.2, 7.0, (frames, 2)), rng.uniform(2.3, 3.6, frames)])
    shown = np.arctan(settings.width / 2 / focal)
    return cameras, _Standpoints(height, yaw, pitch, shown, low, high)


def _rotations(yaw: Array, pitch: Array, roll: Array) -> Array:
    """(F, 3, 3) world -> optical; pitch is down."""
    zero = np.zeros_like(yaw)
    forward = np.stack([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), -np.sin(pitch)], axis=1)
    level = np.stack([np.sin(yaw), -np.cos(yaw), zero], axis=1)
    down = np.cross(forward, level)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    return np.stack([c * level + s * down, c * down - s * level, forward], axis=1)


def _draw_places(
    rng: np.random.Generator, settings: DrawSettings, stand: _Standpoints
) -> tuple[NDArray[np.bool_], Array]:
    """(F, P) who is there and (F, P, 2) where; everybody keeps clear of those before him."""
    frames, most = len(stand.yaw), settings.people
    bearing = stand.yaw[:, None] + stand.half_view[:, None] * rng.uniform(-0.95, 0.95, (frames, most))
    distance = rng.uniform(settings.nearest, settings.farthest, (frames, most))
    distance = np.minimum(distance, _to_wall(stand, bearing) - 0.4)
    place = distance[..., None] * np.stack([np.cos(bearing), np.sin(bearing)], axis=-1)
    there = np.arange(most) < rng.integers(1, most + 1, frames)[:, None]
    for person in range(1, most):
        gap = np.linalg.norm(place[:, :person] - place[:, person, None], axis=-1)
        there[:, person] &= ~((gap < 2 * _PERSON_RADIUS) & there[:, :person]).any(axis=1)
    return there, place


def _to_wall(stand: _Standpoints, bearing: Array) -> Array:
    """Distance from the camera to the wall in some direction."""
    direction = np.stack([np.cos(bearing), np.sin(bearing)], axis=-1)
    wall = np.where(direction > 0, stand.high[:, None, :2], stand.low[:, None, :2])
    return np.asarray((wall / np.where(direction == 0, 1e-12, direction)).min(axis=-1))


def _draw_people(rng: np.random.Generator, bank: BodyBank, there: NDArray[np.bool_], where: Array) -> People:
    frames, number = np.nonzero(there)
    count = len(frames)
    bodies = rng.integers(len(bank.people), size=count)
    colors = torch.stack([looks_of(bank.people[body].materials).colors for body in range(len(bank.people))])[bodies]
    new = rng.random(count) < 0.7
    dyes = colors[:, _DYED].shape
    colors[new, _DYED] = _tensor(
        np.clip(rng.uniform(0.05, 0.9, (*dyes[:3], 1)) + rng.normal(0, 0.13, dyes), 0.02, 0.97)
    )[new]
    return People(
        frames=torch.from_numpy(frames),
        owners=torch.from_numpy(number + 1),
        bodies=torch.from_numpy(bodies),
        poses=torch.from_numpy(rng.integers(len(bank.poses), size=count)),
        places=_tensor(np.column_stack([where[there], np.zeros(count)])),
        headings=_tensor(rng.uniform(-np.pi, np.pi, count)),
        colors=colors,
    )


def _draw_blocks(
    rng: np.random.Generator, settings: DrawSettings, stand: _Standpoints, there: NDArray[np.bool_], people: Array
) -> Blocks:
    """Furniture on the floor that stands in nobody, nor where the camera is."""
    shape = (len(stand.yaw), settings.blocks)
    sizes = _FURNITURE[rng.integers(len(_FURNITURE), size=shape)] * rng.uniform(0.8, 1.25, (*shape, 3))
    bearing = stand.yaw[:, None] + stand.half_view[:, None] * rng.uniform(-1.2, 1.2, shape)
    radius = np.linalg.norm(sizes[..., :2], axis=-1) / 2
    distance = rng.uniform(0.5, 1.1, shape) * np.minimum(_to_wall(stand, bearing), settings.farthest + 1)
    place = distance[..., None] * np.stack([np.cos(bearing), np.sin(bearing)], axis=-1)
    gaps = np.linalg.norm(place[:, :, None] - people[:, None], axis=-1) - radius[..., None]
    kept = ~((gaps < _PERSON_RADIUS) & there[:, None]).any(axis=-1) & (distance > radius + 0.5)
    kept &= np.arange(settings.blocks) < rng.integers(settings.blocks + 1, size=shape[0])[:, None]
    centers = np.concatenate([place, sizes[..., 2:] / 2], axis=-1)
    return Blocks(
        frames=torch.from_numpy(np.nonzero(kept)[0]),
        centers=_tensor(centers[kept]),
        sizes=_tensor(sizes[kept]),
        yaws=_tensor(rng.uniform(0, np.pi, shape)[kept]),
        looks=_plain_looks(rng, int(kept.sum())),
    )


def _room_looks(rng: np.random.Generator, frames: int) -> Looks:
    """Floor (boards, tiles or plain), ceiling and walls of every room."""
    looks = _plain_looks(rng, 3 * frames)
    colors, pattern, sizes = looks.colors, looks.pattern, looks.sizes
    floors = torch.from_numpy(rng.choice([PATTERNS.index(name) for name in ("planks", "tiles", "plain")], frames))
    pattern[0::3] = floors
    sizes[0::3, 0] = _tensor(np.where(floors == PATTERNS.index("tiles"), 0.5, 0.12))
    colors[0::3, 1] = 0.7 * colors[0::3, 0]
    # Ceilings and walls are light and hardly colored.
    for part in (1, 2):
        colors[part::3, 0] = _tensor(rng.uniform(0.6, 0.95, (frames, 1)) + rng.normal(0, 0.03, (frames, 3)))
        sizes[part::3, 1:] = torch.tensor([0.025, 0.3])
    return looks


def _plain_looks(rng: np.random.Generator, count: int) -> Looks:
    colors = np.clip(rng.uniform(0.1, 0.8, (count, 1, 1)) + rng.normal(0, 0.08, (count, 2, 3)), 0.03, 0.97)
    sizes = np.tile([0.1, 0.08, 0.03], (count, 1))
    return Looks(_tensor(colors), torch.zeros(count, dtype=torch.int64), _tensor(sizes), torch.zeros(count, 0, 9))


def _draw_lamps(rng: np.random.Generator, stand: _Standpoints) -> Lamps:
    """Two lamps under the ceiling, and a weak one at the camera so that nothing is black."""
    frames = len(stand.yaw)
    under = stand.high[:, None, 2] - rng.uniform(0.1, 0.4, (frames, 2))
    across = rng.uniform(0.1, 0.9, (frames, 2, 2)) * (stand.high - stand.low)[:, None, :2] + stand.low[:, None, :2]
    camera = np.stack([np.zeros(frames), np.zeros(frames), stand.height + 0.1], axis=1)
    positions = np.concatenate([np.concatenate([across, under[..., None]], axis=-1), camera[:, None]], axis=1)
    powers = np.column_stack([rng.uniform(1.5, 5.0, (frames, 2)), rng.uniform(0.1, 0.8, frames)])
    return Lamps(
        positions=_tensor(positions),
        radii=torch.full((frames, 3), 0.3),
        powers=_tensor(powers),
        ambient=_tensor(rng.uniform(0.2, 0.5, frames)),
        exposure=_tensor(rng.uniform(1.2, 2.2, frames)),
    )


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
