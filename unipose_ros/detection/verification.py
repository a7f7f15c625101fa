"""How likely a pose is a person's, and which poses are one person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.codecs.instances import to_segments
from unipose_ros.frame import RgbdFrame, Skeletons, in_image
from unipose_ros.geometry.nms import greedy_nms
from unipose_ros.geometry.surfaces import depth_at, nearest_surface
from unipose_ros.joint_sets import JointSet
from unipose_ros.networks.weights import ModelCard, WeightsError

# Evidence that a pose belongs to a person, without color: the detector's score, the network's confidence, depth.


FloatArray = NDArray[np.float64]

#: The columns of :class:`PoseFeatures`.
POSE_FEATURES = ("detector_logit", "confidence_logit", "on_surface", "free_boundary", "bone_deviation")
#: So many of the joints are surer than the one that is asked: hidden ones are unsure on real people, too.
_SUREST = 0.25
#: Scores and confidences are kept so far from 0 and 1 that they decide nothing alone.
_LEAST_SCORE, _LEAST_CONFIDENCE = 0.02, 1e-4
#: A joint of a person lies behind a surface by no more than this, and before it by no more than noise, in meters.
_DEEP, _BEFORE = 0.3, 0.05
#: The surface around a joint is sampled at this distance in so many directions, and is the joint's own when it is
#: as deep, in meters.
_AROUND, _DIRECTIONS, _LEVEL = 0.25, 8, 0.1
#: Standard deviations of a bone beyond which it is just wrong.
_WRONG = 8.0


@dataclass(frozen=True, eq=False)
class PoseFeatures:
    """What is known of N poses.

    Attributes:
        columns: (N, 5) by the names of :data:`POSE_FEATURES`. ``detector_logit``: logit of the person detector's
            score; ``confidence_logit``: logit of the confidence that a quarter of the joints exceed; ``on_surface``:
            fraction of the joints in the image that lie just behind a surface; ``free_boundary``: fraction of the
            points around those joints where the surface ends, unlike on walls and furniture, 0 without such joints;
            ``bone_deviation``: mean deviation of bone lengths from the population, in standard deviations.
        held: (N, J) joints that lie just behind a surface.
    """

    columns: FloatArray
    held: NDArray[np.bool_]


def pose_features(frame: RgbdFrame, people: Skeletons) -> PoseFeatures:
    """All of it, of poses in a frame that has depth; their scores are the person detector's."""
    assert frame.depth is not None
    inside = in_image(frame.camera, people.positions)
    surface = _surface(frame.camera, frame.depth, people.positions, inside)
    behind = people.positions[..., 2] - surface
    held = inside & (behind > -_BEFORE) & (behind < _DEEP)  # False for NaN
    columns = {
        "detector_logit": _logit(people.scores, _LEAST_SCORE),
        "confidence_logit": _logit(_surest(people.confidences), _LEAST_CONFIDENCE),
        "on_surface": held.sum(axis=1) / np.maximum(inside.sum(axis=1), 1),
        "free_boundary": _free(frame.camera, frame.depth, people.positions, surface, held),
        "bone_deviation": _bones(people.positions, people.joint_set),
    }
    return PoseFeatures(np.stack([columns[name] for name in POSE_FEATURES], axis=1), held)


def _surest(confidences: NDArray[np.float32]) -> FloatArray:
    """(N, J) -> (N,) confidence that the surest quarter has; the same numbers as by ``np.quantile``, sooner."""
    if not confidences.size:
        return np.zeros(0)
    ordered = np.sort(confidences, axis=1)
    place = (1 - _SUREST) * (confidences.shape[1] - 1)
    part = place - int(place)
    low, high = ordered[:, int(place)], ordered[:, min(int(place) + 1, confidences.shape[1] - 1)]
    apart = high - low
    return np.asarray(low + apart * part if part < 0.5 else high - apart * (1 - part))


def _logit(values: NDArray[np.floating], least: float) -> FloatArray:
    within = np.clip(values.astype(np.float64), least, 1 - least)
    return np.asarray(np.log(within / (1 - within)))


