"""What speaks for a pose being a person's, without colour: the finder, its network, and what depth says around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.skeletons import JointSet
from unipose_ros.visibility import in_picture, nearest_depths

FloatArray = NDArray[np.float64]

#: The columns of :class:`Evidence`.
EVIDENCE = ("finder", "sure", "held", "free", "bones")
#: So many of the joints are surer than the one that is asked: hidden ones are unsure on real people, too.
_SUREST = 0.25
#: Scores and confidences are kept so far from 0 and 1 that they decide nothing alone.
_LEAST_SCORE, _LEAST_CONFIDENCE = 0.02, 1e-4
#: A joint of a person lies behind a surface by no more than this, and before it by no more than noise, in metres.
_DEEP, _BEFORE = 0.3, 0.05
#: The surface around a joint is looked at at this distance in so many directions, and is the joint's own when it is
#: as deep, in metres.
_AROUND, _DIRECTIONS, _LEVEL = 0.25, 8, 0.1
#: Standard deviations of a bone beyond which it is just wrong.
_WRONG = 8.0


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of N poses.

    Attributes:
        columns: (N, 5) by the names of :data:`EVIDENCE`. ``finder``: logit of the finder's score; ``sure``: logit of
            the confidence that a quarter of the joints exceed; ``held``: part of the joints in the picture that a
            surface holds; ``free``: part of the places around those joints where it does not go on, as walls and
            furniture would, 0 where none is held; ``bones``: mean distance of the bones' lengths from people's, in
            standard deviations.
        held: (N, J) joints that lie just behind a surface.
    """

    columns: FloatArray
    held: NDArray[np.bool_]


def evidence(frame: RgbdFrame, people: Skeletons) -> Evidence:
    """All of it, of poses in a frame that has depth; their scores are the finder's."""
    assert frame.depth is not None
    inside = in_picture(frame.camera, people.positions)
    surface = _surface(frame.camera, frame.depth, people.positions, inside)
    behind = people.positions[..., 2] - surface
    held = inside & (behind > -_BEFORE) & (behind < _DEEP)  # False for NaN
    columns = {
        "finder": _logit(people.scores, _LEAST_SCORE),
        "sure": _logit(_surest(people.confidences), _LEAST_CONFIDENCE),
        "held": held.sum(axis=1) / np.maximum(inside.sum(axis=1), 1),
        "free": _free(frame.camera, frame.depth, people.positions, surface, held),
        "bones": _bones(people.positions, people.joint_set),
    }
    return Evidence(np.stack([columns[name] for name in EVIDENCE], axis=1), held)


def _surest(confidences: NDArray[np.float32]) -> FloatArray:
    return np.asarray(np.quantile(confidences, 1 - _SUREST, axis=1)) if confidences.size else np.zeros(0)


def _logit(values: NDArray[np.floating], least: float) -> FloatArray:
    within = np.clip(values.astype(np.float64), least, 1 - least)
    return np.asarray(np.log(within / (1 - within)))


def _surface(
    camera: Camera, depth: NDArray[np.float32], positions: NDArray[np.floating], inside: NDArray[np.bool_]
) -> FloatArray:
    """(...) metres of the nearest reading around each place (..., 3); NaN outside of the picture and without any."""
    result = np.full(inside.shape, np.nan)
    result[inside] = nearest_depths(depth, np.rint(project(camera, positions[inside])).astype(np.intp))
    return result


def _free(
    camera: Camera,
    depth: NDArray[np.float32],
    positions: NDArray[np.float32],
    surface: FloatArray,
    held: NDArray[np.bool_],
) -> FloatArray:
    angles = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
    ring = _AROUND * np.stack([np.cos(angles), np.sin(angles), np.zeros(_DIRECTIONS)], axis=1)
    places = positions[:, :, None] + ring
    asked = held[..., None] & in_picture(camera, places)
    columns, rows = np.rint(np.where(asked[..., None], project(camera, places), 0)).astype(np.intp).T
    # Not the nearest one around each place: that would be the person's own.
    free = asked & ~(np.abs(depth[rows, columns].T - surface[..., None]) < _LEVEL)  # NaN is no surface
    return np.asarray(free.sum(axis=(1, 2)) / np.maximum(asked.sum(axis=(1, 2)), 1))


def _bones(positions: NDArray[np.float32], joint_set: JointSet) -> FloatArray:
    """Bones without both ends do not count, nor do those of which no length is known; 0 where none counts."""
    known = [bone for bone in joint_set.bones if bone.spread > 0]
    if not known:
        return np.zeros(len(positions))
    ends = positions[:, [bone.child for bone in known]] - positions[:, [bone.parent for bone in known]]
    means, spreads = (np.array([getattr(bone, name) for bone in known]) for name in ("length", "spread"))
    off = np.minimum(np.abs(np.linalg.norm(ends, axis=-1) - means) / spreads, _WRONG)
    there = np.isfinite(off)
    return np.asarray(np.where(there, off, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1))
