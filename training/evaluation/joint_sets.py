"""Skeletons in the joint set in which they are judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.skeletons import JointSet, convert_joints


def in_joint_set(skeletons: Skeletons, joint_set: JointSet) -> Skeletons:
    """The same people in another joint set.

    A joint mixed from others is MEASURED only if all of them are. Covariances are left out: how
    the errors of two joints go together is not known. In its own joint set nothing changes.
    """
    if skeletons.joint_set == joint_set:
        return skeletons
    positions, _ = convert_joints(skeletons.positions, skeletons.joint_set, joint_set)
    missing = np.asarray(np.isnan(skeletons.positions)).any(axis=-1, keepdims=True)
    # What is mixed of wholly measured joints has share 1, whatever the recipe. A missing joint is
    # NaN here too, so that the same recipe is chosen as for the positions.
    marks = np.stack([skeletons.confidences, skeletons.status == JointStatus.MEASURED], axis=-1).astype(np.float32)
    mixed, _ = convert_joints(np.where(missing, np.nan, marks), skeletons.joint_set, joint_set)
    there = np.isfinite(positions).all(axis=-1)
    status = np.where(mixed[..., 1] > 0.99, JointStatus.MEASURED, JointStatus.INFERRED)
    return replace(
        skeletons,
        positions=positions.astype(np.float32),
        confidences=np.where(there, np.clip(mixed[..., 0], 0, 1), 0).astype(np.float32),
        status=np.where(there, status, JointStatus.MISSING).astype(np.uint8),
        covariances=None,
        joint_set=joint_set,
    )
