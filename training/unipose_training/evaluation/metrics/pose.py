"""Errors of 3D poses against the ground truth, in meters.

Conventions: (N, J, 3) positions, NaN for a joint that is missing; ``valid`` (N, J) says which
joints of the ground truth count, by default those it has. A mean is over joints, not over poses, and
NaN when nothing counts. An error can only be taken where there is a prediction, so mean errors
stand beside :func:`found`; PCK counts a joint that was not predicted as wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.joint_frames import body_frame
from unipose_ros.joint_sets import JointSet

# Shares of joints within a distance: PCK, ITOP's mAP and the area under the curve.


#: Thresholds of the curve, meters; ITOP's own is 0.10.
THRESHOLDS = (0.02, 0.04, 0.06, 0.08, 0.10, 0.12, 0.15, 0.20)
#: The thresholds whose mean PCK is the AUC of MPI-INF-3DHP (Mehta et al., 3DV 2017): 0 to 150 mm by 5 mm.
AUC_THRESHOLDS = tuple(round(0.005 * step, 3) for step in range(31))


@dataclass(frozen=True)
class PckCurve:
    """Shares in [0, 1] of joints with an error strictly below each threshold.

    Attributes:
        thresholds_m: the thresholds.
        pck: over all joints of all people together.
        map: mean of the joints' own shares, ITOP's mAP (Haque et al., ECCV 2016); it differs from
            ``pck`` only when joints count unequally often.
        auc: mean PCK over :data:`AUC_THRESHOLDS`.
    """

    thresholds_m: tuple[float, ...]
    pck: tuple[float, ...]
    map: tuple[float, ...]
    auc: float


def pck_curve(
    errors: NDArray[np.float64], counted: NDArray[np.bool_], thresholds: tuple[float, ...] = THRESHOLDS
) -> PckCurve:
    """The curve of (N, J) errors in meters; a joint that counts and has no error (NaN) is wrong."""
    return PckCurve(
        thresholds_m=thresholds,
        pck=tuple(share_within(errors, counted, t) for t in thresholds),
        map=tuple(mean_average_precision(errors, counted, t) for t in thresholds),
        auc=float(np.mean([share_within(errors, counted, t) for t in AUC_THRESHOLDS])),
    )


def share_within(errors: NDArray[np.float64], counted: NDArray[np.bool_], threshold: float) -> float:
    """Share of the joints that count with an error strictly below the threshold; NaN when none counts."""
    return float((errors[counted] < threshold).mean()) if counted.any() else float("nan")


def people_within(errors: NDArray[np.float64], counted: NDArray[np.bool_], threshold: float) -> float:
    """Fraction of the people all of whose joints that count have an error strictly below the threshold; NaN of none."""
    counted_people = counted.any(axis=1)
    within = np.asarray(((errors < threshold) | ~counted).all(axis=1))
    return float(within[counted_people].mean()) if counted_people.any() else float("nan")


def mean_average_precision(errors: NDArray[np.float64], counted: NDArray[np.bool_], threshold: float) -> float:
    """ITOP's mAP: the share within the threshold of each joint, averaged over joints that ever count."""
    shares = [share_within(errors[:, j], counted[:, j], threshold) for j in range(errors.shape[1])]
    known = [value for value in shares if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]

#: A similarity needs three points that are not on a line.
_MIN_POINTS = 3


def joint_errors(predicted: Floats, ground_truth: Floats, valid: Mask | None = None) -> NDArray[np.float64]:
    """(N, J) Euclidean distances; NaN where the ground truth does not count or the prediction is missing.

    Raises:
        ValueError: the shapes disagree.
    """
    counted = _counted(predicted, ground_truth, valid)
    errors = np.linalg.norm(np.asarray(predicted, np.float64) - np.asarray(ground_truth, np.float64), axis=-1)
    return np.where(counted, errors, np.nan)


def mpjpe(predicted: Floats, ground_truth: Floats, valid: Mask | None = None) -> float:
    """Mean per-joint position error where the poses stand (absolute)."""
    return _mean(joint_errors(predicted, ground_truth, valid))


