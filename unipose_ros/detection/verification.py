"""How likely a pose is a person's, and which poses are one person."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import project
from unipose_ros.codecs.instances import to_segments
from unipose_ros.compiled import compiled, compiled_part
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.geometry.nms import SamePerson, greedy_nms
from unipose_ros.geometry.surfaces import depth_at, nearest_surface
from unipose_ros.joint_sets import Bone, JointSet
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
_ANGLES = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
#: (9, 3) from a joint to itself and to the places around it.
_RING = np.zeros((1 + _DIRECTIONS, 3))
_RING[1:, 0], _RING[1:, 1] = _AROUND * np.cos(_ANGLES), _AROUND * np.sin(_ANGLES)
#: Pixels on each side in which a joint's surface is looked for, as in :mod:`unipose_ros.geometry.surfaces`.
_WINDOW = 2
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
    pixels = project(frame.camera, people.positions[:, :, None] + _RING)
    columns = np.empty((len(people), len(POSE_FEATURES)))
    columns[:, 0] = _logit(people.scores, _LEAST_SCORE)
    columns[:, 1] = _logit(_surest(people.confidences), _LEAST_CONFIDENCE)
    held, columns[:, 2:] = _shape_evidence(
        np.ascontiguousarray(frame.depth),
        np.ascontiguousarray(people.positions),
        pixels,
        *_known_bones(people.joint_set.bones),
    )
    return PoseFeatures(columns, held)


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
    within = np.minimum(np.maximum(values.astype(np.float64), least), 1 - least)
    return np.asarray(np.log(within / (1 - within)))


def shape_evidence_by_numpy(
    depth: NDArray[np.float32],
    positions: NDArray[np.float32],
    pixels: FloatArray,
    bones: NDArray[np.intp],
    lengths: FloatArray,
) -> tuple[NDArray[np.bool_], FloatArray]:
    """What depth and bones say of N poses.

    Args:
        positions: (N, J, 3) meters.
        pixels: (N, J, 9, 2) of each joint, and of the points around it; NaN where there is none.
        bones, lengths: of :func:`_known_bones`.

    Returns:
        (N, J) joints that lie just behind a surface, and (N, 3) the last of :data:`POSE_FEATURES`.
    """
    size = np.array([depth.shape[1], depth.shape[0]]) - 0.5
    within = np.asarray(((pixels >= -0.5) & (pixels < size)).all(axis=-1))  # False for NaN
    inside = within[..., 0]
    surface = np.full(inside.shape, np.nan)
    surface[inside] = nearest_surface(depth, np.rint(pixels[..., 0, :][inside]).astype(np.intp))
    behind = positions[..., 2] - surface
    held = inside & (behind > -_BEFORE) & (behind < _DEEP)
    tested = held[..., None] & within[..., 1:]
    # Not the nearest one around each place: that would be the person's own.
    beside = depth_at(depth, np.where(tested[..., None], pixels[..., 1:, :], 0))
    free = tested & ~(np.abs(beside - surface[..., None]) < _LEVEL)  # NaN is no surface
    # Bones without both ends do not count.
    apart = np.linalg.norm(positions[:, bones[:, 1]] - positions[:, bones[:, 0]], axis=-1)
    off = np.minimum(np.abs(apart - lengths[:, 0]) / lengths[:, 1], _WRONG)
    there = np.isfinite(off)
    columns = [
        held.sum(axis=1) / np.maximum(inside.sum(axis=1), 1),
        free.sum(axis=(1, 2)) / np.maximum(tested.sum(axis=(1, 2)), 1),
        np.where(there, off, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1),
    ]
    return held, np.stack(columns, axis=1)


@compiled_part()
def _reading(depth: NDArray[np.float32], u: int, v: int) -> float:
    """A reading; NaN where there is none."""
    value = depth[v, u]
    return float(value) if 0 < value < math.inf else math.nan


@compiled_part()
def _nearest_reading(depth: NDArray[np.float32], u: int, v: int) -> float:
    """The least reading around a pixel of the image, as :func:`~unipose_ros.geometry.surfaces.nearest_surface`."""
    least = math.inf
    for row in range(max(v - _WINDOW, 0), min(v + _WINDOW + 1, depth.shape[0])):
        for column in range(max(u - _WINDOW, 0), min(u + _WINDOW + 1, depth.shape[1])):
            value = _reading(depth, column, row)
            if value < least:
                least = value
    return least if least < math.inf else math.nan


@compiled_part()
def _bone_deviation(joints: NDArray[np.float32], bones: NDArray[np.intp], lengths: FloatArray) -> float:
    """Of one person; 0 where no bone counts."""
    total, count = 0.0, 0
    for bone in range(len(bones)):
        start, end = joints[bones[bone, 0]], joints[bones[bone, 1]]
        length = math.sqrt((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2 + (end[2] - start[2]) ** 2)
        if length == length:  # not of NaN
            total += min(abs(length - lengths[bone, 0]) / lengths[bone, 1], _WRONG)
            count += 1
    return total / max(count, 1)


@compiled(
    shape_evidence_by_numpy,
    "Tuple((b1[:,::1],f8[:,::1]))(f4[:,::1],f4[:,:,::1],f8[:,:,:,::1],i8[:,::1],f8[:,::1])",
)
def _shape_evidence(
    depth: NDArray[np.float32],
    positions: NDArray[np.float32],
    pixels: FloatArray,
    bones: NDArray[np.intp],
    lengths: FloatArray,
) -> tuple[NDArray[np.bool_], FloatArray]:
    people, joints, places = pixels.shape[0], pixels.shape[1], pixels.shape[2]
    height, width = depth.shape
    held, columns = np.zeros((people, joints), np.bool_), np.zeros((people, 3))
    for person in range(people):
        inside, behind, tested, ends = 0, 0, 0, 0
        for joint in range(joints):
            surface = math.nan
            for place in range(places):
                u, v = pixels[person, joint, place, 0], pixels[person, joint, place, 1]
                if not (-0.5 <= u < width - 0.5 and -0.5 <= v < height - 0.5):
                    if place == 0:
                        break
                    continue
                column, row = int(np.rint(u)), int(np.rint(v))
                if place == 0:
                    inside += 1
                    surface = _nearest_reading(depth, column, row)
                    if not -_BEFORE < positions[person, joint, 2] - surface < _DEEP:
                        break
                    held[person, joint] = True
                    behind += 1
                else:
                    tested += 1
                    ends += not abs(_reading(depth, column, row) - surface) < _LEVEL
        columns[person, 0], columns[person, 1] = behind / max(inside, 1), ends / max(tested, 1)
        columns[person, 2] = _bone_deviation(positions[person], bones, lengths)
    return held, columns


@cache
def _known_bones(bones: tuple[Bone, ...]) -> tuple[NDArray[np.intp], FloatArray]:
    """Ends (B, 2), and (B, 2) means and standard deviations of the lengths that are known."""
    known = [bone for bone in bones if bone.std > 0]
    ends = np.array([(bone.parent, bone.child) for bone in known], np.intp).reshape(-1, 2)
    return ends, np.array([(bone.length, bone.std) for bone in known], np.float64).reshape(-1, 2)


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
        kept = greedy_nms(likely, same_people(people, known.held), likely >= least)
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


def same_people(people: Skeletons, held: NDArray[np.bool_] | None = None) -> SamePerson:
    """Which poses are that of a likelier person, as :func:`~unipose_ros.geometry.nms.greedy_nms` asks.

    Hips farther apart than 30 cm, that are not within the other's trunk or legs, are two people's: people who touch
    are never suppressed. Else poses are one person whose joints are near to each other on average, or when a surface
    holds the joints of one, and that is the other's.

    Args:
        held: (N, J) the poses' joints that a surface holds; without, they are not asked about.
    """
    positions = np.ascontiguousarray(people.positions)
    known = held if held is not None else np.zeros(positions.shape[:2], np.bool_)
    hips, limbs, bones = _parts(people.joint_set)

    def same(person: int, likelier: NDArray[np.intp]) -> NDArray[np.bool_]:
        return _same(positions, known[person], person, likelier, hips, limbs, bones)

    return same


@cache
def _parts(joint_set: JointSet) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the hips, and ends of the bones (B, 2) of trunk and legs, and of all."""
    landmarks = joint_set.landmarks
    hips = [joint for joint, place in enumerate(landmarks) if place in ("left_hip", "right_hip")]
    bones = [(bone.parent, bone.child) for bone in joint_set.bones]
    limbs = [ends for ends in bones if not landmarks[ends[1]].endswith(("elbow", "wrist", "hand"))]
    return np.array(hips, np.intp), np.array(limbs, np.intp).reshape(-1, 2), np.array(bones, np.intp).reshape(-1, 2)