def _surface(
    camera: Camera, depth: NDArray[np.float32], positions: NDArray[np.floating], inside: NDArray[np.bool_]
) -> FloatArray:
    """(...) meters of the nearest reading around each place (..., 3); NaN outside of the image and without any."""
    result = np.full(inside.shape, np.nan)
    result[inside] = nearest_surface(depth, np.rint(project(camera, positions[inside])).astype(np.intp))
    return result


def _free(
    camera: Camera,
    depth: NDArray[np.float32],
    positions: NDArray[np.float32],
    surface: FloatArray,
    held: NDArray[np.bool_],
) -> FloatArray:
    angles = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
    ring = _AROUND * np.stack([np.cos(angles), np.sin(angles), np.zeros(_DIRECTIONS)], axis=1)
    samples = positions[:, :, None] + ring
    tested = held[..., None] & in_image(camera, samples)
    # Not the nearest one around each place: that would be the person's own.
    beside = depth_at(depth, np.where(tested[..., None], project(camera, samples), 0))
    free = tested & ~(np.abs(beside - surface[..., None]) < _LEVEL)  # NaN is no surface
    return np.asarray(free.sum(axis=(1, 2)) / np.maximum(tested.sum(axis=(1, 2)), 1))


def _bones(positions: NDArray[np.float32], joint_set: JointSet) -> FloatArray:
    """Bones without both ends do not count, nor do those of which no length is known; 0 where none counts."""
    known = [bone for bone in joint_set.bones if bone.std > 0]
    if not known:
        return np.zeros(len(positions))
    ends = positions[:, [bone.child for bone in known]] - positions[:, [bone.parent for bone in known]]
    means, stds = (np.array([getattr(bone, name) for bone in known]) for name in ("length", "std"))
    off = np.minimum(np.abs(np.linalg.norm(ends, axis=-1) - means) / stds, _WRONG)
    there = np.isfinite(off)
    return np.asarray(np.where(there, off, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1))


#: Of the names in a record's metrics.
_PREFIX = "verifier."
#: Two poses are one person when their joints are closer than the first on average, or when of one's joints that a
#: surface holds more than the last part is closer than the second to the other's bones, in meters.
_SAME, _ON_BONES, _MOST = 0.3, 0.2, 0.75
#: Meters: two poses with hips farther apart are two people, however close the rest of them is, unless the hips of one
#: are within the second distance of the other's trunk or legs.
_APART, _WITHIN = 0.3, 0.12


