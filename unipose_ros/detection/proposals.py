"""Proposals: where people are, before anything is known of their joints."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.config import DetectionConfig
from unipose_ros.frame import RgbdFrame
from unipose_ros.geometry import body_model as body
from unipose_ros.geometry.nms import greedy_nms, nms_3d, overlap_matrix
from unipose_ros.joint_sets import COCO17, JointSet
from unipose_ros.keypoints import Keypoints2D

#: Meters from the trunk's visible surface to its joints: shoulders and hips lie so far inside of the body.
TRUNK_DEPTH = float(body.SURFACE_OFFSETS[[*body.SHOULDERS, *body.HIPS]].mean())


class DepthOf(Enum):
    """What of a person's trunk a depth is that of."""

    SURFACE = "surface"
    JOINTS = "joints"


@dataclass(frozen=True, eq=False)
class Proposals:
    """N people in one frame, best first.

    Attributes:
        boxes: (N, 4) float32 u0, v0, u1, v1 in pixels around the person's joints.
        distances: (N,) float32 meters along z of the trunk; NaN where unknown.
        scores: (N,) float32 in [0, 1], confidence in the person.
        keypoints: the same people in the same order as a 2D network detects them; ``None`` when
            they were found without one.
        depth_of: whether ``distances`` are those of the trunk's visible surface, which detectors see, or of its
            joints, at which people are cropped.
        joints: (N, J, 3) meters, joints from the last frame or a first pass, NaN where unknown; ``None`` without any.

    Raises:
        ValueError: array shapes or types disagree.
    """

    boxes: NDArray[np.float32]
    distances: NDArray[np.float32]
    scores: NDArray[np.float32]
    keypoints: Keypoints2D | None = None
    depth_of: DepthOf = DepthOf.SURFACE
    joints: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        people = len(self.scores)
        _require("boxes", self.boxes, (people, 4))
        _require("distances", self.distances, (people,))
        _require("scores", self.scores, (people,))
        if self.keypoints is not None and len(self.keypoints) != people:
            raise ValueError(f"keypoints: of {len(self.keypoints)} people, expected {people}")
        if self.joints is not None and (self.joints.ndim != 3 or len(self.joints) != people):
            raise ValueError(f"joints: got {list(self.joints.shape)}, expected [{people}, J, 3]")

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, people: NDArray[np.intp] | NDArray[np.bool_]) -> Proposals:
        """The people of an index or boolean array, in its order."""
        keypoints = None if self.keypoints is None else self.keypoints.select(people)
        joints = None if self.joints is None else self.joints[people]
        return Proposals(
            self.boxes[people], self.distances[people], self.scores[people], keypoints, self.depth_of, joints
        )

    def joined(self, others: Proposals) -> Proposals:
        """These people, then the others; without keypoints.

        Raises:
            ValueError: one side's depths are those of surfaces, the other's those of joints.
        """
        if self.depth_of != others.depth_of and len(self) and len(others):
            raise ValueError(f"depth_of: {self.depth_of} and {others.depth_of} do not go together; use at_joints()")
        return Proposals(
            np.concatenate([self.boxes, others.boxes]),
            np.concatenate([self.distances, others.distances]),
            np.concatenate([self.scores, others.scores]),
            depth_of=self.depth_of if len(self) else others.depth_of,
            joints=_joined_joints(self, others),
        )

    def at_joints(self) -> Proposals:
        """The same people, with the depths of their trunks' joints.

        The one place where surfaces become joints: training crops people at the depth of their joints
        (:func:`unipose_training.samples.rows.trunk_distance`), and so does the robot.
        """
        if self.depth_of is DepthOf.JOINTS:
            return self
        return replace(self, distances=self.distances + np.float32(TRUNK_DEPTH), depth_of=DepthOf.JOINTS)

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
        """No people."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.float32))


def _joined_joints(first: Proposals, second: Proposals) -> NDArray[np.float32] | None:
    """(N + M, J, 3); NaN for those of whom no joints are known, ``None`` where none are known at all."""
    known = [each.joints for each in (first, second) if each.joints is not None]
    if not known:
        return None
    unknown = np.full((max(len(first), len(second)), *known[0].shape[1:]), np.nan, np.float32)
    return np.concatenate([unknown[: len(each)] if each.joints is None else each.joints for each in (first, second)])


def _require(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape or array.dtype != np.float32:
        raise ValueError(f"{name}: got {array.dtype}{list(array.shape)}, expected float32{list(shape)}")


class PersonDetector(Protocol):
    """Detects the people in one frame after the other."""

    @property
    def runtime(self) -> str:
        """What runs it, and where; for logs and diagnostics."""
        ...

    def __call__(self, frame: RgbdFrame) -> Proposals:
        """All people in the frame, best first.

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


