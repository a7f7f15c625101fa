"""A detector's own keypoints of people of known pose: to learn from, and to evaluate by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_ros.joint_sets import COCO17
from unipose_training.datasets.arrays import read_npz
from unipose_training.datasets.errors import reading
from unipose_training.mocap.virtual_cameras import Sightings

Array = NDArray[np.float64]

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
        """What was said about exactly these people; see :class:`unipose_training.mocap.pairs.Detector`."""
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
