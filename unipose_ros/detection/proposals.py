"""Proposals: where people are, before anything is known of their joints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.frame import RgbdFrame
from unipose_ros.geometry.nms import nms_3d, overlap_matrix
from unipose_ros.keypoints import Keypoints2D


@dataclass(frozen=True, eq=False)
class Proposals:
    """N people in one frame, best first.

    Attributes:
        boxes: (N, 4) float32 u0, v0, u1, v1 in pixels around the person's joints.
        distances: (N,) float32 meters along z of the trunk's visible surface; NaN where unknown.
        scores: (N,) float32 in [0, 1], confidence in the person.
        keypoints: the same people in the same order as a 2D network sees them; ``None`` when
            they were found without one.

    Raises:
        ValueError: array shapes or types disagree.
    """

    boxes: NDArray[np.float32]
    distances: NDArray[np.float32]
    scores: NDArray[np.float32]
    keypoints: Keypoints2D | None = None

    def __post_init__(self) -> None:
        people = len(self.scores)
        _require("boxes", self.boxes, (people, 4))
        _require("distances", self.distances, (people,))
        _require("scores", self.scores, (people,))
        if self.keypoints is not None and len(self.keypoints) != people:
            raise ValueError(f"keypoints: of {len(self.keypoints)} people, expected {people}")

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, people: NDArray[np.intp] | NDArray[np.bool_]) -> Proposals:
        """The people of an index or boolean array, in its order."""
        keypoints = None if self.keypoints is None else self.keypoints.select(people)
        return Proposals(self.boxes[people], self.distances[people], self.scores[people], keypoints)

    def joined(self, others: Proposals) -> Proposals:
        """These people, then the others; without keypoints."""
        return Proposals(
            np.concatenate([self.boxes, others.boxes]),
            np.concatenate([self.distances, others.distances]),
            np.concatenate([self.scores, others.scores]),
        )

    def without_duplicates(self, camera: Camera) -> Proposals:
        """Of two proposals for one person in space only the better, best first."""
        return self.select(nms_3d(self.boxes, self.distances, self.scores, camera))

    def overlaps(self, others: Proposals) -> NDArray[np.bool_]:
        """(N, M) which of M others may be the same person: box within box at a like depth."""
        return overlap_matrix(self.boxes, self.distances, others.boxes, others.distances)

    def overlaps_any(self, others: Proposals) -> NDArray[np.bool_]:
        """(N,) who may be one of the others."""
        return np.asarray(self.overlaps(others).any(axis=1))

    @classmethod
    def empty(cls) -> Proposals:
        """Nobody."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.float32))


def _require(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape or array.dtype != np.float32:
        raise ValueError(f"{name}: got {array.dtype}{list(array.shape)}, expected float32{list(shape)}")


class PersonDetector(Protocol):
    """Says who is there in one frame after the other."""

    @property
    def runtime(self) -> str:
        """What runs it, and where; for logs and diagnostics."""
        ...

    def __call__(self, frame: RgbdFrame) -> Proposals:
        """Everybody in the frame, best first.

        Raises:
            EstimatorError: the frame lacks an image that the person detector needs.
        """
        ...

    def reset(self) -> None:
        """Forget earlier frames."""
        ...

    def close(self) -> None:
        """Free the networks."""
        ...
