"""A batch of people for training, as tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from unipose_training.errors import DataError
from unipose_training.samples.store import SampleStore

# Which rows of a store train, which validate.


Rows = NDArray[np.integer[Any]]


def split_rows(store: SampleStore, every: int, min_confidence: float = 0.0) -> tuple[Rows, Rows]:
    """Rows for training and for validation; no clip is in both.

    Args:
        every: of so many clips, the last is for validation.
        min_confidence: people of whom the 2D network is less sure are not trained on, in [0, 1].

    Raises:
        DataError: one of the two would be empty.
    """
    validates = np.asarray(store["clip"]) % every == every - 1
    sure = np.asarray(store["score"]) >= min_confidence
    training, validation = np.flatnonzero(~validates & sure), np.flatnonzero(validates)
    if not len(training) or not len(validation):
        raise DataError(f"{store.folder}: {len(store)} rows of {len(store.clips)} clips; too few to train and validate")
    return training, validation


def subsample_clips(store: SampleStore, rows: Rows, part: float, seed: int = 0) -> Rows:
    """The rows that belong to a part of the clips; a larger part holds all of a smaller one.

    Whole clips are taken, as a person would label them: frames of one clip look alike.

    Args:
        part: of the clips, in (0, 1]; at least one clip is taken.

    Raises:
        ValueError: the part is out of range.
    """
    if not 0 < part <= 1:
        raise ValueError(f"part = {part}: must be within (0, 1]")
    clips = np.unique(store["clip"][rows])
    order = np.random.default_rng(seed).permutation(len(clips))
    chosen = clips[order[: max(1, round(part * len(clips)))]]
    return np.asarray(rows)[np.isin(store["clip"][rows], chosen)]


#: Inputs that a batch may hold; each costs reading.
INPUTS = ("points", "depth", "color")


class PersonBatch(NamedTuple):
    """B people in T successive frames, oldest first; an input that was not asked for has no elements.

    Places are meters in the camera's optical frame unless stated otherwise. What is unknown is NaN.

    Attributes:
        rows: (B,) of the last frames in the store.
        valid: (B, T) bool: the frame is there; else it repeats the one after it.
        points: (B, T, N, 3) meters about ``centers``.
        centers: (B, 3) origin of the points: the last frame's.
        depth: (B, T, S, S) meters, 0 without a reading.
        depth_camera: (B, T, 4) fx, fy, cx, cy of ``depth``.
        color: (B, T, 3, S, S) uint8.
        color_camera: (B, T, 4) fx, fy, cx, cy of ``color``.
        distances: (B, T) of the person's surface along z.
        camera: (B, T, 4) fx, fy, cx, cy of the image.
        pixels: (B, T, J, 2) ITOP joints in the image as the 2D network predicts.
        confidence: (B, T, J) its confidence, 0 where it says nothing.
        keypoints: (B, T, 17, 3) all that it says: u, v, confidence.
        lifted: (B, T, J, 3) the joints as modality ``lookup`` has them.
        lifted_variance: (B, T, J) of their z.
        lifted_confidence: (B, T, J).
        lifted_status: (B, T, J) uint8 of ``JointStatus``.
        size: (B, T) of the person as a part of an average adult.
        ground_truth: (B, T, J, 3).
        visible: (B, T, J) bool: the true joint is seen.
    """

    rows: Tensor
    valid: Tensor
    points: Tensor
    centers: Tensor
    depth: Tensor
    depth_camera: Tensor
    color: Tensor
    color_camera: Tensor
    distances: Tensor
    camera: Tensor
    pixels: Tensor
    confidence: Tensor
    keypoints: Tensor
    lifted: Tensor
    lifted_variance: Tensor
    lifted_confidence: Tensor
    lifted_status: Tensor
    size: Tensor
    ground_truth: Tensor
    visible: Tensor


class PersonDataset(Dataset[PersonBatch]):
    """Rows of a store as batches; use it with ``DataLoader(..., collate_fn=identity_collate)`` or index it with lists.

    Args:
        rows: which rows of the store, all by default.
        inputs: some of :data:`INPUTS`.
        frames: T; earlier frames of a person are those that the store links.
        sizes: pixels of a side of "depth" and "color", each a divisor of the stored one; as stored by default.

    Raises:
        ValueError: an unknown input.
        DataError: the stored windows cannot be shown with so many pixels.
    """

    def __init__(
        self,
        store: SampleStore,
        rows: NDArray[np.integer[Any]] | None = None,
        inputs: Sequence[str] = ("points",),
        frames: int = 1,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        if unknown := set(inputs) - set(INPUTS):
            raise ValueError(f"inputs {sorted(unknown)} are unknown; use some of {', '.join(INPUTS)}")
        self._store, self._inputs, self._frames = store, tuple(inputs), frames
        self._rows = np.arange(len(store)) if rows is None else np.asarray(rows, np.int64)
        self._steps = {name: _step(store, name, (sizes or {}).get(name)) for name in inputs if name != "points"}

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> PersonBatch:
        """One person as a batch of one."""
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> PersonBatch:
        """Several people; this is what a DataLoader calls."""
        last = self._rows[np.asarray(indices, np.int64)]
        rows, valid = self._clips(last)

        def read(name: str, dtype: Any = np.float32) -> Tensor:
            return torch.from_numpy(self._store[name][rows].astype(dtype))

        points, centers = self._points(rows) if "points" in self._inputs else (torch.zeros(0), torch.zeros(0))
        depth, depth_camera = self._view("depth", rows)
        color, color_camera = self._view("color", rows)
        return PersonBatch(
            rows=torch.from_numpy(last),
            valid=torch.from_numpy(valid),
            points=points,
            centers=centers,
            depth=depth.to(torch.float32) / 1000,
            depth_camera=depth_camera,
            color=color.movedim(-1, 2) if color.numel() else color,
            color_camera=color_camera,
            distances=read("distance"),
            camera=read("camera"),
            pixels=read("pixels"),
            confidence=read("confidence"),
            keypoints=read("keypoints"),
            lifted=read("lifted"),
            lifted_variance=read("lifted_variance"),
            lifted_confidence=read("lifted_confidence"),
            lifted_status=read("lifted_status", np.uint8),
            size=read("size"),
            ground_truth=read("ground_truth"),
            visible=read("visible", np.bool_),
        )

    def _clips(self, last: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(B,) rows -> (B, T) rows of the same people, oldest first, and which of them are there."""
        rows, valid = [last], [np.ones(len(last), np.bool_)]
        for _ in range(self._frames - 1):
            before = self._store["previous"][rows[-1]]
            valid.append(valid[-1] & (before >= 0))
            rows.append(np.where(before >= 0, before, rows[-1]))
        return np.stack(rows[::-1], axis=1), np.stack(valid[::-1], axis=1)

    def _points(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        points = torch.from_numpy(self._store["points"][rows].astype(np.float32))
        centers = torch.from_numpy(self._store["center"][rows].astype(np.float32))
        return points + (centers - centers[:, -1:])[:, :, None], centers[:, -1]

    def _view(self, name: str, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Windows, and the pinhole camera that would see them."""
        if name not in self._inputs:
            return torch.zeros(0), torch.zeros(0)
        image, step = self._store[name][rows], self._steps[name]
        window, camera = self._store[f"{name}_window"][rows], self._store["camera"][rows]
        seen = window_camera(camera, window, image.shape[3])
        shrink = shrunk_color if name == "color" else shrunk_depth
        image, seen = shrink(image, seen, step) if step > 1 else (image, seen)
        return torch.from_numpy(np.ascontiguousarray(image)), torch.from_numpy(seen)


def window_camera(camera: NDArray[np.floating], window: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """Intrinsics of windows of images.

    Args:
        camera: (..., 4) fx, fy, cx, cy of the images.
        window: (..., 4) middle u, v and width, height in their pixels.
        size: pixels of the window's side.

    Returns:
        (..., 4) fx, fy, cx, cy.
    """
    scale = size / window[..., 2:]
    middle = (camera[..., 2:] - window[..., :2]) * scale + (size - 1) / 2
    return np.concatenate([camera[..., :2] * scale, middle], axis=-1).astype(np.float32)


def shrunk_depth(
    image: NDArray[np.uint16], camera: NDArray[np.float32], step: int
) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """(..., S, S) depths, every so nth of them: mixed depths would be places where nothing is."""
    first = step // 2
    return image[..., first::step, first::step], _shrunk_camera(camera, step, first)


def shrunk_color(
    image: NDArray[np.uint8], camera: NDArray[np.float32], step: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """(..., S, S, 3) colors, means of squares."""
    *before, rows, columns, channels = image.shape
    squares = image.reshape(*before, rows // step, step, columns // step, step, channels)
    means = np.rint(squares.mean(axis=(-4, -2), dtype=np.float32)).astype(np.uint8)
    return means, _shrunk_camera(camera, step, (step - 1) / 2)


def _shrunk_camera(camera: NDArray[np.float32], step: int, first: float) -> NDArray[np.float32]:
    """(..., 4) intrinsics of every so nth pixel, of which ``first`` is the first."""
    return np.asarray((camera - np.array([0, 0, first, first])) / step, np.float32)


def _step(store: SampleStore, name: str, wanted: int | None) -> int:
    stored = int(store[name].shape[1])
    if stored % (wanted or stored):
        raise DataError(
            f"{store.folder}: its {name} windows have {stored} pixels, {wanted} are wanted; "
            "build the samples with as many, or a multiple"
        )
    return stored // (wanted or stored)


def identity_collate(batch: Any) -> Any:
    """What a DataLoader is to do with a batch of :class:`PersonDataset`: nothing."""
    return batch
