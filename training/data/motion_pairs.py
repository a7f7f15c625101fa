"""Motion capture seen by virtual cameras: pairs of keypoints and 3D joints without any picture.

People and poses come from a body bank (``python -m unipose_training.synthetic.bank``); every draw is
another person, heading, camera and place in the picture, so there is no end to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from unipose_ros.codecs.keypoints import NOMINAL_FOCAL, View, lifter_input, turns_to_axis, view_rays
from unipose_ros.skeletons import COCO17, COCO23, ITOP15, convert_joints
from unipose_training.data.detector_noise import DetectorNoise
from unipose_training.data.errors import DataError
from unipose_training.synthetic.bank.posing import pose_people, to_tensors
from unipose_training.synthetic.bank.types import BodyBank
from unipose_training.synthetic.variety.cameras import KINDS

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Nobody is nearer than this to the camera plane with any joint (metres), or has fewer keypoints in the picture.
_NEAREST, _LEAST_KEYPOINTS = 0.3, 8
#: Metres above the floor that cameras look at.
_AIM = 0.9


@dataclass(frozen=True)
class Viewpoints:
    """Where cameras stand.

    Attributes:
        kinds: of :data:`unipose_training.synthetic.variety.cameras.KINDS`.
        height: metres above the floor, lowest and highest.
        distance: metres to the person, nearest and farthest.
        aim_spread: radians by which they look past the person's middle, up or down.
        roll_spread: radians.

    Raises:
        DataError: an unknown camera, or an empty range.
    """

    kinds: tuple[str, ...]
    height: tuple[float, float]
    distance: tuple[float, float] = (1.5, 6.0)
    aim_spread: float = 0.08
    roll_spread: float = 0.02

    def __post_init__(self) -> None:
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise DataError(f"viewpoints: kinds = {self.kinds}; use some of {', '.join(KINDS)}")
        if not (0 <= self.height[0] <= self.height[1] and 0 < self.distance[0] <= self.distance[1]):
            raise DataError(f"viewpoints: height = {self.height}, distance = {self.distance}: give rising ranges")


class PairBatch(NamedTuple):
    """B people.

    Attributes:
        inputs: (B, LIFTER_INPUT).
        seen, confidences: (B, 17) what the lifter is given, and how sure the detector is of it.
        keypoints: (B, 17, 2) true ones on the scaled plane of ``inputs``.
        labelled: (B, 17) bool, inside the picture.
        joints: (B, 15, 3) metres from the middle of the hips, in the frame of the camera turned to the person.
        rotation: (B, 3, 3) upright frame -> that frame.
        sizes: (B,) size of the scaled plane's unit on the plane z = 1.
        known: (B,) bool, K known.
        paired: (B,) bool; of the others only the keypoints may be used.
    """

    inputs: Tensor
    seen: Tensor
    confidences: Tensor
    keypoints: Tensor
    labelled: Tensor
    joints: Tensor
    rotation: Tensor
    sizes: Tensor
    known: Tensor
    paired: Tensor


def posed_joints(bank: BodyBank, bodies: int, seed: int) -> NDArray[np.float32]:
    """(M, 23, 3) metres, COCO-23: every pose of a bank on some of its bodies, hips above the origin, z up."""
    rng = np.random.default_rng(seed)
    tensors, poses = to_tensors(bank), torch.arange(len(bank.poses)).repeat(bodies)
    who = torch.from_numpy(rng.integers(len(bank.people), size=len(poses)))
    parts = []
    for body, pose in zip(who.split(256), poses.split(256), strict=True):
        none = torch.zeros(len(pose))
        parts.append(pose_people(tensors, body, pose, torch.zeros(len(pose), 3), none).joints)
    return torch.cat(parts).numpy().astype(np.float32)


@dataclass(frozen=True, eq=False)
class Sightings:
    """N people before cameras.

    Attributes:
        joints: (N, 23, 3) metres in the optical frame.
        pixels: (N, 17, 2) true ones.
        inside: (N, 17) in the picture.
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

    def select(self, people: Mask) -> Sightings:
        """The people of a mask."""
        return Sightings(**{name: value[people] for name, value in vars(self).items()})


