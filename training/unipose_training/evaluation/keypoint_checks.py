"""Predictions against what a 2D network detects of the same people, for frames without 3D ground truth.

A 2D network errs too: these figures find faults and compare methods; they prove nothing about a single person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.frame import Skeletons
from unipose_ros.joint_sets import JointSet, convert_joints
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.tracking.assignment import match, mean_distances
from unipose_training.evaluation.metrics.pose import Swaps, count_swaps

#: Keypoints less certain than this are not compared with.
MIN_CONFIDENCE = 0.3
#: People and keypoints farther apart than this fraction of the person's height are not the same.
_GATE = 0.25
#: Left and right nearer than this fraction of the person's height cannot be told apart.
_MIN_APART = 0.06
#: An arm is straight when the way from shoulder to wrist is at least this fraction of the way over the elbow.
_STRAIGHT = 0.95
#: An arm is away from the body when it is turned from the trunk's direction by more than this, degrees.
_AWAY = 30.0
#: An arm that looks shorter than this fraction of the person's height points at the camera or away from it.
_MIN_ARM = 0.15


@dataclass(frozen=True, eq=False)
class KeypointPairs:
    """K people whom both the estimator and the 2D network found in one image.

    Attributes:
        predicted: (K,) index of the prediction.
        seen: (K, J, 2) the 2D network's pixels, NaN where it is not certain.
        projected: (K, J, 2) where the predicted joints are in the image.
        confidences: (K, J) of the keypoints, as the joints are made of them.
        heights: (K,) of the people in pixels.
        joint_set: of both sides.
    """

    predicted: NDArray[np.intp]
    seen: NDArray[np.float64]
    projected: NDArray[np.float64]
    confidences: NDArray[np.float64]
    heights: NDArray[np.float64]
    joint_set: JointSet


def pair_with_keypoints(
    camera: Camera, skeletons: Skeletons, keypoints: Keypoints2D, min_confidence: float = MIN_CONFIDENCE
) -> KeypointPairs:
    """Pair predictions with a 2D network's people by the mean distance in the image, one to one.

    A person with left and right swapped is the same person: of both ways the nearer one counts.
    """
    known = keypoints.confidences >= min_confidence
    pixels, _ = convert_joints(
        np.where(known[..., None], keypoints.pixels, np.nan), keypoints.joint_set, skeletons.joint_set
    )
    heights = np.maximum(keypoints.boxes[:, 3] - keypoints.boxes[:, 1], 1.0).astype(np.float64)
    projected = project(camera, skeletons.positions)
    exchanged = projected[:, list(skeletons.joint_set.mirror)]
    distances = np.minimum(mean_distances(pixels, projected), mean_distances(pixels, exchanged))
    rows, people = match(distances, _GATE * heights)
    values, _ = convert_joints(keypoints.confidences[..., None], keypoints.joint_set, skeletons.joint_set)
    return KeypointPairs(
        predicted=people,
        seen=np.asarray(pixels[rows], np.float64),
        projected=projected[people],
        confidences=np.asarray(values[rows, :, 0], np.float64),
        heights=heights[rows],
        joint_set=skeletons.joint_set,
    )


def relative_errors(pairs: KeypointPairs) -> NDArray[np.float64]:
    """Flat distances between joints and keypoints, as fractions of the person's height."""
    distances = np.linalg.norm(pairs.seen - pairs.projected, axis=-1) / pairs.heights[:, None]
    return np.asarray(distances[np.isfinite(distances)], np.float64)


def keypoint_swaps(pairs: KeypointPairs) -> Swaps:
    """Poses that fit the 2D network's better with left and right swapped."""
    scale = pairs.heights[:, None, None]
    return count_swaps(pairs.projected / scale, pairs.seen / scale, pairs.joint_set, _MIN_APART)


@dataclass(frozen=True, eq=False)
class StretchedArms:
    """Arms that the 2D network detects straight.

    Attributes:
        ratios: (A,) predicted over seen length.
        away: (A,) the arm is away from the body: turned by more than 30 degrees in the image from the way from the
            middle of the shoulders to that of the hips.
    """

    ratios: NDArray[np.float64]
    away: NDArray[np.bool_]


NO_ARMS = StretchedArms(np.zeros(0), np.zeros(0, np.bool_))


def arm_stretch(pairs: KeypointPairs) -> StretchedArms:
    """Of stretched arms, the predicted arm's length in the image over the length that is seen.

    An arm is taken where the 2D network is certain (0.3) of shoulder, elbow and wrist, the arm looks straight
    (shoulder to wrist at least 0.95 of the way over the elbow) and is at least 0.15 of the person's height long.
    Both lengths are from shoulder to wrist, of the predicted joints as they are projected into the image; an arm that
    is predicted folded, shortened or turned to the camera gives a ratio below 1. Of a person with left and right
    exchanged the other arm is compared, so that the exchange does not count here.
    """
    seen, projected = (
        _parts(values, pairs.joint_set, ("shoulder", "elbow", "wrist")) for values in (pairs.seen, pairs.projected)
    )
    crossed = _total(seen, projected[:, ::-1]) < _total(seen, projected)
    projected = np.where(crossed[:, None, None, None], projected[:, ::-1], projected)
    upper, lower, whole = (_length(seen, a, b) for a, b in ((0, 1), (1, 2), (0, 2)))
    # NaN compares false: arms that are not wholly seen fall out here.
    straight = (whole >= _STRAIGHT * (upper + lower)) & (whole >= _MIN_ARM * pairs.heights[:, None])
    ratios = _length(projected, 0, 2) / np.where(straight, whole, np.nan)
    known = straight & np.isfinite(ratios)
    return StretchedArms(ratios[known], _away(seen, pairs)[known])


def _parts(values: NDArray[np.float64], joint_set: JointSet, parts: tuple[str, ...]) -> NDArray[np.float64]:
    """(K, J, 2) -> (K, 2, P, 2): these landmarks of the left and of the right side."""
    names = joint_set.landmarks
    return values[:, [[names.index(f"{side}_{part}") for part in parts] for side in ("left", "right")]]


def _away(arms: NDArray[np.float64], pairs: KeypointPairs) -> NDArray[np.bool_]:
    """(K, 2) arms that hang not beside the trunk; false where the trunk is not seen."""
    shoulders, hips = np.moveaxis(_parts(pairs.seen, pairs.joint_set, ("shoulder", "hip")).mean(axis=1), 1, 0)
    trunk, along = (hips - shoulders)[:, None], arms[:, :, 2] - arms[:, :, 0]
    lengths = np.linalg.norm(trunk, axis=-1) * np.linalg.norm(along, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = (trunk * along).sum(axis=-1) / lengths
    return np.asarray(cosines < np.cos(np.radians(_AWAY)))


def _length(arms: NDArray[np.float64], start: int, end: int) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(arms[..., end, :] - arms[..., start, :], axis=-1))


def _total(seen: NDArray[np.float64], projected: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K,) sum of distances over the arms' joints that both have."""
    return np.asarray(np.nansum(np.linalg.norm(seen - projected, axis=-1), axis=(1, 2)))
