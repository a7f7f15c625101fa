"""People as a 2D network detects them, and what such a network is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unipose_ros.camera import Camera, pixels_with_rays, rays
from unipose_ros.joint_sets import COCO17, JointSet

# How alike two sets of COCO keypoints are, on the scale of human labeling error.


#: Standard deviation of human labels per COCO keypoint, relative to the square root of the
#: person's area (cocodataset.org, "Keypoint evaluation").
COCO_SIGMAS: NDArray[np.float32] = np.array(
    [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89], np.float32
) / np.float32(1000)


def keypoint_similarity(
    first: NDArray[Any], second: NDArray[Any], area: ArrayLike, counted: ArrayLike = True
) -> NDArray[np.float64]:
    """Object keypoint similarity (OKS): mean over joints of exp(-d^2 / (2 area (2 sigma)^2)).

    The formula is COCO's, which sets k = 2 sigma (cocodataset.org, "Keypoint evaluation").

    Args:
        first, second: (..., 17, 2) pixels; leading dimensions broadcast.
        area: (...) area of the person in square pixels.
        counted: (..., 17) bool, the joints that count; all by default.

    Returns:
        (...) in [0, 1]; 0 where no joint counts.
    """
    distance = ((np.asarray(first, np.float64) - second) ** 2).sum(axis=-1)
    std = 2.0 * np.maximum(np.asarray(area, np.float64), 1e-6)[..., None] * (2.0 * COCO_SIGMAS) ** 2
    each = np.exp(-distance / std)
    counts = np.broadcast_to(np.asarray(counted, bool), each.shape)
    total = (each * counts).sum(axis=-1)
    return np.asarray(total / np.maximum(counts.sum(axis=-1), 1), np.float64)


@dataclass(frozen=True, eq=False)
class Keypoints2D:
    """N people with J keypoints in one image.

    Attributes:
        pixels: (N, J, 2) float32 (u, v) in the image given, (0, 0) the center of its first pixel.
        confidences: (N, J) float32 in [0, 1].
        scores: (N,) float32 in [0, 1], confidence in the person.
        boxes: (N, 4) float32 u0, v0, u1, v1.
        joint_set: names and order of the keypoints.

    Raises:
        ValueError: array shapes disagree.
    """

    pixels: NDArray[np.float32]
    confidences: NDArray[np.float32]
    scores: NDArray[np.float32]
    boxes: NDArray[np.float32]
    joint_set: JointSet = COCO17

    def __post_init__(self) -> None:
        people, joints = len(self.scores), len(self.joint_set)
        expected = {"pixels": (people, joints, 2), "confidences": (people, joints), "boxes": (people, 4)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name}: shape {getattr(self, name).shape}, expected {shape}")

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, people: NDArray[np.intp] | NDArray[np.bool_]) -> Keypoints2D:
        """The people of an index or boolean array, in its order."""
        return Keypoints2D(
            self.pixels[people], self.confidences[people], self.scores[people], self.boxes[people], self.joint_set
        )

    def on_rays(self, camera: Camera) -> Keypoints2D:
        """The same, without the keypoints at which the camera's lens shows no direction: those become NaN."""
        if pixels_with_rays(camera) is None:
            return self
        known: NDArray[np.bool_] = np.asarray(np.isfinite(rays(camera, self.pixels)).all(axis=-1))
        return replace(
            self,
            pixels=np.where(known[..., None], self.pixels, np.float32(np.nan)),
            confidences=np.where(known, self.confidences, np.float32(0)),
        )

    @classmethod
    def empty(cls, joint_set: JointSet = COCO17) -> Keypoints2D:
        """No people."""
        joints = len(joint_set)
        zeros = np.zeros
        return cls(
            zeros((0, joints, 2), np.float32), zeros((0, joints), np.float32), zeros(0, np.float32),
            zeros((0, 4), np.float32), joint_set,
        )  # fmt: skip


class KeypointDetector(Protocol):
    """A 2D pose network that finds all people in an image by itself."""

    def __call__(self, image: NDArray[np.uint8]) -> Keypoints2D:
        """(H, W, 3) uint8 RGB -> all people in it."""
        ...
