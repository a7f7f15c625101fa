"""Non-maximum suppression: one greedy rule, and what makes two detections the same person.

:func:`greedy_nms` is the only loop. What it asks is pluggable: boxes at one place in space here, common
keypoints where 2D people are selected, poses where they are verified, bodies where they are tracked, OKS
where MoveNet is decoded.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera

FloatArray = NDArray[np.floating]
#: A detection and those that were kept before it -> (K,) which of these are the same person.
SamePerson = Callable[[int, NDArray[np.intp]], NDArray[np.bool_]]

#: No person's trunk is closer than this to another's, in meters across the view.
_TRUNK_RADIUS = 0.22
#: Two boxes that share more of their union than this, at depths within this many meters, are one person.
_SHARED, _DEEP = 0.6, 0.5


def greedy_nms(scores: FloatArray, same: SamePerson, eligible: NDArray[np.bool_] | None = None) -> NDArray[np.intp]:
    """Of detections of the same person only the one with the highest score is kept.

    Args:
        scores: (N,); of equal scores the first counts as the higher.
        same: asked for each detection about those kept so far, best first; never about none.
        eligible: (N,) detections that can be kept at all; all by default.

    Returns:
        Indices of those that are kept, best first.
    """
    kept: list[int] = []
    for person in np.argsort(-np.asarray(scores), kind="stable"):
        if eligible is not None and not eligible[person]:
            continue
        if not kept or not np.any(same(int(person), np.array(kept, np.intp))):
            kept.append(int(person))
    return np.array(kept, np.intp)


def nms_3d(boxes: FloatArray, depths: FloatArray, scores: FloatArray, camera: Camera) -> NDArray[np.intp]:
    """Who is kept of proposals in an image with depth; of two for one person the better, best first.

    Two are the same person at one place in space, or with one box at a like depth. Without a depth all people are kept.

    Args:
        boxes: (N, 4) u0, v0, u1, v1 in pixels.
        depths: (N,) meters along z; NaN where unknown.
    """
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    meters = centers / [camera.fx, camera.fy] * depths[:, None]
    shared = box_iou(boxes, boxes)

    def same(person: int, kept: NDArray[np.intp]) -> NDArray[np.bool_]:
        across = np.linalg.norm(meters[kept] - meters[person], axis=1)
        deep = np.abs(depths[kept] - depths[person])
        # NaN compares false.
        return np.asarray((deep < _DEEP) & ((across < _TRUNK_RADIUS) | (shared[person, kept] > _SHARED)))

    return greedy_nms(scores, same)


def overlap_matrix(
    boxes: FloatArray, depths: FloatArray, other_boxes: FloatArray, other_depths: FloatArray
) -> NDArray[np.bool_]:
    """(N, M) which of M others may be the same person: one box lies mostly within the other's at a like depth."""
    both, sizes = _shared_areas(boxes, other_boxes)
    inside = both / np.maximum(np.minimum(sizes[0][:, None], sizes[1][None]), 1e-9)
    deep = np.abs(depths[:, None] - other_depths[None])
    return np.asarray((inside > _SHARED) & (deep < _DEEP))


def box_iou(boxes: FloatArray, others: FloatArray) -> NDArray[np.float32]:
    """(N, 4), (M, 4) u0, v0, u1, v1 -> (N, M) intersection over union, in [0, 1]."""
    both, sizes = _shared_areas(boxes, others)
    union = sizes[0][:, None] + sizes[1][None] - both
    return np.asarray(both / np.maximum(union, 1e-9), np.float32)


def _shared_areas(boxes: FloatArray, others: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
    """(N, 4), (M, 4) -> (N, M) square pixels in both, and those of each, (N,) and (M,)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    sizes = [np.prod(np.maximum(each[:, 2:] - each[:, :2], 0), axis=-1) for each in (boxes, others)]
    return np.prod(np.maximum(high - low, 0), axis=-1), sizes