def same_by_numpy(
    positions: NDArray[np.float32],
    held: NDArray[np.bool_],
    person: int,
    likelier: NDArray[np.intp],
    hips: NDArray[np.intp],
    limbs: NDArray[np.intp],
    bones: NDArray[np.intp],
) -> NDArray[np.bool_]:
    """Whether a person's pose is that of likelier ones.

    Args:
        positions: (N, J, 3) meters of all people.
        held: (J,) the pose's joints that a surface holds.
        likelier: (K,) indices.
        hips, limbs, bones: of :func:`_parts`.
    """

    def is_same(other: NDArray[np.float32]) -> bool:
        if len(hips) and np.linalg.norm(pose[hips].mean(axis=0) - other[hips].mean(axis=0)) >= _APART:  # not of NaN
            ends = other[limbs][np.isfinite(other[limbs]).all(axis=(1, 2))]
            if not len(ends) or distances_to_bones(pose[hips].mean(axis=0)[None], ends)[0] > _WITHIN:
                return False
        apart = np.linalg.norm(pose - other, axis=1)
        if np.isfinite(apart).any() and apart[np.isfinite(apart)].mean() < _SAME:
            return True
        ends = other[bones][np.isfinite(other[bones]).all(axis=(1, 2))]
        return bool(held.any() and len(ends) and (distances_to_bones(pose[held], ends) < _ON_BONES).mean() > _MOST)

    pose = positions[person]
    return np.array([is_same(positions[other]) for other in likelier], np.bool_)