class Verifier(Protocol):
    """Says which poses are people's."""

    def __call__(
        self, frame: RgbdFrame, people: Skeletons, least: float
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """See :meth:`PoseVerifier.__call__`."""
        ...


@dataclass(frozen=True)
class PoseVerifier:
    """A logistic regression on :class:`PoseFeatures`.

    Attributes:
        weights: one for each of :data:`POSE_FEATURES`.
        bias: what is added.

    Raises:
        ValueError: a weight is absent or too much, or a number is not finite.
    """

    weights: Mapping[str, float]
    bias: float

    def __post_init__(self) -> None:
        if set(self.weights) != set(POSE_FEATURES):
            raise ValueError(
                f"verifier: weights of {', '.join(self.weights) or 'nothing'}; needed: {', '.join(POSE_FEATURES)}"
            )
        if not np.isfinite([*self.weights.values(), self.bias]).all():
            raise ValueError("verifier: a weight or the bias is not finite")

    def probabilities(self, columns: FloatArray) -> FloatArray:
        """(N, 5) evidence -> (N,) probability that the pose is a person's."""
        return np.asarray(1 / (1 + np.exp(-columns @ [self.weights[name] for name in POSE_FEATURES] - self.bias)))

    def likely(self, frame: RgbdFrame, people: Skeletons) -> NDArray[np.float32]:
        """(N,) how likely each pose is a person's, by depth; their scores are the person detector's."""
        return self.probabilities(pose_features(frame, people).columns).astype(np.float32)

    def __call__(
        self, frame: RgbdFrame, people: Skeletons, least: float
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Those who are likely people, each once, likeliest first, and how likely they are.

        Args:
            frame: with depth, in which they were found.
            people: their scores are the person detector's.
            least: probability.
        """
        known = pose_features(frame, people)
        likely = self.probabilities(known.columns)

        def same(person: int, likelier: NDArray[np.intp]) -> NDArray[np.bool_]:
            return np.array([_is_same(people, person, int(other), known.held[person]) for other in likelier])

        kept = greedy_nms(likely, same, likely >= least)
        return kept, likely[kept].astype(np.float32)

    def metrics(self) -> dict[str, float]:
        """As a weights record keeps them."""
        return {f"{_PREFIX}{name}": value for name, value in {**self.weights, "bias": self.bias}.items()}


#: For a network whose record has no verifier: how sure networks are differs between them, so that does not count.
#: Fitted by :mod:`unipose_training.detection.verifier` for the points network.
DEFAULT_VERIFIER = PoseVerifier(
    {"detector_logit": 1.2, "confidence_logit": 0.0, "on_surface": 4.2, "free_boundary": 6.6, "bone_deviation": -0.7},
    -3.9,
)


def card_verifier(record: ModelCard) -> PoseVerifier:
    """The verifier that was fitted for a network; :data:`DEFAULT_VERIFIER` where none was.

    Raises:
        WeightsError: a part of it is absent or no number.
    """
    known = {name.removeprefix(_PREFIX): value for name, value in record.metrics.items() if name.startswith(_PREFIX)}
    if not known:
        return DEFAULT_VERIFIER
    try:
        return PoseVerifier(
            {name: float(value) for name, value in known.items() if name != "bias"}, float(known["bias"])
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise WeightsError(
            f"weights record of {record.network}: {error!r}; fit the verifier again: "
            "python -m unipose_training.detection.verifier"
        ) from error


def is_same(people: Skeletons, person: int, likelier: int) -> bool:
    """Is a pose that of a likelier person, by the mean distance of their joints?"""
    if _stands_apart(people, person, likelier):
        return False
    apart = np.linalg.norm(people.positions[person] - people.positions[likelier], axis=1)
    return bool(np.isfinite(apart).any() and np.nanmean(apart) < _SAME)


def _stands_apart(people: Skeletons, person: int, other: int) -> bool:
    """Are the hips of a pose 30 cm from another person's, and not within that person's trunk or legs?

    Such a pose is never suppressed in favor of the other: people who touch are two people.
    """
    landmarks = people.joint_set.landmarks
    hips = [joint for joint, place in enumerate(landmarks) if place in ("left_hip", "right_hip")]
    if not hips:
        return False
    own, theirs = (people.positions[each][hips].mean(axis=0) for each in (person, other))
    if not np.linalg.norm(own - theirs) >= _APART:  # NaN compares false
        return False
    limbs = [
        (bone.parent, bone.child)
        for bone in people.joint_set.bones
        if not landmarks[bone.child].endswith(("elbow", "wrist", "hand"))
    ]
    ends = people.positions[other][
        np.array(limbs, int).reshape(-1, 2)
    ]  # not a list: NumPy before 1.23 takes one of tuples for a tuple
    ends = ends[np.isfinite(ends).all(axis=(1, 2))]
    return not len(ends) or bool(distances_to_bones(own[None], ends)[0] > _WITHIN)


def _is_same(people: Skeletons, person: int, likelier: int, held: NDArray[np.bool_]) -> bool:
    """Is a pose that of a likelier person?

    Args:
        held: (J,) the pose's joints that a surface holds.
    """
    if _stands_apart(people, person, likelier):
        return False
    pose, other = people.positions[person], people.positions[likelier]
    apart = np.linalg.norm(pose - other, axis=1)
    if np.mean(apart[np.isfinite(apart)] if np.isfinite(apart).any() else np.inf) < _SAME:
        return True
    ends = other[np.array([(bone.parent, bone.child) for bone in people.joint_set.bones])]
    ends = ends[np.isfinite(ends).all(axis=(1, 2))]
    return bool(held.any() and len(ends) and np.mean(distances_to_bones(pose[held], ends) < _ON_BONES) > _MOST)


def distances_to_bones(points: NDArray[np.floating], ends: NDArray[np.floating]) -> FloatArray:
    """(K, 3) points and (B, 2, 3) ends of bones -> (K,) meters to the nearest bone."""
    return np.asarray(to_segments(points, ends).min(axis=1))
