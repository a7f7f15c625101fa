"""Motion capture seen by virtual cameras: people, lenses and places drawn at random.

People and poses come from a body bank (``python -m unipose_training.synthetic.bank``); every draw is
another person, heading, camera and place in the image, so there is no end to them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from unipose_ros.joint_sets import COCO23
from unipose_training.errors import DataError
from unipose_training.synthetic.bank.posing import pose_people, to_tensors
from unipose_training.synthetic.bank.types import BodyBank
from unipose_training.synthetic.variety.cameras import KINDS

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: No person is nearer than this to the camera plane with any joint (meters), or has fewer keypoints in the image.
_NEAREST, _LEAST_KEYPOINTS = 0.3, 8
#: Meters above the floor that cameras look at.
_AIM = 0.9


@dataclass(frozen=True)
class Viewpoints:
    """Where cameras stand.

    Attributes:
        kinds: of :data:`unipose_training.synthetic.variety.cameras.KINDS`.
        height: meters above the floor, lowest and highest.
        distance: meters to the person, nearest and farthest.
        aim_std: radians by which they look past the person's middle, up or down.
        roll_std: radians.
        tilt: degrees downwards, least and most, of cameras that are mounted so and do not aim at the person; ``None``
            for those that do.

    Raises:
        DataError: an unknown camera, or an empty range.
    """

    kinds: tuple[str, ...]
    height: tuple[float, float]
    distance: tuple[float, float] = (1.5, 6.0)
    aim_std: float = 0.08
    roll_std: float = 0.02
    tilt: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise DataError(f"viewpoints: kinds = {self.kinds}; use some of {', '.join(KINDS)}")
        if not (0 <= self.height[0] <= self.height[1] and 0 < self.distance[0] <= self.distance[1]):
            raise DataError(f"viewpoints: height = {self.height}, distance = {self.distance}: give rising ranges")
        if self.tilt is not None and not -90 < self.tilt[0] <= self.tilt[1] < 90:
            raise DataError(f"viewpoints: tilt = {self.tilt}: give a rising range within (-90, 90) degrees")


def posed_joints(bank: BodyBank, bodies: int, seed: int) -> NDArray[np.float32]:
    """(M, 23, 3) meters, COCO-23: every pose of a bank on some of its bodies, hips above the origin, z up."""
    rng = np.random.default_rng(seed)
    tensors, poses = to_tensors(bank), torch.arange(len(bank.poses)).repeat(bodies)
    who = torch.from_numpy(rng.integers(len(bank.people), size=len(poses)))
    parts = []
    for body, pose in zip(torch.split(who, 256), torch.split(poses, 256), strict=True):
        none = torch.zeros(len(pose))
        parts.append(pose_people(tensors, body, pose, torch.zeros(len(pose), 3), none).joints)
    return torch.cat(parts).numpy().astype(np.float32)


@dataclass(frozen=True, eq=False)
class Sightings:
    """N people before cameras.

    Attributes:
        joints: (N, 23, 3) meters in the optical frame.
        pixels: (N, 17, 2) true ones.
        inside: (N, 17) in the image.
        intrinsics: (N, 4) fx, fy, cx, cy.
        image: (N, 2) width and height.
        gravity: (N, 3) unit vector downwards in the optical frame.
    """

    joints: Array
    pixels: Array
    inside: Mask
    intrinsics: Array
    image: Array
    gravity: Array

    def select(self, people: Mask | NDArray[np.intp]) -> Sightings:
        """The people of a mask or of an index array, in its order."""
        return Sightings(**{name: value[people] for name, value in vars(self).items()})


def fraction_seen(rng: np.random.Generator, poses: NDArray[np.float32], views: Viewpoints, count: int = 256) -> float:
    """Of so many people who are drawn, those who are mostly in their images: cameras that do not aim may miss all."""
    return float(_usable(_draw(rng, poses, views, count)).mean())


def sample_sightings(rng: np.random.Generator, poses: NDArray[np.float32], views: Viewpoints, count: int) -> Sightings:
    """Exactly ``count`` people, each mostly in its image."""
    parts: list[Sightings] = []
    while sum(len(part.joints) for part in parts) < count:
        drawn = _draw(rng, poses, views, count)
        parts.append(drawn.select(_usable(drawn)))
    names = vars(parts[0])
    return Sightings(**{name: np.concatenate([vars(part)[name] for part in parts])[:count] for name in names})


def _usable(people: Sightings) -> Mask:
    near = (people.joints[..., 2] > _NEAREST).all(axis=1)
    return np.asarray(near & (people.inside.sum(axis=1) >= _LEAST_KEYPOINTS))


def _draw(rng: np.random.Generator, poses: NDArray[np.float32], views: Viewpoints, count: int) -> Sightings:
    kinds = [KINDS[views.kinds[number]] for number in rng.integers(len(views.kinds), size=count)]
    image = np.array([(kind.width, kind.height) for kind in kinds], np.float64)
    focal = np.array([kind.focal for kind in kinds]) * rng.uniform(0.98, 1.02, count)
    center = (image - 1) / 2 + rng.uniform(-8, 8, (count, 2))
    height, distance = (rng.uniform(*limits, count) for limits in (views.height, views.distance))
    tilt = np.arctan2(height - _AIM, distance) + rng.normal(0, views.aim_std, count)
    if views.tilt is not None:
        tilt = np.radians(rng.uniform(*views.tilt, count))
    bearing = rng.uniform(-0.8, 0.8, count) * np.arctan(image[:, 0] / 2 / focal)
    place = distance[:, None] * np.stack([np.sin(bearing), np.cos(bearing)], axis=1)
    world = _turned(rng, poses[rng.integers(len(poses), size=count)].astype(np.float64))
    world += np.concatenate([place, -height[:, None]], axis=1)[:, None]
    looking = _looking(tilt, rng.normal(0, views.roll_std, count))
    joints = world @ looking.transpose(0, 2, 1)
    depth = np.where(joints[:, :17, 2:] > _NEAREST, joints[:, :17, 2:], np.nan)
    pixels = joints[:, :17, :2] / depth * focal[:, None, None] + center[:, None]
    inside = np.asarray(((pixels > 0) & (pixels < image[:, None] - 1)).all(axis=-1))
    return Sightings(joints, pixels, inside, np.column_stack([focal, focal, center]), image, gravity=-looking[:, :, 2])


def _turned(rng: np.random.Generator, joints: Array) -> Array:
    """Any heading, and half of them mirrored."""
    mirrored = rng.random(len(joints)) < 0.5
    other = joints[:, list(COCO23.mirror)] * [-1.0, 1.0, 1.0]
    joints = np.where(mirrored[:, None, None], other, joints)
    angle = rng.uniform(-np.pi, np.pi, len(joints))
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y, z = joints[..., 0], joints[..., 1], joints[..., 2]
    return np.stack([c * x - s * y, s * x + c * y, z], axis=-1)


def _looking(tilt: Array, roll: Array) -> Array:
    """(N, 3, 3) world (x right, y ahead, z up) -> optical frame; tilt is downwards."""
    zero, one = np.zeros_like(tilt), np.ones_like(tilt)
    right = np.stack([one, zero, zero], axis=1)
    down = np.stack([zero, -np.sin(tilt), -np.cos(tilt)], axis=1)
    ahead = np.stack([zero, np.cos(tilt), -np.sin(tilt)], axis=1)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    return np.stack([c * right + s * down, c * down - s * right, ahead], axis=1)
