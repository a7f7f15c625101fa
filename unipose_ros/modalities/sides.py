"""Which side of a person is left, and how sure that is.

A 2D network names sides by appearance. It errs for people seen from behind or from the side, sometimes for a pair of
limbs alone, and from above it takes the back of a head for a face. A point network names them by shape, but one with
keypoints painted on follows the paint. So now and then it looks at a person twice more, with the sides of the paint
swapped and without paint (:func:`contradicted`). Where limbs alone disagree, both ways are fused and compared by
their likelihoods (:func:`swaps`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unipose_ros.fusion.evidence import Evidence, student_cost
from unipose_ros.fusion.solve import Fused
from unipose_ros.joint_sets import COCO17, ITOP15, JointSet
from unipose_ros.keypoints import Keypoints2D

FloatArray = NDArray[np.float64]

#: The unpainted joints are nearer to those with swapped paint by this many meters on average where the 2D network
#: swapped left and right. Of 622 rendered people, by whom it was chosen, this was true of the six whom it swapped.
_NEARER = 0.2
#: Sides that were checked are believed for so many nanoseconds, of a person who moved by less than so many meters and
#: faces about where they faced.
_BELIEVED_NS, _SAME = 300_000_000, 0.4


def contradicted(
    named: NDArray[np.floating], swapped: NDArray[np.floating], unpainted: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """(N,) whether depth alone says that a 2D network swapped left and right.

    Args:
        named, swapped, unpainted: (N, 15, 3) meters: a network's joints with keypoints painted on as they are named,
            with left and right of them swapped, and without.
    """
    apart, otherwise = (np.linalg.norm(joints - unpainted, axis=-1).mean(axis=-1) for joints in (named, swapped))
    return np.asarray(apart - otherwise > _NEARER)


def with_swapped_paint(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inputs (..., 3 + 17) of a painted network, with left and right of the keypoints swapped."""
    return np.concatenate([inputs[..., :3], inputs[..., 3:][..., list(COCO17.mirror)]], axis=-1)


