"""How a 2D detector errs: keypoints as true as motion capture become as false as a detector's.

Figures: MoveNet multipose on rendered people of known pose (``benchmarks/detector_noise.py``: half of
the clips, 1328 people, 2026-11). Per kind of keypoint, confidences are logistic-normal and share what
makes a whole person hard to see; the error of one of confidence c is log-normal around a median
``exp(a + b c)``, as a part of the diagonal of the box around the person's keypoints. Sides are
exchanged for the whole person, an arm pair or a leg pair.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_ros.joint_sets import COCO17
from unipose_training.datasets.io import read_npz
from unipose_training.errors import DataError, reading
from unipose_training.mocap.virtual_cameras import Sightings

Array = NDArray[np.float64]


Mask = NDArray[np.bool_]

_FACE = ("nose", "eye", "ear")
_ARMS = tuple(COCO17.index(f"{side}_{part}") for side in ("left", "right") for part in ("elbow", "wrist"))
_LEGS = tuple(COCO17.index(f"{side}_{part}") for side in ("left", "right") for part in ("knee", "ankle"))


@dataclass(frozen=True)
class PartNoise:
    """One kind of keypoint.

    Attributes:
        logit, std, wrong_confidence: of the confidence's logit: median, standard deviation above and below it.
        level, slope: the error's median is ``exp(level + slope confidence)``.
        scatter: standard deviation of the error's logarithm.
    """

    logit: float
    std: float
    wrong_confidence: float
    level: float
    slope: float
    scatter: float


#: Confidences fall below the median farther than they rise above it.
_PARTS = {
    "face": PartNoise(0.19, 0.44, 0.51, -2.51, -3.29, 0.79),
    "shoulder": PartNoise(0.96, 0.58, 0.84, -2.43, -2.08, 0.67),
    "elbow": PartNoise(0.20, 0.89, 0.98, -1.92, -3.24, 0.77),
    "wrist": PartNoise(-0.17, 1.05, 1.11, -1.63, -4.09, 0.97),
    "hip": PartNoise(1.20, 0.68, 1.00, -2.35, -1.83, 0.69),
    "knee": PartNoise(0.63, 0.88, 1.61, -1.87, -2.91, 0.76),
    "ankle": PartNoise(0.46, 1.19, 2.02, -1.58, -3.85, 0.88),
}


@dataclass(frozen=True)
class DetectorNoise:
    """See the module.

    Attributes:
        parts: by kind of keypoint.
        together: correlation of the confidences of one person.
        swapped_people, swapped_limbs: shares of people with sides exchanged: all of it, and of arms or of legs.
        swap_confidence: what the confidences of exchanged limbs are multiplied with.
        largest: no error is larger than this part of the person.

    Raises:
        DataError: a share or correlation is not within [0, 1].
    """

    parts: dict[str, PartNoise] = field(default_factory=lambda: dict(_PARTS))
    together: float = 0.42
    swapped_people: float = 0.028
    swapped_limbs: float = 0.045
    swap_confidence: float = 0.7
    largest: float = 0.6

    def __post_init__(self) -> None:
        for name in ("together", "swapped_people", "swapped_limbs", "swap_confidence"):
            if not 0 <= getattr(self, name) <= 1:
                raise DataError(f"detector noise: {name} = {getattr(self, name)} must be within [0, 1]")

    def confidences(self, rng: np.random.Generator, people: int) -> Array:
        """(N, 17) in (0, 1)."""
        table = self._table()
        shared = np.sqrt(self.together) * rng.standard_normal((people, 1))
        normal = shared + np.sqrt(1 - self.together) * rng.standard_normal((people, len(COCO17)))
        std = np.where(normal < 0, table[:, 2], table[:, 1])
        result: Array = 1 / (1 + np.exp(-(table[:, 0] + std * normal)))
        return result

    def errors(self, rng: np.random.Generator, confidences: Array) -> Array:
        """(N, 17, 2) errors as parts of the person's size, in any direction alike."""
        table = self._table()
        median = table[:, 3] + table[:, 4] * confidences
        length = np.exp(median + table[:, 5] * rng.standard_normal(confidences.shape))
        length = np.minimum(length, self.largest)
        angle = rng.uniform(-np.pi, np.pi, confidences.shape)
        return np.asarray(length[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1))

    def swaps(self, rng: np.random.Generator, people: int) -> tuple[NDArray[np.intp], Mask]:
        """(N, 17) which keypoint is reported for each, and (N, 17) where it is one of the other side."""
        whole, arms, legs = (
            rng.random((people, 1)) < share for share in (self.swapped_people, self.swapped_limbs, self.swapped_limbs)
        )
        joints = np.arange(len(COCO17))
        wrong = (whole ^ (arms & np.isin(joints, _ARMS))) ^ (legs & np.isin(joints, _LEGS))
        mirror = np.array(COCO17.mirror)
        return np.where(wrong, mirror, joints), wrong & (mirror != joints)

    def detect(self, rng: np.random.Generator, pixels: Array) -> tuple[Array, Array]:
        """True pixels (N, 17, 2) -> what the detector predicts, and its (N, 17) confidences."""
        box = np.ptp(pixels, axis=1)
        size = np.linalg.norm(box, axis=-1)
        sources, wrong = self.swaps(rng, len(pixels))
        confidences = self.confidences(rng, len(pixels)) * np.where(wrong, self.swap_confidence, 1.0)
        reported = np.take_along_axis(pixels, sources[..., None], axis=1)
        return reported + self.errors(rng, confidences) * size[:, None, None], confidences

    def _table(self) -> Array:
        return np.array([list(vars(self.parts[_kind(joint)]).values()) for joint in COCO17.joints])


