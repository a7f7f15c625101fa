"""Which side is left: keypoints against the network, and how sure that is.

A 2D network names sides by appearance, and errs for people seen from behind or from the side, sometimes for a pair
of limbs alone. The point network names them by shape. Where exchanging left and right of the keypoints would let
them agree better, both are fused and compared by their likelihoods.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unipose_ros.fusion.evidence import Evidence
from unipose_ros.fusion.robust import student_cost
from unipose_ros.fusion.solve import Fused
from unipose_ros.joint_sets import COCO17, ITOP15, JointSet

FloatArray = NDArray[np.float64]

#: What may be exchanged: everything, arms without shoulders, legs without hips; landmarks.
_LIMBS = (
    ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye", "ear"),
    ("elbow", "wrist"),
    ("knee", "ankle"),
)
#: An exchange is tried where it costs less than this more than none, by keypoints and network alone.
_TRY = 4.0
#: Negative log probability that a 2D network exchanges all of a person, its arms, its legs: 3, 2 and 2 %.
_PRIORS = (3.5, 3.9, 3.9)
#: Sources are not independent, so that differences of their likelihoods say less than they seem to.
_TEMPERATURE = 4.0
#: However clear it looks, so many are exchanged.
_LEAST_DOUBT = 0.005


class Exchange(NamedTuple):
    """Left and right of some of a person's keypoints exchanged.

    Attributes:
        person: index.
        keypoints: (17,) permutation of COCO's.
        prior: negative log probability that a detector needs it.
    """

    person: int
    keypoints: tuple[int, ...]
    prior: float


def exchanges(evidence: Evidence) -> list[Exchange]:
    """Those that are worth a try."""
    found = []
    for names, prior in zip(_LIMBS, _PRIORS, strict=True):
        permutation, keypoints = np.array(_permutation(ITOP15, names)), _permutation(COCO17, names)
        straight, crossed = _costs(evidence, np.arange(len(ITOP15))), _costs(evidence, permutation)
        moved = permutation != np.arange(len(ITOP15))
        # Nothing to tell apart costs the same both ways, and is left alone.
        better = np.where(moved, straight - crossed, 0.0).sum(axis=1)
        differs = np.abs(np.where(moved, straight - crossed, 0.0)).sum(axis=1) > _TRY
        found += [Exchange(int(person), keypoints, prior) for person in np.flatnonzero(differs & (better > -_TRY))]
    return found


def _permutation(joints: JointSet, names: tuple[str, ...]) -> tuple[int, ...]:
    """Left and right of some landmarks exchanged."""
    return tuple(
        joints.mirror[joint] if place.partition("_")[2] in names else joint
        for joint, place in enumerate(joints.landmarks)
    )


def _costs(evidence: Evidence, permutation: NDArray[np.intp]) -> FloatArray:
    """(N, 15) how far the network's joints are from the rays of the permuted keypoints; 0 where one is absent."""
    slopes, stds = evidence.slopes[:, permutation], evidence.slope_stds[:, permutation]
    joints, covariances = evidence.joints, evidence.covariances
    depth = np.maximum(joints[..., 2], 0.1)
    off = joints[..., :2] - slopes * depth[..., None]
    size = np.trace(covariances[..., :2, :2], axis1=-2, axis2=-1) / 2 + (stds * depth) ** 2
    squares = (off**2).sum(axis=-1) / size
    return np.where(np.isfinite(squares), student_cost(np.nan_to_num(squares), 2), 0.0)


def exchange_probability(straight: float, exchanged: float) -> float:
    """Probability that the likelier of two namings of the sides is wrong.

    Args:
        straight, exchanged: negative log likelihoods, priors included.
    """
    difference = abs(straight - exchanged) / _TEMPERATURE
    return float(max(1 / (1 + np.exp(min(difference, 50.0))), _LEAST_DOUBT))


def widened(fused: Fused, person: int, other: FloatArray, probability: float) -> FloatArray:
    """(15, 3, 3) covariances of a person's joints when these may be the other ones (15, 3) with a probability."""
    apart = other - fused.joints[person]
    outer = apart[:, :, None] * apart[:, None, :]
    return np.asarray(fused.covariances[person] + probability * outer)
