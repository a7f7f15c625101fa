"""Windows of people with ordered joints, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from unipose_ros.frame import JointStatus
from unipose_ros.geometry.crop import Crop
from unipose_ros.joint_sets import COCO17, ITOP15, convert_joints
from unipose_training.datasets.base import Labels2D, joint_status
from unipose_training.datasets.io import read_color_file
from unipose_training.errors import DataError
from unipose_training.ordinal_depth.files import OrderedImage
from unipose_training.ordinal_depth.pairs import DepthPairs, MeasuredSettings, measured_pairs, perspective_pairs
from unipose_training.ordinal_depth.rules import PerspectiveSettings
from unipose_training.samples.rows import POINTED
from unipose_training.samples.store import SampleStore

#: The window's side as a part of the longer side of the person's box, as the color codec has it.
_MARGIN = 1.25


class OrderBatch(NamedTuple):
    """B windows with M ordered pairs; a pair may be of any person in its window.

    Attributes:
        image: (B, 3, S, S) uint8.
        pixels: (B, 15, 2) joints of the person whom the window is about, in its pixels; NaN not known.
        confidence: (B, 15).
        window: (M,) int64 which window a pair belongs to.
        joints: (M, 2) int64 of the first and the second point.
        points: (M, 2, 2) their pixels in the window.
        own: (M,) bool: both are of the person whom the window is about.
        order: (M,) 1 the first is nearer, -1 farther, 0 equally far.
        weights: (M,).
        farther: (M,) meters by which the second truly is farther; NaN not known.
    """

    image: Tensor
    pixels: Tensor
    confidence: Tensor
    window: Tensor
    joints: Tensor
    points: Tensor
    own: Tensor
    order: Tensor
    weights: Tensor
    farther: Tensor


def window_of(image: NDArray[np.uint8], window: Crop, person: int, scene: OrderedScene) -> OrderBatch:
    """One window, with the pairs that lie in it.

    Args:
        image: (S, S, 3) what the window shows.
        person: of the scene, whom it is about.
    """
    pixels = window.to_window(scene.pixels)
    inside = np.asarray(((pixels >= -0.5) & (pixels < window.size - 0.5)).all(axis=-1))  # NaN is not inside
    pairs = scene.pairs
    ends = np.stack([pairs.first, pairs.second], axis=1)
    kept = np.flatnonzero(inside[ends[..., 0], ends[..., 1]].all(axis=1))
    ends = ends[kept]
    return OrderBatch(
        image=torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None],
        pixels=torch.from_numpy(pixels[person].astype(np.float32))[None],
        confidence=torch.from_numpy(scene.confidence[person])[None],
        window=torch.zeros(len(kept), dtype=torch.int64),
        joints=torch.from_numpy(ends[..., 1].astype(np.int64)),
        points=torch.from_numpy(pixels[ends[..., 0], ends[..., 1]].astype(np.float32)),
        own=torch.from_numpy((ends[..., 0] == person).all(axis=1)),
        order=torch.from_numpy(pairs.order[kept].astype(np.float32)),
        weights=torch.from_numpy(pairs.weights[kept]),
        farther=torch.from_numpy(scene.farther[kept]),
    )


def joined(batches: Sequence[OrderBatch]) -> OrderBatch:
    """Several batches as one, as the ``collate_fn`` of a loader."""
    parts: dict[str, list[Tensor]] = {name: [getattr(batch, name) for batch in batches] for name in OrderBatch._fields}
    counts = [len(batch.image) for batch in batches]
    before = [sum(counts[:number]) for number in range(len(counts))]
    parts["window"] = [window + first for window, first in zip(parts["window"], before, strict=True)]
    return OrderBatch(**{name: torch.cat(values) for name, values in parts.items()})


class StoreOrders(Dataset[OrderBatch]):
    """People of a store, ordered by a depth camera, by perspective, or, for evaluation, by the ground truth.

    Args:
        rows: which rows.

    Raises:
        DataError: the store has no color.
    """

    def __init__(self, store: SampleStore, rows: NDArray[np.integer[Any]], kind: Kind, settings: OrderSettings) -> None:
        if "color" not in store:
            raise DataError(f"{store.folder}: it holds no color; build it with with_color = true")
        self._store, self._rows, self._kind, self._settings = store, np.asarray(rows, np.int64), kind, settings
        frames = store["clip"].astype(np.int64) * (int(store["frame"].max(initial=0)) + 1) + store["frame"]
        # Rows of a frame lie together.
        self._starts = np.searchsorted(frames, frames, side="left")
        self._ends = np.searchsorted(frames, frames, side="right")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> OrderBatch:
        """One window."""
        row = int(self._rows[index])
        start, end = int(self._starts[row]), int(self._ends[row])
        scene = scene_of_rows(self._store, np.arange(start, end), self._kind, self._settings)
        image = np.array(self._store["color"][row])
        u, v, width, height = map(float, self._store["color_window"][row])
        return window_of(image, Crop(u, v, width, height, len(image)), row - start, scene)


class ImageOrders(Dataset[OrderBatch]):
    """People of a label file.

    Args:
        size: pixels of the window's side.

    Raises:
        DataError: no person of them shows two joints.
    """

    def __init__(self, images: Sequence[OrderedImage], size: int) -> None:
        self._images, self._size = images, size
        self._scenes = [scene_of_labels(image.people, image.pairs) for image in images]
        self._people = [
            (number, person)
            for number, scene in enumerate(self._scenes)
            for person, pixels in enumerate(scene.pixels)
            if np.isfinite(pixels).all(axis=-1).sum() >= 2 and np.nanmax(np.ptp(_known(pixels), axis=0)) > 0
        ]
        if not self._people:
            raise DataError("the label files show no person with two joints; make them: unipose ordinal-depth")

    def __len__(self) -> int:
        return len(self._people)

    def __getitem__(self, index: int) -> OrderBatch:
        """One window.

        Raises:
            DataError: the image cannot be read.
        """
        number, person = self._people[index]
        pixels = _known(self._scenes[number].pixels[person])
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        side, middle = float((high - low).max()) * _MARGIN, (low + high) / 2
        window = Crop(float(middle[0]), float(middle[1]), side, side, self._size)
        image = window.cut(read_color_file(self._images[number].path), smooth=True)
        return window_of(image, window, person, self._scenes[number])


def _known(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(pixels[np.isfinite(pixels).all(axis=-1)])


# People of one image in the joints of the networks (ITOP-15), with the order of those joints in depth.

#: What says the order: a depth camera, perspective, or the ground truth (for evaluation only).
Kind = Literal["measured", "perspective", "ground_truth"]

#: ITOP joint of every COCO keypoint, -1 for the face.
_ITOP_OF = np.array([ITOP15.landmarks.index(mark) if mark in ITOP15.landmarks else -1 for mark in COCO17.landmarks])


@dataclass(frozen=True)
class KeypointWeights:
    """What a 2D network's confidences mean for perspective.

    The defaults are MoveNet's: of elbows and wrists before or behind a trunk, those above 0.6 were in
    front of it in 96 of 100 cases and those below 0.3 behind it in 82, and between them anything goes.

    Attributes:
        labeled: a keypoint of less is left out.
        hidden: a keypoint of less is hidden.
        visible: a keypoint of at least this is seen.

    Raises:
        ValueError: they are not in order within [0, 1].
    """

    labeled: float = 0.2
    hidden: float = 0.3
    visible: float = 0.6

    def __post_init__(self) -> None:
        if not 0 <= self.labeled <= self.hidden <= self.visible <= 1:
            values = f"labeled = {self.labeled}, hidden = {self.hidden}, visible = {self.visible}"
            raise ValueError(f"{values}: each must be at least the one before, within [0, 1]")


@dataclass(frozen=True)
class OrderSettings:
    """How a store's people are ordered.

    Attributes:
        kind: measured by the depth camera, or read off the 2D keypoints by perspective.
        measured, perspective, confidence: limits of both.
    """

    kind: Literal["measured", "perspective"] = "measured"
    measured: MeasuredSettings = field(default_factory=MeasuredSettings)
    perspective: PerspectiveSettings = field(default_factory=PerspectiveSettings)
    confidence: KeypointWeights = field(default_factory=KeypointWeights)


@dataclass(frozen=True, eq=False)
class OrderedScene:
    """P people of one image.

    Attributes:
        pixels: (P, 15, 2) float32 of the image; NaN where nothing points at a joint.
        confidence: (P, 15) float32 in them.
        pairs: of their joints.
        farther: (M,) float32 meters by which the second of each pair truly is farther; NaN not known.
    """

    pixels: NDArray[np.float32]
    confidence: NDArray[np.float32]
    pairs: DepthPairs
    farther: NDArray[np.float32]


def scene_of_rows(
    store: SampleStore, rows: NDArray[np.integer[Any]], kind: Kind, settings: OrderSettings
) -> OrderedScene:
    """The people of some rows, all of one frame."""
    pixels, confidence = store["pixels"][rows].astype(np.float32), store["confidence"][rows].astype(np.float32)
    pairs = _pairs(store, rows, kind, settings)
    known = np.isfinite(pixels).all(axis=-1)
    pairs = pairs.select(known[tuple(pairs.first.T)] & known[tuple(pairs.second.T)])
    z = store["ground_truth"][rows][..., 2]
    return OrderedScene(
        pixels, confidence, pairs, (z[tuple(pairs.second.T)] - z[tuple(pairs.first.T)]).astype(np.float32)
    )


def _pairs(store: SampleStore, rows: NDArray[np.integer[Any]], kind: Kind, settings: OrderSettings) -> DepthPairs:
    if kind == "perspective":
        return itop_pairs(perspective_of_rows(store, rows, settings))
    if kind == "measured":
        confidence = store["lifted_confidence"][rows] * (store["lifted_status"][rows] == JointStatus.MEASURED)
        return measured_pairs(
            store["lifted"][rows][..., 2], store["lifted_variance"][rows], confidence * _pointed(), settings.measured
        )
    # Every pair that there is: what the ground truth says is evaluated by, not trained.
    z = store["ground_truth"][rows][..., 2]
    return measured_pairs(z, np.zeros_like(z), np.ones_like(z) * _pointed(), MeasuredSettings(0.0, 0.0, 0.0))


def _pointed() -> NDArray[np.float32]:
    """(15,) 1 for joints that a 2D network points at."""
    return np.isin(np.arange(len(ITOP15)), POINTED).astype(np.float32)


def perspective_of_rows(store: SampleStore, rows: NDArray[np.integer[Any]], settings: OrderSettings) -> DepthPairs:
    """What perspective says about the 2D network's keypoints (COCO-17)."""
    keypoints = store["keypoints"][rows]
    confidences = keypoints[..., 2]
    labeled = confidences >= settings.confidence.labeled
    pixels = np.where(labeled[..., None], keypoints[..., :2], np.nan).astype(np.float32)
    status = joint_status(labeled, confidences >= settings.confidence.visible)
    people = Labels2D(pixels, status, ("",) * len(rows), COCO17)
    certain = (confidences < settings.confidence.hidden) | (confidences >= settings.confidence.visible)
    return perspective_pairs(people, settings.perspective, np.clip(confidences, 0, 1), certain)


def scene_of_labels(people: Labels2D, pairs: DepthPairs) -> OrderedScene:
    """People of a label file."""
    pixels, _ = convert_joints(people.pixels, COCO17, ITOP15)
    pixels[:, ~_pointed().astype(np.bool_)] = np.nan
    confidence = np.isfinite(pixels).all(axis=-1).astype(np.float32)
    pairs = itop_pairs(pairs)
    return OrderedScene(pixels.astype(np.float32), confidence, pairs, np.full(len(pairs), np.nan, np.float32))


def itop_pairs(pairs: DepthPairs) -> DepthPairs:
    """COCO's keypoints as ITOP's joints; pairs of the face, which is one joint there, are left out."""
    first, second = (np.stack([ends[:, 0], _ITOP_OF[ends[:, 1]]], axis=1) for ends in (pairs.first, pairs.second))
    kept = (first[:, 1] >= 0) & (second[:, 1] >= 0)
    return DepthPairs(first.astype(np.int32), second.astype(np.int32), pairs.order, pairs.weights).select(kept)
