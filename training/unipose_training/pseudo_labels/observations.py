"""Observations of people in successive frames, by sources without 3D labels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unipose_ros.camera import Camera
from unipose_ros.joint_sets import ITOP15
from unipose_ros.lifting import Lifter
from unipose_training.samples.store import SampleStore

#: Standard deviation (meters) of a sure keypoint across its ray.
_ACROSS = 0.03
#: The least confidence that is divided by.
_LEAST = 0.05


class RootRelativePoses(NamedTuple):
    """Poses without places, as a lifter makes them of keypoints.

    Attributes:
        joints: (N, J, 3) meters, axes of the camera, from any origin; NaN where nothing could be lifted.
        stds: (N, J) standard deviation of a coordinate in meters.
    """

    joints: Tensor
    stds: Tensor


class Observations(NamedTuple):
    """Observations of N rows; all stds are standard deviations of a coordinate in meters.

    Attributes:
        joints, stds: (N, J, 3) and (N, J), a network's; NaN where it says nothing.
        lifted, lifted_stds: (N, J, 3) and (N, J), what modality ``lookup`` has; NaN where that is nothing.
        shapes: a lifter's.
        size: (N,) of the person as a part of an average adult.
        before: (N,) the row of the same person one frame before, or -1.
        seconds: (N,) since then.
    """

    joints: Tensor
    stds: Tensor
    lifted: Tensor
    lifted_stds: Tensor
    shapes: RootRelativePoses
    size: Tensor
    before: Tensor
    seconds: Tensor


def observations_of_store(
    store: SampleStore, joints: Tensor, log_scales: Tensor, shapes: RootRelativePoses
) -> Observations:
    """All observations of the rows of a store.

    Args:
        joints, log_scales: (N, J, 3) and (N, J) of a network; Laplace's log scales of a coordinate.
    """
    before = np.array(store["previous"])
    stamps = np.array(store["stamp_ns"])
    seconds = np.where(before >= 0, stamps - stamps[before], 0) * 1e-9
    return Observations(
        joints=joints,
        # Laplace's variance is 2 s^2.
        stds=2**0.5 * log_scales.exp(),
        lifted=_tensor(store, "lifted"),
        lifted_stds=lifted_stds(_tensor(store, "lifted_variance"), _tensor(store, "lifted_confidence")),
        shapes=shapes,
        size=_tensor(store, "size"),
        before=torch.from_numpy(before.astype(np.int64)),
        seconds=torch.from_numpy(seconds.astype(np.float32)),
    )


def lifted_stds(variance: Tensor, confidence: Tensor) -> Tensor:
    """(...) meters, from the variance along z and the keypoint's confidence. An uncertain keypoint may be anywhere."""
    return (variance + _ACROSS**2).sqrt() / confidence.clamp(_LEAST, 1)


def slice_observations(observations: Observations, first: int, end: int) -> Observations:
    """Rows ``first`` to ``end``, whose earlier rows are among them."""
    cut = {name: value[first:end] for name, value in observations._asdict().items() if name != "shapes"}
    before = torch.where(cut["before"] >= 0, cut["before"] - first, -1)
    return Observations(
        **cut | {"before": before}, shapes=RootRelativePoses(*(value[first:end] for value in observations.shapes))
    )


def _tensor(store: SampleStore, name: str) -> Tensor:
    values: NDArray[np.float32] = np.array(store[name], np.float32)
    return torch.from_numpy(values)


# The lifter's opinion of every row of a store.


def root_relative_poses_of_store(store: SampleStore, lifter: Lifter) -> RootRelativePoses:
    """Poses of all rows; NaN for those who show too few keypoints."""
    rows, joints = len(store), len(ITOP15)
    positions = np.full((rows, joints, 3), np.nan, np.float32)
    stds = np.full((rows, joints), np.nan, np.float32)
    views = np.concatenate([store["camera"], store["image_size"]], axis=1)
    for view in np.unique(views, axis=0):
        chosen = np.flatnonzero((views == view).all(axis=1))
        fx, fy, cx, cy = (float(value) for value in view[:4])
        camera = Camera(fx, fy, cx, cy, width=int(view[4]), height=int(view[5]))
        keypoints = store.keypoints(chosen)
        enough = lifter.liftable(keypoints, camera)
        if enough.any():
            chosen, keypoints = chosen[enough], keypoints.select(enough)
            poses = lifter.relative(keypoints, camera, lifter.seen(keypoints, camera))
            positions[chosen] = poses.joints
            stds[chosen] = np.sqrt((poses.stds**2).mean(axis=-1))
    return RootRelativePoses(torch.from_numpy(positions), torch.from_numpy(stds))


def no_root_relative_poses(rows: int) -> RootRelativePoses:
    """No person was lifted."""
    joints = len(ITOP15)
    return RootRelativePoses(torch.full((rows, joints, 3), torch.nan), torch.full((rows, joints), torch.nan))