def draw_sightings(rng: np.random.Generator, poses: NDArray[np.float32], views: Viewpoints, count: int) -> Sightings:
    """Exactly ``count`` people, each mostly in its picture."""
    parts: list[Sightings] = []
    while sum(len(part.joints) for part in parts) < count:
        drawn = _draw(rng, poses, views, count)
        near = (drawn.joints[..., 2] > _NEAREST).all(axis=1)
        parts.append(drawn.select(near & (drawn.inside.sum(axis=1) >= _LEAST_KEYPOINTS)))
    names = vars(parts[0])
    return Sightings(**{name: np.concatenate([vars(part)[name] for part in parts])[:count] for name in names})


def _draw(rng: np.random.Generator, poses: NDArray[np.float32], views: Viewpoints, count: int) -> Sightings:
    kinds = [KINDS[views.kinds[number]] for number in rng.integers(len(views.kinds), size=count)]
    image = np.array([(kind.width, kind.height) for kind in kinds], np.float64)
    focal = np.array([kind.focal for kind in kinds]) * rng.uniform(0.98, 1.02, count)
    centre = (image - 1) / 2 + rng.uniform(-8, 8, (count, 2))
    height, distance = (rng.uniform(*limits, count) for limits in (views.height, views.distance))
    tilt = np.arctan2(height - _AIM, distance) + rng.normal(0, views.aim_spread, count)
    bearing = rng.uniform(-0.8, 0.8, count) * np.arctan(image[:, 0] / 2 / focal)
    place = distance[:, None] * np.stack([np.sin(bearing), np.cos(bearing)], axis=1)
    world = _turned(rng, poses[rng.integers(len(poses), size=count)].astype(np.float64))
    world += np.concatenate([place, -height[:, None]], axis=1)[:, None]
    looking = _looking(tilt, rng.normal(0, views.roll_spread, count))
    joints = world @ looking.transpose(0, 2, 1)
    depth = np.where(joints[:, :17, 2:] > _NEAREST, joints[:, :17, 2:], np.nan)
    pixels = joints[:, :17, :2] / depth * focal[:, None, None] + centre[:, None]
    inside = ((pixels > 0) & (pixels < image[:, None] - 1)).all(axis=-1)
    return Sightings(joints, pixels, inside, np.column_stack([focal, focal, centre]), image, gravity=-looking[:, :, 2])


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


@dataclass(frozen=True)
class Observation:
    """What the lifter gets to see of the truth.

    Attributes:
        noise: of the detector; ``None`` for true keypoints.
        clean: share of people whose keypoints are true all the same, with confidence 1.
        threshold: keypoints of lower confidence are not seen; drawn from this range for every person.
        unknown: share of people of whom K is not told.
    """

    noise: DetectorNoise | None = None
    clean: float = 0.0
    threshold: tuple[float, float] = (0.1, 0.3)
    unknown: float = 0.0


def observe(rng: np.random.Generator, people: Sightings, observation: Observation, paired: bool) -> PairBatch:
    """What a detector sees, coded for the lifter, with all that is known."""
    pixels, confidences, seen = _detected(rng, people, observation)
    known = rng.random(len(pixels)) >= observation.unknown
    guess = NOMINAL_FOCAL * people.image.max(axis=1)
    focal = np.where(known, people.intrinsics[:, 0], guess)
    centre = np.where(known[:, None], people.intrinsics[:, 2:], (people.image - 1) / 2)
    view = view_rays(_directions(pixels, focal, centre), seen, known)
    truth = _directions(people.pixels, focal, centre) @ view.turns.transpose(0, 2, 1)
    turns = _true_turns(view, pixels, seen, people)
    joints = _joints15(people.joints) @ turns.transpose(0, 2, 1)
    gravity = np.einsum("nij,nj->ni", turns, people.gravity)
    tensor = torch.from_numpy
    return PairBatch(
        inputs=tensor(lifter_input(view, confidences, seen)),
        seen=tensor(seen),
        confidences=tensor(np.where(seen, confidences, 0.0).astype(np.float32)),
        keypoints=tensor((truth[..., :2] / truth[..., 2:] / view.sizes[:, None, None]).astype(np.float32)),
        labelled=tensor(people.inside),
        joints=tensor(joints.astype(np.float32)),
        rotation=tensor(upright_rotations(gravity).astype(np.float32)),
        sizes=tensor(view.sizes.astype(np.float32)),
        known=tensor(known),
        paired=torch.full((len(pixels),), paired),
    )


