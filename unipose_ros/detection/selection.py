"""Which of a 2D network's people to believe.

A bottom-up network sometimes reports one person twice, or a ghost that borrows the limbs of
another person. Both show in 2D: most of their keypoints lie on keypoints of a better person.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from unipose_ros.config import DetectionConfig
from unipose_ros.geometry.nms import greedy_nms
from unipose_ros.joint_sets import JointSet
from unipose_ros.keypoints import Keypoints2D

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

    def is_duplicate(person: int, kept: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Do most of a person's visible keypoints lie on the same keypoints of a better person?"""
        extents = [min(_extent(keypoints.pixels[i][seen[i]]) for i in (person, better)) for better in kept]
        distances = np.linalg.norm(keypoints.pixels[person] - keypoints.pixels[kept], axis=-1)
        same = seen[person] & seen[kept] & (distances < config.nms_radius * np.array(extents)[:, None])
        return np.asarray(same.sum(axis=1) > config.nms_overlap * seen[person].sum())

    return keypoints.select(greedy_nms(keypoints.scores, is_duplicate, good))


def _extent(pixels: NDArray[np.float32]) -> float:
    """The longer side of the box around some pixels."""
    return float(np.ptp(pixels, axis=0).max())