def _kind(joint: str) -> str:
    part = joint.rpartition("_")[2]
    return "face" if part in _FACE else part


# A detector's own keypoints of people of known pose: to learn from, and to evaluate by.

#: So many people, drawn anew for every batch, are compared with: errors vary, and it costs little.
_COMPARED = 2048
_MIRROR = list(COCO17.mirror)


@dataclass(frozen=True, eq=False)
class Detections:
    """What ``benchmarks/detector_noise.py`` keeps of N people.

    Attributes:
        people: as they are.
        pixels: (N, 17, 2) as the detector predicts.
        confidences: (N, 17).
    """

    people: Sightings
    pixels: Array
    confidences: Array

    def detect(self, rng: np.random.Generator, pixels: Array) -> tuple[Array, Array]:
        """The predictions about exactly these people; see :class:`unipose_training.mocap.pairs.Detector`."""
        return self.pixels, self.confidences


def load_detections(path: Path) -> Detections:
    """Read a file of detections.

    Raises:
        DataError: it is none.
    """
    remedy, what = "make it again", "no detections of benchmarks/detector_noise.py"
    with reading(path, remedy, what, missing="check its name"):
        names = ("ground_truth_px", "ground_truth", "px", "conf", "cam", "rot")
        stored = read_npz(path, names, remedy, what)
        true, joints, detected, found_confidences, camera, turn = (
            np.asarray(stored[name], np.float64) for name in names
        )
        image = camera[:, 4:]
        people = Sightings(
            joints=joints,
            pixels=true,
            inside=np.asarray(((true >= 0) & (true < image[:, None])).all(axis=-1)),
            intrinsics=camera[:, :4],
            image=image,
            gravity=-turn[:, :, 2],
        )
        return Detections(people, detected, found_confidences)


class EmpiricalErrors:
    """Errs about a person as the detector did about another person in a like pose.

    Sides exchanged, uncertainty and errors that go together are those of the detector, where figures for each
    keypoint (:class:`unipose_training.mocap.detector_noise.DetectorNoise`) know only what was put into
    them. People are alike when their true keypoints are, in the image, whatever their place and size.

    Args:
        detections: of many people; each counts a second time in the mirror.
    """

    def __init__(self, detections: Detections) -> None:
        true, size = _scaled(detections.people.pixels)
        errors = (detections.pixels - detections.people.pixels) / size
        flip = np.array([-1.0, 1.0])
        poses = np.concatenate([true, true[:, _MIRROR] * flip])
        self._poses = poses.reshape(len(poses), -1).astype(np.float32)
        self._squares = (self._poses**2).sum(axis=1)
        self._errors = np.concatenate([errors, errors[:, _MIRROR] * flip])
        self._confidences = np.concatenate([detections.confidences, detections.confidences[:, _MIRROR]])

    def detect(self, rng: np.random.Generator, pixels: Array) -> tuple[Array, Array]:
        """True pixels (N, 17, 2) -> what the detector might say, and its (N, 17) confidences."""
        true, size = _scaled(pixels)
        many = len(self._poses)
        drawn = np.arange(many) if many <= _COMPARED else rng.integers(many, size=_COMPARED)
        wanted = true.reshape(len(true), -1).astype(np.float32)
        # Least |a - b|^2, without |a|^2, which is the same for all.
        like = drawn[(self._squares[drawn] - 2 * wanted @ self._poses[drawn].T).argmin(axis=1)]
        return pixels + size * self._errors[like], self._confidences[like]


def _scaled(pixels: Array) -> tuple[Array, Array]:
    """(N, 17, 2) -> the same about their middle over their size, and (N, 1, 1) the size: the box's diagonal."""
    size = np.linalg.norm(np.ptp(pixels, axis=1), axis=-1)[:, None, None]
    return (pixels - pixels.mean(axis=1, keepdims=True)) / size, size
