"""Proposals that are the same person: at one place in space, with one box."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.detection.proposals import Proposals

#: Nobody's trunk is closer than this to another's, in meters across the view.
_APART = 0.22
#: Two boxes that share more of their union than this, at distances within this many meters, are one person.
_SHARED, _DEEP = 0.6, 0.5


def nms_3d(people: Proposals, camera: Camera) -> NDArray[np.intp]:
    """Who is left when of two proposals for the same person only the better stays; best first."""
    order = np.argsort(-people.scores, kind="stable")
    centers = (people.boxes[:, :2] + people.boxes[:, 2:]) / 2
    meters = centers / [camera.fx, camera.fy] * people.distances[:, None]
    shared = box_iou(people.boxes, people.boxes)
    kept: list[int] = []
    for person in order:
        across = np.linalg.norm(meters[kept] - meters[person], axis=1)
        deep = np.abs(people.distances[kept] - people.distances[person])
        same = (deep < _DEEP) & ((across < _APART) | (shared[person, kept] > _SHARED))
        if not same.any():  # NaN compares false: without a distance everybody stays
            kept.append(int(person))
    return np.array(kept, np.intp)


def overlaps_any(people: Proposals, others: Proposals) -> NDArray[np.bool_]:
    """(N,) who may be one of the others."""
    return np.asarray(overlap_matrix(people, others).any(axis=1))


def overlap_matrix(people: Proposals, others: Proposals) -> NDArray[np.bool_]:
    """(N, M) which of M others may be each: one box lies mostly within the other's at a like distance."""
    both, sizes = _shared_areas(people.boxes, others.boxes)
    inside = both / np.maximum(np.minimum(sizes[0][:, None], sizes[1][None]), 1e-9)
    deep = np.abs(people.distances[:, None] - others.distances[None])
    return np.asarray((inside > _SHARED) & (deep < _DEEP))


def box_iou(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 4), (M, 4) u0, v0, u1, v1 -> (N, M) intersection over union, in [0, 1]."""
    both, sizes = _shared_areas(boxes, others)
    union = sizes[0][:, None] + sizes[1][None] - both
    return np.asarray(both / np.maximum(union, 1e-9), np.float32)


def _shared_areas(
    boxes: NDArray[np.float32], others: NDArray[np.float32]
) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
    """(N, 4), (M, 4) -> (N, M) square pixels in both, and those of each, (N,) and (M,)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    sizes = [np.prod(np.maximum(each[:, 2:] - each[:, :2], 0), axis=-1) for each in (boxes, others)]
    return np.prod(np.maximum(high - low, 0), axis=-1), sizes