def without_paint(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inputs (..., 3 + 17) of a painted network, as of people whom a 2D network does not show."""
    return np.concatenate([inputs[..., :3], np.zeros_like(inputs[..., 3:])], axis=-1)


def permuted(keypoints: Keypoints2D, order: NDArray[np.intp]) -> Keypoints2D:
    """Keypoints under other names.

    Args:
        order: (N, 17) for each person and keypoint, which one it is taken from.
    """
    return replace(
        keypoints,
        pixels=np.take_along_axis(keypoints.pixels, order[..., None], axis=1),
        confidences=np.take_along_axis(keypoints.confidences, order, axis=1),
    )


class CheckedSides:
    """Whose sides were checked lately, and how these people faced."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everyone."""
        self._middles = self._facings = np.zeros((0, 3))
        self._checked_ns = np.zeros(0, np.int64)

    def due(self, stamp_ns: int, joints: NDArray[np.floating]) -> NDArray[np.bool_]:
        """(N,) who is to be checked: who is new, was not checked for long, or seems to have turned round.

        Args:
            joints: (N, 15, 3) meters, finite; the network's with the keypoints as they are named.
        """
        entries, near = self._entries(_middles(joints))
        believed = near.copy()
        age = stamp_ns - self._checked_ns[entries[near]]
        believed[near] = (age >= 0) & (age < _BELIEVED_NS)
        believed[near] &= (_facing(joints[near]) * self._facings[entries[near]]).sum(axis=-1) > 0
        self._checked_ns[entries[near & ~believed]] = stamp_ns
        return ~believed

    def remember(self, stamp_ns: int, joints: NDArray[np.floating]) -> None:
        """Take note of the people of a frame (N, 15, 3), as they were found in the end."""
        middles = _middles(joints)
        entries, near = self._entries(middles)
        checked = np.full(len(joints), stamp_ns, np.int64)
        checked[near] = self._checked_ns[entries[near]]
        self._middles, self._facings, self._checked_ns = middles, _facing(joints), checked

    def _entries(self, middles: FloatArray) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """(N,) the person of the last frame who is nearest to (N, 3), and whether that is the same one."""
        if not len(self._middles):
            return np.zeros(len(middles), np.intp), np.zeros(len(middles), np.bool_)
        apart = np.linalg.norm(middles[:, None] - self._middles[None], axis=-1)
        entries = apart.argmin(axis=1)
        return entries, np.take_along_axis(apart, entries[:, None], axis=1)[:, 0] < _SAME


_LEFT, _RIGHT = ([ITOP15.index(f"{side}_{part}") for part in ("shoulder", "hip")] for side in ("left", "right"))


def _middles(joints: NDArray[np.floating]) -> FloatArray:
    """(N, J, 3) -> (N, 3) mean over the joints."""
    return np.asarray(joints.sum(axis=1, dtype=np.float64) / joints.shape[1])


def _facing(joints: NDArray[np.floating]) -> FloatArray:
    """(N, 3) from the right to the left of the trunks (N, 15, 3), meters."""
    across = joints[:, _LEFT] - joints[:, _RIGHT]
    return np.asarray((across[:, 0] + across[:, 1]) / 2, np.float64)


# Two namings of some of the keypoints, by their likelihoods.

#: What may be swapped: everything, arms without shoulders, legs without hips; landmarks.
_LIMBS = (
    ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye", "ear"),
    ("elbow", "wrist"),
    ("knee", "ankle"),
)
#: A swap is tried where it costs less than this more than none, by keypoints and network alone.
_TRY = 4.0
#: Negative log probability that a 2D network swaps all of a person, its arms, its legs: 3, 2 and 2 %.
_PRIORS = (3.5, 3.9, 3.9)
#: Sources are not independent, so that differences of their likelihoods say less than they seem to.
_TEMPERATURE = 4.0
#: However clear it looks, so many are swapped.
_LEAST_PROBABILITY = 0.005


class Swap(NamedTuple):
    """Left and right of some of a person's keypoints swapped.

    Attributes:
        person: index.
        keypoints: (17,) permutation of COCO's.
        prior: negative log probability that a detector needs it.
    """

    person: int
    keypoints: tuple[int, ...]
    prior: float


def swaps(evidence: Evidence) -> list[Swap]:
    """Those that are worth a try."""
    orders, keypoints = _orders()
    costs = _costs(evidence, orders)
    # Nothing to tell apart costs the same both ways, and is left alone.
    cheaper = np.where(orders[1:] != orders[0], costs[:, :1] - costs[:, 1:], 0.0)
    tried = (np.abs(cheaper).sum(axis=-1) > _TRY) & (cheaper.sum(axis=-1) > -_TRY)
    return [Swap(int(person), keypoints[limbs], _PRIORS[limbs]) for limbs, person in np.argwhere(tried.T)]


@cache
def _orders() -> tuple[NDArray[np.intp], list[tuple[int, ...]]]:
    """(1 + K, 15) ITOP's joints as they are named and with each of the limbs swapped, and K permutations of COCO's."""
    unchanged = tuple(range(len(ITOP15)))
    orders = np.array([unchanged, *(_permutation(ITOP15, names) for names in _LIMBS)], np.intp)
    return orders, [_permutation(COCO17, names) for names in _LIMBS]


def _permutation(joints: JointSet, names: tuple[str, ...]) -> tuple[int, ...]:
    """Left and right of some landmarks swapped."""
    return tuple(
        joints.mirror[joint] if place.partition("_")[2] in names else joint
        for joint, place in enumerate(joints.landmarks)
    )


def _costs(evidence: Evidence, orders: NDArray[np.intp]) -> FloatArray:
    """(N, K, 15) how far the network's joints are from the rays of the keypoints in K orders; 0 where one is absent."""
    slopes, stds = evidence.slopes[:, orders], evidence.slope_stds[:, orders]
    joints, covariances = evidence.joints[:, None], evidence.covariances[:, None]
    depth = np.maximum(joints[..., 2], 0.1)
    off = joints[..., :2] - slopes * depth[..., None]
    size = (covariances[..., 0, 0] + covariances[..., 1, 1]) / 2 + (stds * depth) ** 2
    squares = (off**2).sum(axis=-1) / size
    return np.where(np.isfinite(squares), student_cost(squares, 2), 0.0)


def swap_probability(straight: float, swapped: float) -> float:
    """Probability that the likelier of two namings of the sides is wrong.

    Args:
        straight, swapped: negative log likelihoods, priors included.
    """
    difference = abs(straight - swapped) / _TEMPERATURE
    return float(max(1 / (1 + np.exp(min(difference, 50.0))), _LEAST_PROBABILITY))


def widened(fused: Fused, person: int, other: FloatArray, probability: float) -> FloatArray:
    """(15, 3, 3) covariances of a person's joints when these may be the other ones (15, 3) with a probability."""
    apart = other - fused.joints[person]
    outer = apart[:, :, None] * apart[:, None, :]
    return np.asarray(fused.covariances[person] + probability * outer)