# Which of a 2D network's people to believe.
#
# A bottom-up network sometimes reports one person twice, or a ghost that borrows the limbs of
# another person. Both show in 2D: most of their keypoints lie on keypoints of a better person.

#: A loose end of a limb needs this times the confidence of others: on real and rendered people
#: MoveNet's loose ends below it are made up, and most above it are right.
_LOOSE_FACTOR = 1.5


def visible_keypoints(keypoints: Keypoints2D, width: int, height: int, config: DetectionConfig) -> NDArray[np.bool_]:
    """(N, J) keypoints of a ``width`` x ``height`` image that are believed.

    They are confident, finite and inside of the image. The end of a limb whose neighbor towards
    the trunk is not seen has no bone to check it by, and has to be more confident than others.
    """
    u, v = keypoints.pixels[..., 0], keypoints.pixels[..., 1]
    margin = config.border_margin * max(width, height) - 0.5
    # NaN compares false, so a keypoint that is not a number is never inside.
    inside = (u >= margin) & (v >= margin) & (u < width - 1 - margin) & (v < height - 1 - margin)
    seen = inside & (keypoints.confidences >= config.keypoint_threshold)
    plausible = keypoints.confidences >= _LOOSE_FACTOR * config.keypoint_threshold
    for child, parent in _limb_bones(keypoints.joint_set):
        seen[:, child] &= seen[:, parent] | plausible[:, child]
    return seen


@cache
def _limb_bones(joint_set: JointSet) -> tuple[tuple[int, int], ...]:
    """(child, parent) of arms and legs, from the trunk outwards."""
    parts = (f"{side}_{part}" for part in ("elbow", "wrist", "knee", "ankle") for side in ("left", "right"))
    children = [joint_set.landmarks.index(part) for part in parts if part in joint_set.landmarks]
    return tuple((child, joint_set.parents[child]) for child in children)


def select_people(keypoints: Keypoints2D, width: int, height: int, config: DetectionConfig) -> Keypoints2D:
    """The people worth lifting, best score first."""
    seen = visible_keypoints(keypoints, width, height, config)
    good = (keypoints.scores >= config.min_score) & (seen.sum(axis=1) >= config.min_keypoints)

    low = np.where(seen[..., None], keypoints.pixels, np.inf).min(axis=1)
    high = np.where(seen[..., None], keypoints.pixels, -np.inf).max(axis=1)
    extents = (high - low).max(axis=1)
    # Do most of a person's visible keypoints lie on the same keypoints of a better person?
    distances = np.linalg.norm(keypoints.pixels[:, None] - keypoints.pixels, axis=-1)
    on_others = distances < config.nms_radius * np.minimum(extents[:, None], extents)[..., None]
    shared = (on_others & seen[:, None] & seen).sum(axis=-1)
    duplicates = shared > config.nms_overlap * seen.sum(axis=1, keepdims=True)
    return keypoints.select(greedy_nms(keypoints.scores, lambda person, kept: duplicates[person, kept], good))


#: Width, height and distance in meters of :func:`stand_in`.
_BOARD = (0.5, 1.7, 2.5)


def stand_in(camera: Camera) -> tuple[NDArray[np.float32], Proposals]:
    """What networks and all after them are run on before the first frame: a board of a person's size.

    Returns:
        (H, W) depth in meters, and the board as a person with COCO keypoints.
    """
    width, height, distance = _BOARD
    half = np.array([width * camera.fx, height * camera.fy]) / distance / 2
    middle = np.array([camera.width - 1, camera.height - 1]) / 2
    box = np.clip(np.concatenate([middle - half, middle + half]), 0, np.tile(2 * middle, 2)).astype(np.float32)
    left, top, right, bottom = (round(float(edge)) for edge in box)
    depth = np.zeros((camera.height, camera.width), np.float32)
    depth[top : bottom + 1, left : right + 1] = distance
    # From head to foot, and left and right as their names say.
    across = np.array([{"left": 0.9, "right": 0.1}.get(side, 0.5) for side in COCO17.sides])
    down = np.linspace(0.05, 0.95, len(COCO17))
    pixels = (box[:2] + np.stack([across, down], axis=1) * (box[2:] - box[:2])).astype(np.float32)
    one = np.ones(1, np.float32)
    keypoints = Keypoints2D(pixels[None], np.ones((1, len(COCO17)), np.float32), one, box[None])
    return depth, Proposals(box[None], np.full(1, distance, np.float32), one, keypoints)
