"""Which of a 2D network's people to believe.

A bottom-up network sometimes reports one person twice, or a ghost that borrows the limbs of
somebody else. Both show in 2D: most of their keypoints lie on keypoints of a better person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.keypoints import Keypoints2D


@dataclass(frozen=True)
class PeopleConfig:
    """What counts as a person.

    Attributes:
        min_score: least confidence of the 2D network in the person, in [0, 1].
        keypoint_threshold: a keypoint of lower confidence counts as not seen, in [0, 1].
        border: a keypoint nearer to the image's border than this part of the longer side counts as
            not seen: networks put joints there that are outside of the image.
        min_keypoints: least number of seen keypoints.
        duplicate_radius: two keypoints are the same when they are closer than this part of the
            smaller person's extent in the picture.
        duplicate_fraction: a person is a ghost when more than this part of its seen keypoints
            are those of a person with a higher score, in (0, 1].

    Raises:
        ValueError: a value is out of range.
    """

    min_score: float = 0.2
    keypoint_threshold: float = 0.2
    border: float = 0.015
    min_keypoints: int = 5
    duplicate_radius: float = 0.06
    duplicate_fraction: float = 0.5

    def __post_init__(self) -> None:
        for name in ("min_score", "keypoint_threshold", "border", "duplicate_radius"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"people.{name} = {value}: must be within [0, 1]")
        if not 0 < self.duplicate_fraction <= 1:
            raise ValueError(f"people.duplicate_fraction = {self.duplicate_fraction}: must be within (0, 1]")
        if self.min_keypoints < 1:
            raise ValueError(f"people.min_keypoints = {self.min_keypoints}: must be at least 1")


def seen_keypoints(keypoints: Keypoints2D, width: int, height: int, config: PeopleConfig) -> NDArray[np.bool_]:
    """(N, J) keypoints that are confident, finite and inside a ``width`` x ``height`` image."""
    u, v = keypoints.pixels[..., 0], keypoints.pixels[..., 1]
    margin = config.border * max(width, height) - 0.5
    # NaN compares false, so a keypoint that is not a number is never inside.
    inside = (u >= margin) & (v >= margin) & (u < width - 1 - margin) & (v < height - 1 - margin)
    return inside & (keypoints.confidences >= config.keypoint_threshold)


def select_people(keypoints: Keypoints2D, width: int, height: int, config: PeopleConfig) -> Keypoints2D:
    """The people worth lifting, best score first."""
    seen = seen_keypoints(keypoints, width, height, config)
    good = (keypoints.scores >= config.min_score) & (seen.sum(axis=1) >= config.min_keypoints)
    kept: list[int] = []
    for person in np.argsort(-keypoints.scores, kind="stable"):
        if good[person] and not any(_is_ghost(keypoints, seen, int(person), other, config) for other in kept):
            kept.append(int(person))
    return keypoints.select(np.array(kept, np.intp))


def _is_ghost(keypoints: Keypoints2D, seen: NDArray[np.bool_], person: int, better: int, config: PeopleConfig) -> bool:
    """Do most of a person's seen keypoints lie on the same keypoints of a better person?"""
    extent = min(_extent(keypoints.pixels[i][seen[i]]) for i in (person, better))
    distance = np.linalg.norm(keypoints.pixels[person] - keypoints.pixels[better], axis=1)
    same = seen[person] & seen[better] & (distance < config.duplicate_radius * extent)
    return bool(same.sum() > config.duplicate_fraction * seen[person].sum())


def _extent(pixels: NDArray[np.float32]) -> float:
    """The longer side of the box around some pixels."""
    return float(np.ptp(pixels, axis=0).max())
