"""3D pseudo-labels of a recording: color and depth fused frame by frame, then over time.

Modality ``rgbd`` with the shipped weights fuses rays, depth, point network, lifter and the person's own bones in each
frame (``unipose_ros.fusion``); :mod:`unipose_training.pseudo_labels.fusion` then finds the trajectory of one body that
moves steadily and agrees with it and with the lifted keypoints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from unipose_ros.config import EstimatorConfig
from unipose_ros.estimator import PoseEstimator
from unipose_ros.geometry.covariance import expand
from unipose_ros.tracking import NearestTracker, TrackerConfig
from unipose_ros.tracking.assignment import match, mean_distances
from unipose_training.datasets.base import Clip
from unipose_training.datasets.keypoint_files import KeypointLabels
from unipose_training.engine.config import RunSettings
from unipose_training.engine.data_loading import loader_of, seed_of
from unipose_training.losses.body import keypoint_priors
from unipose_training.pseudo_labels.fusion import (
    FusedPoses,
    FusionSettings,
    Observations,
    fuse_trajectories,
    lifted_stds,
    no_root_relative_poses,
)
from unipose_training.pseudo_labels.teacher import ray_residuals
from unipose_training.samples.dataset import PersonBatch, PersonDataset, identity_collate
from unipose_training.samples.store import SampleStore
from unipose_training.synthetic.stream.dataset import PersonStream, StreamBatches
from unipose_training.synthetic.stream.frames import ShownKeypoints
from unipose_training.synthetic.stream.people import Inputs
from unipose_training.synthetic.stream.settings import StreamSettings

#: A row of the store and a fused person are the same within this mean distance of their joints, meters.
_SAME = 0.5
#: Trajectory fusion: lifted keypoints and lifter are in the fused poses already.
FUSION = FusionSettings(steps=150, depth_scale=0.0, lifter_scale=0.0)
#: Mean distance to the keypoints beyond which a pseudo-label is wrong, pixels of ITOP's camera.
_RAY_PIXELS = 6.0


@dataclass(frozen=True, eq=False)
class PseudoLabels:
    """Of the N rows of a store.

    Attributes:
        joints: (N, J, 3) meters in the camera's frame; NaN unknown.
        stds: (N, J) standard deviation of a coordinate, meters.
        good: (N,) may be trained on.
    """

    joints: NDArray[np.float32]
    stds: NDArray[np.float32]
    good: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PartToFuse:
    """A part of a recording.

    Attributes:
        part: its frames.
        labels: 2D pseudo-labels.
        stamps_ns: (N,) of its rows in the store, in their order.
        lifted: (N, J, 3) their lifted keypoints, by which a fused person is told to be theirs.
    """

    part: Clip
    labels: KeypointLabels
    stamps_ns: NDArray[np.int64]
    lifted: NDArray[np.float32]


def parts_to_fuse(parts: Sequence[Clip], labels: Sequence[KeypointLabels], store: SampleStore) -> list[PartToFuse]:
    """The clips of a store, in its order, with their rows, which follow each other in the store."""
    clips, stamps, lifted = (np.array(store[name]) for name in ("clip", "stamp_ns", "lifted"))
    return [
        PartToFuse(part, seen, stamps[clips == number], lifted[clips == number])
        for number, (part, seen) in enumerate(zip(parts, labels, strict=True))
    ]


class FusedRows(NamedTuple):
    """Of the N rows of a part by modality ``rgbd``; NaN where it has none.

    Attributes:
        joints: (N, J, 3) meters in the camera's frame.
        stds: (N, J) standard deviation of a coordinate, meters.
    """

    joints: NDArray[np.float32]
    stds: NDArray[np.float32]


def part_fuser(threads: int) -> Callable[[PartToFuse], FusedRows]:
    """What fuses parts, frame by frame; nothing is kept from one part to the next."""
    shown = ShownKeypoints()
    estimator = PoseEstimator(EstimatorConfig("rgbd", threads=threads), shown, calibrations={})

    def fuse(wanted: PartToFuse) -> FusedRows:
        joints = np.full(wanted.lifted.shape, np.nan, np.float32)
        stds = np.full(wanted.lifted.shape[:2], np.nan, np.float32)
        tracker = NearestTracker(TrackerConfig(seed=0, smoothing=0.0))
        estimator.reset()
        for frame in wanted.part.frames():
            keypoints = wanted.labels.keypoints_of(frame.stamp_ns)
            if keypoints is None or frame.depth is None or frame.color is None:
                continue
            shown.seen = keypoints
            found = estimator.estimate(frame)
            estimator.follow(tracker.update(found))
            rows = np.flatnonzero(wanted.stamps_ns == frame.stamp_ns)
            if len(rows) and len(found):
                apart = mean_distances(wanted.lifted[rows], found.positions)
                own, people = match(apart, np.full(len(rows), _SAME))
                joints[rows[own]] = found.positions[people]
                assert found.covariances is not None
                variance = np.trace(expand(found.covariances[people]), axis1=-2, axis2=-1) / 3
                stds[rows[own]] = np.sqrt(variance)
        return FusedRows(joints, stds)

    return fuse


def rows_by_frame(store: SampleStore) -> dict[tuple[int, int], list[int]]:
    """Rows of the store in their order, by (clip, stamp)."""
    rows: dict[tuple[int, int], list[int]] = {}
    for row, (clip, stamp) in enumerate(zip(store["clip"].tolist(), store["stamp_ns"].tolist(), strict=True)):
        rows.setdefault((clip, stamp), []).append(row)
    return rows


def fused_over_time(
    store: SampleStore,
    joints: NDArray[np.float32],
    stds: NDArray[np.float32],
    settings: FusionSettings = FUSION,
) -> FusedPoses:
    """Trajectories of bodies with constant bones that move steadily and agree with the poses of single frames."""
    before = np.array(store["previous"])
    stamps = np.array(store["stamp_ns"])
    seconds = np.where(before >= 0, stamps - stamps[before], 0) * 1e-9

    def read(name: str) -> Tensor:
        return torch.from_numpy(np.array(store[name], np.float32))

    observations = Observations(
        joints=torch.from_numpy(joints),
        stds=torch.from_numpy(stds),
        lifted=read("lifted"),
        lifted_stds=lifted_stds(read("lifted_variance"), read("lifted_confidence")),
        shapes=no_root_relative_poses(len(store)),
        size=read("size"),
        before=torch.from_numpy(before.astype(np.int64)),
        seconds=torch.from_numpy(seconds.astype(np.float32)),
    )
    return fuse_trajectories(observations, keypoint_priors(), settings)


def pseudo_labels(
    store: SampleStore, joints: NDArray[np.float32], stds: NDArray[np.float32], good: NDArray[np.bool_]
) -> tuple[PseudoLabels, dict[str, int]]:
    """Fused pseudo-labels, and how many rows are left out by reason.

    Args:
        joints, stds: of single frames.
        good: (N,) rows of tracks that are not refused.
    """
    fused = fused_over_time(store, joints, stds)
    values, stds = fused.joints.numpy(), fused.log_scales.exp().numpy() * np.float32(2**0.5)
    found = np.isfinite(joints).all(axis=(1, 2))
    pixels, confidence, camera = (
        torch.from_numpy(np.array(store[name], np.float32)) for name in ("pixels", "confidence", "camera")
    )
    off = ray_residuals(torch.from_numpy(values), pixels, confidence, camera).numpy()
    near = off < _RAY_PIXELS
    left_out = {
        "refused tracks": int((~good).sum()),
        "not found by fusion": int((good & ~found).sum()),
        "far from keypoints": int((good & found & ~near).sum()),
    }
    kept = good & found & near
    return PseudoLabels(values.astype(np.float32), stds.astype(np.float32), kept), left_out


# Batches of pseudo-labeled people of a recording and of source people who are rendered on the fly.
#
# Source people with ground truth in every batch are replay: without them the network forgets what the recording does
# not
# show (Rebuffi et al., iCaRL, CVPR 2017; Rolnick et al., NeurIPS 2019).

#: Part of seeds: which rows of the recording a step has.
_ROWS = 23
#: A joint whose pseudo-label is less certain than this is not trained on, meters.
_MOST_STD = 0.15


class MixedPeople(Dataset[PersonBatch]):
    """Every batch: ``run.batch - replayed`` people of a store and ``replayed`` source people.

    The pseudo-labels stand in the place of the ground truth, and their variance in that of ``lifted_variance``; of
    source people that is 0. Ground truth of the store, where a recording has some, is never read.

    Args:
        store: of the recording.
        labels: of all its rows.
        inputs: what the network sees, see :class:`PersonDataset`.
        sizes: pixels of windows, see there.
        stream: source people.
        cut: how they are cut out.
        run: steps, batch and seed.
        replayed: of each batch.
    """

    def __init__(
        self,
        store: SampleStore,
        labels: PseudoLabels,
        inputs: Sequence[str],
        sizes: dict[str, int] | None,
        stream: StreamSettings,
        cut: Inputs,
        run: RunSettings,
        replayed: int,
    ) -> None:
        self._run, self._replayed = run, replayed
        self._rows = np.flatnonzero(labels.good)
        self._people = PersonDataset(store, self._rows, inputs, sizes=sizes)
        joints = np.where((labels.stds < _MOST_STD)[..., None], labels.joints, np.nan).astype(np.float32)
        self._joints, self._variances = torch.from_numpy(joints), torch.from_numpy(labels.stds.astype(np.float32) ** 2)
        self._stream = PersonStream(stream, cut, replace(run, batch=replayed)) if replayed else None

    def __len__(self) -> int:
        return self._run.steps * self._run.batch

    def __getitem__(self, index: int) -> PersonBatch:
        """The whole batch that a number belongs to."""
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> PersonBatch:
        """The batch of one step; this is what a DataLoader calls."""
        step = indices[0] // self._run.batch
        rng = np.random.default_rng(seed_of(self._run.seed, _ROWS, step))
        own = rng.choice(len(self._rows), self._run.batch - self._replayed, replace=len(self._rows) < self._run.batch)
        parts = [self._labeled(self._people.__getitems__(own.tolist()))]
        if self._stream is not None:
            parts.append(_source(self._stream.__getitems__(range(step * self._replayed, (step + 1) * self._replayed))))
        return joined(parts)

    def labeled(self, most: int) -> PersonBatch:
        """At most so many people with a pseudo-label, evenly over the recording."""
        known = np.flatnonzero(self._joints[self._rows].isfinite().any(dim=(1, 2)).numpy())
        chosen = known[np.linspace(0, len(known) - 1, min(most, len(known))).round().astype(np.int64)]
        return self._labeled(self._people.__getitems__(chosen.tolist()))

    def _labeled(self, batch: PersonBatch) -> PersonBatch:
        rows = batch.rows
        return batch._replace(
            ground_truth=self._joints[rows][:, None],
            lifted_variance=self._variances[rows][:, None],
            visible=torch.ones_like(batch.visible),
        )


def mixed_loader(people: MixedPeople, run: RunSettings) -> DataLoader[PersonBatch]:
    """What :func:`unipose_training.engine.loop.train` reads."""
    return loader_of(people, StreamBatches(len(people), run.steps, run.batch, run.seed), run, identity_collate)


def _source(batch: PersonBatch) -> PersonBatch:
    return batch._replace(lifted_variance=torch.zeros_like(batch.lifted_variance))


def joined(parts: Sequence[PersonBatch]) -> PersonBatch:
    """Several batches as one; what one of them does not have, none has."""

    def together(values: Sequence[Tensor]) -> Tensor:
        if len(values) == 1 or all(value.numel() for value in values):
            return torch.cat(list(values))
        return torch.zeros(0)

    return PersonBatch(*(together(values) for values in zip(*parts, strict=True)))