def _detected(rng: np.random.Generator, people: Sightings, observation: Observation) -> tuple[Array, Array, Mask]:
    """Pixels, confidences and what is above the threshold."""
    count = len(people.pixels)
    if observation.noise is None:
        return people.pixels, np.ones((count, len(COCO17))), people.inside
    pixels, confidences = observation.noise.detect(rng, people.pixels)
    true = rng.random(count) < observation.clean
    pixels = np.where(true[:, None, None], people.pixels, pixels)
    confidences = np.where(true[:, None], 1.0, confidences)
    threshold = rng.uniform(*observation.threshold, (count, 1))
    return pixels, confidences, people.inside & (confidences >= threshold)


def _directions(pixels: Array, focal: Array, centre: Array) -> Array:
    plane = (pixels - centre[:, None]) / focal[:, None, None]
    return np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1)


def _true_turns(view: View, pixels: Array, seen: Mask, people: Sightings) -> Array:
    """The turn to the person with the true K, also where the lifter is told a guess."""
    if view.known.all():
        return view.turns
    directions = _directions(pixels, people.intrinsics[:, 0], people.intrinsics[:, 2:])
    middle = np.where(seen[..., None], directions, 0.0).sum(axis=1)
    middle[~seen.any(axis=1)] = [0.0, 0.0, 1.0]
    return turns_to_axis(middle)


def _joints15(joints: Array) -> Array:
    """(N, 23, 3) -> (N, 15, 3) from the middle of the hips."""
    itop, _ = convert_joints(joints, COCO23, ITOP15)
    hips = itop[:, [ITOP15.index("left_hip"), ITOP15.index("right_hip")]].mean(axis=1, keepdims=True)
    return np.asarray(itop - hips)


def upright_rotations(gravity: Array) -> Array:
    """(N, 3) gravity in a camera's frame -> (N, 3, 3) upright frame -> camera's frame.

    The upright frame has y downwards, and z is where the camera looks, made level. A camera that looks
    straight down has no such direction; its own right is then kept.
    """
    ahead = np.array([0.0, 0.0, 1.0]) - gravity * gravity[:, 2:]
    level = np.linalg.norm(ahead, axis=1, keepdims=True)
    ahead = np.where(level > 1e-3, ahead / np.maximum(level, 1e-3), np.cross([1.0, 0.0, 0.0], gravity))
    return np.stack([np.cross(gravity, ahead), gravity, ahead], axis=-1)


class PairStream(IterableDataset[PairBatch]):
    """Batches without end, or as many as asked for; the same seed gives the same ones.

    Args:
        poses: from :func:`posed_joints`, for people with 3D truth; ``None`` to teach with keypoints alone.
        unpaired: the same for people of whom only the 2D labels may be used.
        batch: people of each sort in a batch.
    """

    def __init__(
        self,
        poses: NDArray[np.float32] | None,
        views: Viewpoints,
        observation: Observation,
        batch: int,
        batches: int,
        seed: int,
        unpaired: tuple[NDArray[np.float32], Viewpoints] | None = None,
    ) -> None:
        super().__init__()
        self._sorts = [] if poses is None else [(poses, views, True)]
        self._sorts += [] if unpaired is None else [(*unpaired, False)]
        if not self._sorts:
            raise DataError("pairs: neither paired nor unpaired poses are given; give one of them")
        self._observation = observation
        self._batch, self._batches, self._seed = batch, batches, seed

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[PairBatch]:
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker is not None else (0, 1)
        for number in range(first, self._batches, step):
            yield self._make(np.random.default_rng((self._seed, number)))

    def _make(self, rng: np.random.Generator) -> PairBatch:
        parts = [
            observe(rng, draw_sightings(rng, poses, views, self._batch), self._observation, paired)
            for poses, views, paired in self._sorts
        ]
        return PairBatch(*(torch.cat(values) for values in zip(*parts, strict=True)))