@compiled_part()
def _to_nearest_bone(x: float, y: float, z: float, joints: NDArray[np.float32], bones: NDArray[np.intp]) -> float:
    """Meters from a point to the nearest of a person's bones (B, 2); inf without any."""
    least = math.inf
    for bone in range(len(bones)):
        start, end = joints[bones[bone, 0]], joints[bones[bone, 1]]
        across, up, along = float(end[0]) - start[0], float(end[1]) - start[1], float(end[2]) - start[2]
        dx, dy, dz = x - start[0], y - start[1], z - start[2]
        part = (dx * across + dy * up + dz * along) / max(across * across + up * up + along * along, 1e-9)
        part = min(max(part, 0.0), 1.0)
        distance = math.sqrt((dx - part * across) ** 2 + (dy - part * up) ** 2 + (dz - part * along) ** 2)
        if distance < least:  # not of NaN
            least = distance
    return least


@compiled(
    same_by_numpy,
    "b1[::1](f4[:,:,::1],b1[::1],i8,i8[::1],i8[::1],i8[:,::1],i8[:,::1])",
)
def _same(
    positions: NDArray[np.float32],
    held: NDArray[np.bool_],
    person: int,
    likelier: NDArray[np.intp],
    hips: NDArray[np.intp],
    limbs: NDArray[np.intp],
    bones: NDArray[np.intp],
) -> NDArray[np.bool_]:
    same = np.zeros(len(likelier), np.bool_)
    pose, middle = positions[person], np.zeros((2, 3))
    for place in range(len(likelier)):
        other = positions[likelier[place]]
        for a in range(3):
            middle[0, a] = middle[1, a] = 0.0
            for hip in hips:
                middle[0, a] += pose[hip, a] / len(hips)
                middle[1, a] += other[hip, a] / len(hips)
        x, y, z = middle[0, 0], middle[0, 1], middle[0, 2]
        apart = math.sqrt((x - middle[1, 0]) ** 2 + (y - middle[1, 1]) ** 2 + (z - middle[1, 2]) ** 2)
        if apart >= _APART and _to_nearest_bone(x, y, z, other, limbs) > _WITHIN:
            continue
        total, common, holding, on_bones = 0.0, 0, 0, 0
        for joint in range(len(pose)):
            x, y, z = float(pose[joint, 0]), float(pose[joint, 1]), float(pose[joint, 2])
            apart = math.sqrt((x - other[joint, 0]) ** 2 + (y - other[joint, 1]) ** 2 + (z - other[joint, 2]) ** 2)
            if math.isfinite(apart):
                total += apart
                common += 1
            if held[joint]:
                holding += 1
                on_bones += _to_nearest_bone(x, y, z, other, bones) < _ON_BONES
        if common and total / common < _SAME:
            same[place] = True
        else:
            same[place] = holding > 0 and on_bones > _MOST * holding
    return same


def distances_to_bones(points: NDArray[np.floating], ends: NDArray[np.floating]) -> FloatArray:
    """(K, 3) points and (B, 2, 3) ends of bones -> (K,) meters to the nearest bone."""
    return np.asarray(to_segments(points, ends).min(axis=1))
