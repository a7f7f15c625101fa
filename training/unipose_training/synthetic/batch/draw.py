"""Random scenes: a robot's camera in a room with furniture and people, or without any.

A scene is of a kind (:attr:`DrawSettings.scenes`): people anywhere, on the floor, in action, close to the camera,
cut by a border of the image, before a wall, touching each other; or an empty room with what is mistaken for people.
Every person has a body of the bank, a pose of their own (:mod:`unipose_training.synthetic.poses`), and clothes
dyed anew. Everything follows from the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.bank import BodyBank
from unipose_training.synthetic.bank.posing import BankTensors, to_tensors
from unipose_training.synthetic.batch.furnish import draw_rooms, furnish, props_of
from unipose_training.synthetic.batch.layout import KINDS_OF_SCENES, Range, draw_slots
from unipose_training.synthetic.batch.looks import Looks, looks_of
from unipose_training.synthetic.batch.placing import (
    Mounting,
    Placed,
    Standpoints,
    aimed,
    draw_standpoints,
    mounted,
    place_people,
    rotations,
)
from unipose_training.synthetic.batch.scenes import Blocks, Cameras, Lamps, People, Rooms, SceneBatch
from unipose_training.synthetic.materials import PATTERNS
from unipose_training.synthetic.poses.sampler import PoseSampler
from unipose_training.synthetic.variety.cameras import KINDS
from unipose_training.synthetic.variety.split import TRAINING

Array = NDArray[np.float64]
#: Materials of a body that get new colors: top, bottom and footwear.
_DYED = slice(1, 4)
#: Materials that may return nothing to a depth sensor, each for itself: top, bottom, footwear and hair.
_MAY_BE_LOST = (1, 2, 3, 4)


@dataclass(frozen=True)
class DrawSettings:
    """What scenes are like.

    Attributes:
        width, height: of the images; taller than wide is a camera held upright.
        people: largest number in a frame.
        blocks: largest number of things in a frame, each of one or several boxes.
        nearest, farthest: meters, distance of people; scenes of the kind ``close`` are nearer.
        camera_low, camera_high: meters above the floor; three in four are between 0.3 and 1.8 m all the same.
        cameras: kinds, see :data:`unipose_training.synthetic.variety.cameras.KINDS`.
        scenes: how often each kind of :data:`~unipose_training.synthetic.batch.layout.KINDS_OF_SCENES` is drawn.
        arms: fraction of captured motion whose arms are drawn anew; arms of other poses always are.
        tilted: fraction of cameras that are tilted up to 45 degrees up or down or rolled up to 30.
        carrying: fraction of people with a box, a bag, a backpack or a stick.
        no_return: fraction of people whose hair, and of tops, bottoms and shoes a third as many, return no light
            to a depth sensor; see :attr:`~unipose_training.synthetic.batch.scenes.People.no_return`.
        like_people: fraction of things that are easily mistaken for people.
        mounting: of one robot's camera, which a part of the frames has.

    Raises:
        SyntheticError: a range is empty, a fraction is not one, or a camera or a kind of scene is unknown.
    """

    width: int = 320
    height: int = 240
    people: int = 5
    blocks: int = 8
    nearest: float = 1.0
    farthest: float = 5.5
    camera_low: float = 0.2
    camera_high: float = 2.8
    cameras: tuple[str, ...] = TRAINING.cameras
    scenes: dict[str, float] = field(
        default_factory=lambda: {
            "open": 0.25, "touching": 0.17, "border": 0.12, "close": 0.13, "wall": 0.07, "floor": 0.11, "active": 0.08,
            "empty": 0.07,
        }
    )  # fmt: skip
    arms: float = 0.6
    tilted: float = 0.2
    carrying: float = 0.12
    no_return: float = 0.12
    like_people: float = 0.5
    mounting: Mounting = field(default_factory=Mounting)

    def __post_init__(self) -> None:
        if not (0 < self.nearest < self.farthest and 0 < self.camera_low <= self.camera_high):
            raise SyntheticError(f"drawing scenes: {self}: distances and heights must be rising and positive")
        if not self.cameras or not set(self.cameras) <= set(KINDS):
            raise SyntheticError(f"drawing scenes: cameras = {self.cameras}; use some of {', '.join(KINDS)}")
        if self.people < 1 or self.blocks < 0:
            raise SyntheticError(
                f"drawing scenes: people = {self.people}, blocks = {self.blocks}; give at least 1 and 0"
            )
        weights = list(self.scenes.values())
        if not set(self.scenes) <= set(KINDS_OF_SCENES) or min(weights, default=-1) < 0 or not sum(weights) > 0:
            raise SyntheticError(
                f"drawing scenes: scenes = {self.scenes}; give weights of some of {', '.join(KINDS_OF_SCENES)}"
            )
        for name in ("arms", "tilted", "carrying", "no_return", "like_people"):
            if not 0 <= getattr(self, name) <= 1:
                raise SyntheticError(f"drawing scenes: {name} = {getattr(self, name)}; must be within [0, 1]")


@lru_cache(maxsize=4)
def _prepared(bank: BodyBank) -> tuple[PoseSampler, BankTensors, Tensor]:
    """What drawing needs of a bank: poses, bodies and the (P, L, 2, 3) colors of their materials."""
    colors = [looks_of(person.materials).colors for person in bank.people]
    return PoseSampler(bank), to_tensors(bank), torch.stack(colors)


def draw_scenes(bank: BodyBank, settings: DrawSettings, seed: int, frames: int) -> SceneBatch:
    """Draw a batch; the same arguments give the same scenes."""
    rng = np.random.default_rng(seed)
    sampler, tensors, colors = _prepared(bank)
    weights = np.array(list(settings.scenes.values()))
    kinds = rng.choice(list(settings.scenes), frames, p=weights / weights.sum())
    stand = draw_standpoints(
        rng, (settings.width, settings.height), settings.cameras, (settings.camera_low, settings.camera_high),
        settings.tilted, frames,
    )  # fmt: skip
    reach = Range(settings.nearest, settings.farthest)
    slots = draw_slots(rng, kinds, stand.half_view, settings.people, reach, settings.carrying)
    people = place_people(rng, sampler, slots, stand.yaw, stand.height, settings.arms)
    stand = aimed(rng, stand, kinds, people)
    if settings.mounting.fraction:
        stand = mounted(np.random.default_rng((seed, 1)), stand, settings.mounting, settings.width, settings.height)
    low, high = draw_rooms(rng, stand, kinds, people)
    groups = [(int(people.frames[row]), group) for row, group in props_of(rng, tensors, sampler.skeletons, people)]
    groups += furnish(
        rng, stand, kinds, (low, high), people, settings.blocks, settings.like_people, settings.farthest + 1
    )
    return SceneBatch(
        cameras=_cameras(rng, settings, stand),
        rooms=Rooms(_tensor(low), _tensor(high), _room_looks(rng, frames)),
        blocks=_blocks(rng, groups),
        people=_people(rng, people, colors, settings.no_return),
        lamps=_draw_lamps(rng, stand, low, high),
        seed=seed,
    )


def _cameras(rng: np.random.Generator, settings: DrawSettings, stand: Standpoints) -> Cameras:
    frames, size = len(stand.yaw), np.array([settings.width, settings.height])
    center = (size - 1) / 2 + rng.normal(0, 0.01, (frames, 2)) * size
    intrinsics = np.column_stack([stand.focal, stand.focal * rng.normal(1, 0.003, frames), center])
    positions = np.column_stack([np.zeros((frames, 2)), stand.height])
    turned = rotations(stand.yaw, stand.pitch, stand.roll)
    return Cameras(settings.width, settings.height, _tensor(intrinsics), _tensor(positions), _tensor(turned))


def _people(rng: np.random.Generator, people: Placed, colors: Tensor, no_return: float) -> People:
    count = len(people)
    owners = np.ones(count, np.int64)
    for row in range(1, count):
        owners[row] = owners[row - 1] + 1 if people.frames[row] == people.frames[row - 1] else 1
    worn = colors[torch.from_numpy(people.body)].clone()
    new = rng.random(count) < 0.7
    dyes = worn[:, _DYED].shape
    worn[new, _DYED] = _tensor(np.clip(rng.uniform(0.05, 0.9, (*dyes[:3], 1)) + rng.normal(0, 0.13, dyes), 0.02, 0.97))[
        new
    ]
    lost = np.zeros((count, worn.shape[1]), bool)
    for material in _MAY_BE_LOST:
        if material < worn.shape[1]:
            lost[:, material] = rng.random(count) < (no_return if material == _MAY_BE_LOST[-1] else no_return / 3)
    gone = torch.from_numpy(lost)
    # What returns no infrared light is mostly dark to the eye, too.
    worn[gone] = 0.15 * worn[gone]
    return People(
        frames=torch.from_numpy(people.frames),
        owners=torch.from_numpy(owners),
        bodies=torch.from_numpy(people.body),
        poses=torch.from_numpy(people.drawn.poses),
        places=_tensor(np.column_stack([people.places, np.zeros(count)])),
        headings=_tensor(people.headings),
        colors=worn,
        turns=_tensor(people.drawn.turns),
        no_return=gone,
    )


def _blocks(rng: np.random.Generator, groups: Sequence[tuple[int, tuple[Array, Array, Array]]]) -> Blocks:
    """All groups of boxes; those of one have two looks between them."""
    if not groups:
        none = torch.zeros(0, 3)
        return Blocks(torch.zeros(0, dtype=torch.int64), none, none, torch.zeros(0), _plain_looks(rng, 0))
    counts = [len(yaws) for _, (_, _, yaws) in groups]
    frames = np.repeat([frame for frame, _ in groups], counts)
    looks = _plain_looks(rng, 2 * len(groups))
    which = 2 * np.repeat(np.arange(len(groups)), counts) + (rng.random(sum(counts)) < 0.3)
    return Blocks(
        frames=torch.from_numpy(frames.astype(np.int64)),
        centers=_tensor(np.concatenate([middles for _, (middles, _, _) in groups])),
        sizes=_tensor(np.concatenate([sizes for _, (_, sizes, _) in groups])),
        yaws=_tensor(np.concatenate([yaws for _, (_, _, yaws) in groups])),
        looks=looks[torch.from_numpy(which)],
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


def _draw_lamps(rng: np.random.Generator, stand: Standpoints, low: Array, high: Array) -> Lamps:
    """Two lamps under the ceiling, and a weak one at the camera so that nothing is black."""
    frames = len(stand.yaw)
    under = high[:, None, 2] - rng.uniform(0.1, 0.4, (frames, 2))
    across = rng.uniform(0.1, 0.9, (frames, 2, 2)) * (high - low)[:, None, :2] + low[:, None, :2]
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