def root_aligned_mpjpe(predicted: Floats, ground_truth: Floats, root: int, valid: Mask | None = None) -> float:
    """MPJPE after moving both roots to the origin. The root itself, error 0 by construction, counts.

    A pose whose root is missing in the prediction or the ground truth does not count.
    """
    return _mean(joint_errors(_relative(predicted, root), _relative(ground_truth, root), valid))


def pa_mpjpe(predicted: Floats, ground_truth: Floats, valid: Mask | None = None) -> float:
    """MPJPE after the similarity (rotation, translation, scale) that suits each pose best.

    A pose with fewer than three joints in common does not count.
    """
    return _mean(joint_errors(procrustes_aligned(predicted, ground_truth, valid), ground_truth, valid))


def procrustes_aligned(predicted: Floats, ground_truth: Floats, valid: Mask | None = None) -> NDArray[np.float64]:
    """Each predicted pose moved, turned and scaled onto its ground truth, in the least-squares sense.

    The fit uses the joints that count and were predicted; all predicted joints are moved.

    Returns:
        (N, J, 3); all NaN for a pose with fewer than three joints to fit.
    """
    counted = _counted(predicted, ground_truth, valid)
    aligned = np.full(predicted.shape, np.nan)
    for n, (pose, target) in enumerate(zip(predicted, ground_truth, strict=True)):
        usable = counted[n] & np.isfinite(pose).all(axis=-1)
        if usable.sum() >= _MIN_POINTS:
            scale, rotation, translation = similarity(pose[usable], target[usable])
            aligned[n] = scale * pose @ rotation.T + translation
    return aligned


def similarity(source: Floats, target: Floats) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Scale s, rotation R and translation t with the least ``|s R source + t - target|^2``.

    Umeyama 1991, Least-squares estimation of transformation parameters between two point
    patterns; R is a rotation, never a reflection.

    Args:
        source, target: (K, 3), without NaN. Sources that all coincide get scale 0.
    """
    from_mean, to_mean = source.mean(axis=0), target.mean(axis=0)
    centered = np.asarray(source - from_mean, np.float64)
    covariance = (target - to_mean).T @ centered / len(source)
    u, singular, vt = np.linalg.svd(covariance)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ np.diag(signs) @ vt
    variance = float((centered**2).sum() / len(source))
    scale = float((singular * signs).sum() / variance) if variance > 0 else 0.0
    return scale, rotation, to_mean - scale * rotation @ from_mean


def pck(predicted: Floats, ground_truth: Floats, threshold: float, valid: Mask | None = None) -> float:
    """Share in [0, 1] of the joints that count whose error is strictly below ``threshold`` meters."""
    counted = _counted(predicted, ground_truth, valid)
    if not counted.any():
        return float("nan")
    return float((joint_errors(predicted, ground_truth, valid)[counted] < threshold).mean())


def found(predicted: Floats, ground_truth: Floats, valid: Mask | None = None) -> float:
    """Share in [0, 1] of the joints that count for which there is a prediction."""
    counted = _counted(predicted, ground_truth, valid)
    there = np.asarray(np.isfinite(predicted).all(axis=-1))
    return float(there[counted].mean()) if counted.any() else float("nan")


def _counted(predicted: Floats, ground_truth: Floats, valid: Mask | None) -> Mask:
    if predicted.shape != ground_truth.shape or ground_truth.ndim != 3 or ground_truth.shape[-1] != 3:
        raise ValueError(f"predicted {predicted.shape} and ground truth {ground_truth.shape}: both must be (N, J, 3)")
    there = np.asarray(np.isfinite(ground_truth).all(axis=-1))
    if valid is None:
        return there
    if valid.shape != ground_truth.shape[:-1]:
        raise ValueError(f"valid {valid.shape}: must be {ground_truth.shape[:-1]}, one flag per joint")
    return there & valid.astype(np.bool_)


def _relative(positions: Floats, root: int) -> Floats:
    return positions - positions[:, root : root + 1]


def _mean(errors: NDArray[np.float64]) -> float:
    known = errors[np.isfinite(errors)]
    return float(known.mean()) if known.size else float("nan")


# Left taken for right.

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
        share=_mean_verdict(verdicts),
        limbs={name: _mean_verdict(each) for name, each in limbs.items()},
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


def _mean_verdict(verdicts: NDArray[np.bool_]) -> float:
    return float(verdicts.mean()) if len(verdicts) else float("nan")
