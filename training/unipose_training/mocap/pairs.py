"""Pairs of keypoints and 3D joints for the lifter, and keypoints without any 3D."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from unipose_ros.codecs.keypoints import (
    NOMINAL_FOCAL,
    CanonicalView,
    lifter_input,
    plane_to_rays,
    refiner_input,
    rotations_to_axis,
    view_rays,
)
from unipose_ros.joint_sets import COCO17, COCO23, ITOP15, convert_joints
from unipose_training.datasets.coco import CocoImages
from unipose_training.errors import DataError
from unipose_training.mocap.virtual_cameras import Sightings, Viewpoints, sample_sightings

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: A labeled person of a data set is of use with so many keypoints.
_LEAST_LABELS = 8
#: No person's keypoints are farther from the middle of those that are seen, in sizes of these: a detector that saw
#: one point of a person, or all of them elsewhere, gives no scale that the others could be told on.
_FARTHEST = 6.0
#: Cosine of the angle to the axis beyond which nothing is on the plane.
_NEARLY_BESIDE = 0.1


class PairBatch(NamedTuple):
    """B people.

    Attributes:
        inputs: (B, LIFTER_INPUT).
        seen, confidences: (B, 17) what the lifter is given, and how sure the detector is of it.
        keypoints: (B, 17, 2) true ones on the scaled plane of ``inputs``.
        labeled: (B, 17) bool, inside the image and near what is seen.
        joints: (B, 15, 3) meters from the middle of the hips, in the frame of the camera turned to the person; NaN
            unknown.
        rotation: (B, 3, 3) upright frame -> that frame; NaN unknown.
        sizes: (B,) size of the scaled plane's unit on the plane z = 1.
        known: (B,) bool, K known.
        paired: (B,) bool; of the others only the keypoints may be used.
    """

    inputs: Tensor
    seen: Tensor
    confidences: Tensor
    keypoints: Tensor
    labeled: Tensor
    joints: Tensor
    rotation: Tensor
    sizes: Tensor
    known: Tensor
    paired: Tensor

    @property
    def rows(self) -> Tensor:
        """(B,) number of each person in the batch."""
        return torch.arange(len(self.inputs))


def joined(parts: Sequence[PairBatch]) -> PairBatch:
    """Several batches as one."""
    return PairBatch(*(torch.cat(values) for values in zip(*parts, strict=True)))


class Detector(Protocol):
    """Sees keypoints falsely."""

    def detect(self, rng: np.random.Generator, pixels: Array) -> tuple[Array, Array]:
        """True pixels (N, 17, 2) -> what it says, and its (N, 17) confidences."""
        ...


@dataclass(frozen=True)
class Observation:
    """What the lifter gets to see of the ground truth.

    Attributes:
        noise: the detector; ``None`` for true keypoints.
        repair: a refiner: REFINER_INPUT numbers of each person -> (N, 17, 2) on the scaled plane.
        clean: share of people whose keypoints are true all the same, with confidence 1.
        threshold: keypoints of lower confidence are not seen; drawn from this range for every person.
        unknown: share of people of whom K is not told.
        trusting: the lifter is told that every keypoint is sure, as one that was trained with true keypoints
            expects; those that a refiner has filled in count too.
    """

    noise: Detector | None = None
    repair: Callable[[NDArray[np.float32]], Array] | None = None
    clean: float = 0.0
    threshold: tuple[float, float] = (0.1, 0.3)
    unknown: float = 0.0
    trusting: bool = False


def observe(rng: np.random.Generator, people: Sightings, observation: Observation, paired: bool) -> PairBatch:
    """What a detector sees, coded for the lifter, with all that is known."""
    pixels, confidences, seen = _detected(rng, people, observation)
    known = rng.random(len(pixels)) >= observation.unknown
    guess = NOMINAL_FOCAL * people.image.max(axis=1)
    focal = np.where(known, people.intrinsics[:, 0], guess)
    center = np.where(known[:, None], people.intrinsics[:, 2:], (people.image - 1) / 2)
    directions = _directions(pixels, focal, center)
    view = view_rays(directions, seen, known)
    if observation.repair is not None:
        repaired = plane_to_rays(view, observation.repair(refiner_input(view, confidences, seen)))
        seen = seen | observation.trusting
        view = view_rays(repaired / repaired[..., 2:], seen, known)
    confidences = np.where(observation.trusting, 1.0, confidences)
    ground_truth, on_plane = _on_plane(_directions(people.pixels, focal, center), view)
    turns = _true_turns(view, people, focal, center)
    joints = _joints15(people.joints) @ turns.transpose(0, 2, 1)
    gravity = np.einsum("nij,nj->ni", turns, people.gravity)
    tensor = torch.from_numpy
    return PairBatch(
        inputs=tensor(lifter_input(view, confidences, seen)),
        seen=tensor(seen),
        confidences=tensor(np.where(seen, confidences, 0.0).astype(np.float32)),
        keypoints=tensor(ground_truth.astype(np.float32)),
        labeled=tensor(people.inside & on_plane),
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


def _directions(pixels: Array, focal: Array, center: Array) -> Array:
    plane = (pixels - center[:, None]) / focal[:, None, None]
    return np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1)


def _on_plane(directions: Array, view: CanonicalView) -> tuple[Array, Mask]:
    """(N, 17, 3) viewing rays -> (N, 17, 2) on the scaled plane, 0 and ``False`` for those that are not near it."""
    turned = directions @ view.turns.transpose(0, 2, 1)
    ahead = turned[..., 2] > _NEARLY_BESIDE * np.linalg.norm(turned, axis=-1)
    plane = turned[..., :2] / np.where(ahead, turned[..., 2], 1.0)[..., None] / view.sizes[:, None, None]
    near = ahead & (np.linalg.norm(plane, axis=-1) < _FARTHEST)
    return np.where(near[..., None], plane, 0.0), np.asarray(near)


def _true_turns(view: CanonicalView, people: Sightings, focal: Array, center: Array) -> Array:
    """The turn to the same middle with the true K, also where the lifter is told a guess."""
    middle = view.turns[:, 2:]
    pixels = middle[..., :2] / middle[..., 2:] * focal[:, None, None] + center[:, None]
    true = _directions(pixels, people.intrinsics[:, 0], people.intrinsics[:, 2:])
    return np.where(view.known[:, None, None], view.turns, rotations_to_axis(true[:, 0]))


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


class Source(Protocol):
    """Something that people can be drawn from."""

    def draw(self, rng: np.random.Generator, count: int) -> PairBatch:
        """``count`` people; the same generator gives the same ones."""
        ...


@dataclass(frozen=True, eq=False)
class MotionSource:
    """Motion capture before virtual cameras.

    Attributes:
        poses: from :func:`unipose_training.mocap.virtual_cameras.posed_joints`.
        paired: ``False`` hides the 3D ground truth.
    """

    poses: NDArray[np.float32]
    views: Viewpoints
    observation: Observation
    paired: bool = True

    def draw(self, rng: np.random.Generator, count: int) -> PairBatch:
        """See :class:`Source`."""
        return observe(rng, sample_sightings(rng, self.poses, self.views, count), self.observation, self.paired)


class LabelSource:
    """Keypoints that people have labeled in images without calibration, in COCO's format.

    Args:
        root, split: see :class:`unipose_training.datasets.coco.CocoImages`. The images are not read.

    Raises:
        DataError: the labels cannot be read, or no person has enough keypoints.
    """

    def __init__(self, root: Path, split: str) -> None:
        pixels, images = [], []
        for image in CocoImages(root, split):
            for person in image.people.pixels[~image.crowd]:
                if np.isfinite(person).all(axis=-1).sum() >= _LEAST_LABELS:
                    pixels.append(person)
                    images.append((image.width, image.height))
        if not pixels:
            raise DataError(f"{root}: no person in {split} has {_LEAST_LABELS} labeled keypoints")
        self._people = _unknown_cameras(np.array(pixels, np.float64), np.array(images, np.float64))

    def __len__(self) -> int:
        return len(self._people.pixels)

    def draw(self, rng: np.random.Generator, count: int) -> PairBatch:
        """See :class:`Source`."""
        people = self._people.select(rng.integers(len(self), size=count))
        return observe(rng, people, Observation(unknown=1.0), paired=False)


def _unknown_cameras(pixels: Array, images: Array) -> Sightings:
    """Labeled people; their joints and gravity are not known and set to nothing in particular."""
    people, labeled = len(pixels), np.asarray(np.isfinite(pixels).all(axis=-1))
    focal = NOMINAL_FOCAL * images.max(axis=1)
    return Sightings(
        joints=np.zeros((people, len(COCO23), 3)),
        pixels=np.where(labeled[..., None], pixels, 0.0),
        inside=labeled,
        intrinsics=np.column_stack([focal, focal, (images - 1) / 2]),
        image=images,
        gravity=np.tile([0.0, 1.0, 0.0], (people, 1)),
    )


class PairDataset(Dataset[PairBatch]):
    """As many people as one likes, in whole batches: half of each from each source.

    Args:
        sources: what to draw from.
        size: how many people to call a pass; validation reads so many.
        seed: of validation, which is the same every time. ``None`` draws other people every time, from
            NumPy's global generator, which the engine seeds for every batch.
    """

    def __init__(self, sources: Sequence[Source], size: int, seed: int | None = None) -> None:
        if not sources:
            raise DataError("pairs: there is nothing to draw people from; give paired or unpaired cameras, or labels")
        self._sources, self._size, self._seed = tuple(sources), size, seed

    def __len__(self) -> int:
        return self._size

    def __getitems__(self, numbers: list[int]) -> PairBatch:
        """One batch of ``len(numbers)`` people."""
        begin = np.random.randint(2**31) if self._seed is None else (self._seed, numbers[0])  # noqa: NPY002
        rng = np.random.default_rng(begin)
        shares = [len(numbers[first :: len(self._sources)]) for first in range(len(self._sources))]
        parts = [source.draw(rng, count) for source, count in zip(self._sources, shares, strict=True) if count]
        return joined(parts)


def identity_collate(batch: Any) -> Any:
    """Collates what is a batch already."""
    return batch
