"""The lifter's opinion of every row of a store."""

from __future__ import annotations

import numpy as np
import torch

from unipose_ros.camera import Camera
from unipose_ros.lifting import Lifter
from unipose_ros.skeletons import ITOP15
from unipose_training.samples.store import SampleStore
from unipose_training.trajectories.claims import Shapes


def shapes_of_store(store: SampleStore, lifter: Lifter) -> Shapes:
    """Poses of all rows; NaN for those who show too few keypoints."""
    rows, joints = len(store), len(ITOP15)
    said = np.full((rows, joints, 3), np.nan, np.float32)
    spreads = np.full((rows, joints), np.nan, np.float32)
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
            said[chosen] = poses.joints
            spreads[chosen] = np.sqrt((poses.spreads**2).mean(axis=-1))
    return Shapes(torch.from_numpy(said), torch.from_numpy(spreads))


def no_shapes(rows: int) -> Shapes:
    """Nobody was lifted."""
    joints = len(ITOP15)
    return Shapes(torch.full((rows, joints, 3), torch.nan), torch.full((rows, joints), torch.nan))
