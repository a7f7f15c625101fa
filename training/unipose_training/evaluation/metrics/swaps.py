"""Left taken for right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.body_frame import body_frame
from unipose_ros.joint_sets import JointSet

# How people stand to the camera.


def facing_angles(positions: NDArray[np.floating], joint_set: JointSet) -> NDArray[np.float64]:
    """Angle about the body's own vertical from straight ahead to the camera.

    Args:
        positions: (N, J, 3) in the camera's optical frame, meters.

    Returns:
        (N,) degrees: 0 for a person who faces the camera, 90 with the left side towards it, -90
        with the right side, +-180 with the back; NaN where the body frame cannot be had.
    """
    return np.array([_angle(pose, joint_set) for pose in positions], np.float64)


def _angle(pose: NDArray[np.floating], joint_set: JointSet) -> float:
    frame = body_frame(pose, joint_set)
    if frame is None:
        return float("nan")
    ahead, left, _ = frame.rotation.T @ -frame.origin
    return float(np.degrees(np.arctan2(left, ahead)))


#: Left and right nearer than this (meters) cannot be told apart by distance.
MIN_APART = 0.10
#: A limb and the landmarks that make it.
LIMBS = {"arms": ("elbow", "wrist"), "legs": ("knee", "ankle"), "shoulders": ("shoulder",), "hips": ("hip",)}


@dataclass(frozen=True)
class Swaps:
    """Poses that fit the ground truth better with left and right swapped.

    Attributes:
        poses: poses in which left and right can be told apart.
        swapped: of them those that are nearer to the ground truth when wholly exchanged.
        share: ``swapped / poses``.
        limbs: the same share for each kind of limb alone.
    """

    poses: int
    swapped: int
    share: float
    limbs: dict[str, float]


def count_swaps(
    predicted: NDArray[np.float64], ground_truth: NDArray[np.float64], joint_set: JointSet, min_apart: float = MIN_APART
) -> Swaps:
    """Swaps among (N, J, D) poses; pairs without all four joints or with the true ones close together are left out.

    Args:
        min_apart: how close, in the unit of the poses.
    """
    every = _pairs(joint_set, tuple(name for names in LIMBS.values() for name in names))
    verdicts = _swapped(predicted, ground_truth, every, min_apart)
    limbs = {
        name: _swapped(predicted, ground_truth, _pairs(joint_set, parts), min_apart) for name, parts in LIMBS.items()
    }
    return Swaps(
        poses=len(verdicts),
        swapped=int(verdicts.sum()),
        share=_mean(verdicts),
        limbs={name: _mean(each) for name, each in limbs.items()},
    )


def _pairs(joint_set: JointSet, parts: tuple[str, ...]) -> list[tuple[int, int]]:
    """Left and right joints with one of these landmarks."""
    wanted = {f"left_{part}" for part in parts}
    lefts = [j for j, landmark in enumerate(joint_set.landmarks) if landmark in wanted]
    return [(j, joint_set.mirror[j]) for j in lefts]


def _swapped(
    predicted: NDArray[np.float64], ground_truth: NDArray[np.float64], pairs: list[tuple[int, int]], min_apart: float
) -> NDArray[np.bool_]:
    """One verdict for each pose that allows it: is the sum of distances less with left and right swapped?"""
    if not pairs:
        return np.zeros(0, np.bool_)
    left, right = (list(side) for side in zip(*pairs, strict=True))

    def apart(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.linalg.norm(first - second, axis=-1))

    straight = apart(predicted[:, left], ground_truth[:, left]) + apart(predicted[:, right], ground_truth[:, right])
    crossed = apart(predicted[:, left], ground_truth[:, right]) + apart(predicted[:, right], ground_truth[:, left])
    usable = np.isfinite(straight) & (apart(ground_truth[:, left], ground_truth[:, right]) >= min_apart)
    difference = np.where(usable, crossed - straight, 0.0).sum(axis=1)
    return np.asarray(difference[usable.any(axis=1)] < 0)


def _mean(verdicts: NDArray[np.bool_]) -> float:
    return float(verdicts.mean()) if len(verdicts) else float("nan")
