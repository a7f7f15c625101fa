"""What can be measured about poses without any ground truth, on real frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.geometry.surfaces import nearest_surface
from unipose_ros.joint_sets import JointSet
from unipose_ros.keypoints import Keypoints2D
from unipose_training.evaluation.keypoint_checks import pair_with_keypoints
from unipose_training.evaluation.metrics.temporal import bone_lengths

#: Keypoints less certain than this are not compared with.
MIN_CONFIDENCE = 0.2
#: A joint lies inside the body, so nearer than the surface by more than noise is nearer than anything there, meters.
IN_FRONT = 0.05
#: A joint is compared with the surface where at least this fraction of the pixels around it has readings. Where clothes
#: return no depth, the few readings around a joint are of what stands behind the person.
_COVERAGE = 0.5


@dataclass(frozen=True, eq=False)
class FrameChecks:
    """Residuals of one frame; all arrays are flat.

    Attributes:
        people: how many were found.
        reprojection: (K, 2) distance of a joint to the 2D network's keypoint in pixels and as a
            share of the person's height in the image.
        gaps: meters by which the surface is behind the joint; negative for a joint inside the body.
        no_depth: joints in the image with readings in fewer than half of the pixels around them.
        limb_scores: standard deviations of each limb's length from the population's.
        leg_asymmetry, arm_asymmetry: differences in meters of the same limb left and right.
    """

    people: int
    reprojection: NDArray[np.float64]
    gaps: NDArray[np.float64]
    no_depth: int
    limb_scores: NDArray[np.float64]
    leg_asymmetry: NDArray[np.float64]
    arm_asymmetry: NDArray[np.float64]


def check_frame(frame: RgbdFrame, skeletons: Skeletons, keypoints: Keypoints2D | None) -> FrameChecks:
    """All checks of one frame's people.

    Args:
        keypoints: what the 2D network detected in it; ``None`` without such a network.
    """
    gaps, no_depth = surface_gaps(frame, skeletons.positions)
    lengths = bone_lengths(skeletons.positions, skeletons.joint_set)
    return FrameChecks(
        people=len(skeletons),
        reprojection=reprojection(frame.camera, skeletons, keypoints),
        gaps=gaps,
        no_depth=no_depth,
        limb_scores=limb_scores(lengths, skeletons.joint_set),
        leg_asymmetry=asymmetry(lengths, skeletons.joint_set, ("knee", "ankle")),
        arm_asymmetry=asymmetry(lengths, skeletons.joint_set, ("elbow", "wrist")),
    )


def reprojection(camera: Camera, skeletons: Skeletons, keypoints: Keypoints2D | None) -> NDArray[np.float64]:
    """(K, 2): see :class:`FrameChecks`. People are paired with keypoints by mean distance in the image."""
    if keypoints is None or not len(keypoints) or not len(skeletons):
        return np.zeros((0, 2))
    pairs = pair_with_keypoints(camera, skeletons, keypoints, MIN_CONFIDENCE)
    distances = np.linalg.norm(pairs.seen - pairs.projected, axis=-1)
    both = np.stack([distances, distances / pairs.heights[:, None]], axis=-1).reshape(-1, 2)
    return np.asarray(both[np.isfinite(both).all(axis=1)], np.float64)


def surface_gaps(frame: RgbdFrame, positions: NDArray[np.floating]) -> tuple[NDArray[np.float64], int]:
    """How far the surface lies behind each joint, and how many joints in the image have too little depth around."""
    if frame.depth is None:
        return np.zeros(0), 0
    pixels = project(frame.camera, positions).reshape(-1, 2)
    depths = np.asarray(positions, np.float64).reshape(-1, 3)[:, 2]
    size = np.array([frame.camera.width, frame.camera.height])
    # NaN compares false: joints that are missing or behind the camera fall out here.
    inside = np.asarray((pixels > -0.5) & (pixels < size - 0.5)).all(axis=1)
    nearest = nearest_surface(frame.depth, np.rint(pixels[inside]).astype(np.intp), _COVERAGE)
    seen = np.isfinite(nearest)
    return (nearest - depths[inside])[seen], int((~seen).sum())


def limb_scores(lengths: NDArray[np.float64], joint_set: JointSet) -> NDArray[np.float64]:
    """(N, B) lengths -> flat z-scores of those bones whose population length is known."""
    means = np.array([bone.length for bone in joint_set.bones])
    stds = np.array([bone.std for bone in joint_set.bones])
    known = stds > 0
    scores = (lengths[:, known] - means[known]) / stds[known]
    return np.asarray(scores[np.isfinite(scores)])


def asymmetry(lengths: NDArray[np.float64], joint_set: JointSet, parts: tuple[str, ...]) -> NDArray[np.float64]:
    """Flat |left - right| in meters of the bones that end in these landmarks."""
    ends = [joint_set.landmarks[bone.child] for bone in joint_set.bones]
    sides = [
        (ends.index(f"left_{part}"), ends.index(f"right_{part}"))
        for part in parts
        if f"left_{part}" in ends and f"right_{part}" in ends
    ]
    differences = [np.abs(lengths[:, left] - lengths[:, right]) for left, right in sides]
    flat = np.concatenate(differences) if differences else np.zeros(0)
    return np.asarray(flat[np.isfinite(flat)])


@dataclass(frozen=True)
class ReferenceFree:
    """The checks over all frames; NaN where nothing could be checked.

    Attributes:
        people: people found, over all frames.
        reprojection_px, reprojection_p95_px: median and 95th percentile.
        reprojection_percent: median, in per cent of the person's height in the image.
        in_front: share of joints more than 5 cm nearer than anything seen around them.
        no_depth: share of joints in the image without depth around them.
        limb_median_z: median of |z|.
        limb_implausible: share of limbs with |z| > 3.
        leg_asymmetry_mm, arm_asymmetry_mm: median difference of left and right.
    """

    people: int
    reprojection_px: float
    reprojection_p95_px: float
    reprojection_percent: float
    in_front: float
    no_depth: float
    limb_median_z: float
    limb_implausible: float
    leg_asymmetry_mm: float
    arm_asymmetry_mm: float


def summarize_checks(checks: Sequence[FrameChecks]) -> ReferenceFree:
    """All frames together."""
    pixels = _joined([c.reprojection[:, 0] for c in checks])
    gaps, limbs = _joined([c.gaps for c in checks]), np.abs(_joined([c.limb_scores for c in checks]))
    blind = sum(c.no_depth for c in checks)
    return ReferenceFree(
        people=sum(c.people for c in checks),
        reprojection_px=_quantile(pixels, 0.5),
        reprojection_p95_px=_quantile(pixels, 0.95),
        reprojection_percent=100 * _quantile(_joined([c.reprojection[:, 1] for c in checks]), 0.5),
        in_front=_share(gaps > IN_FRONT),
        no_depth=blind / (blind + len(gaps)) if blind + len(gaps) else float("nan"),
        limb_median_z=_quantile(limbs, 0.5),
        limb_implausible=_share(limbs > 3),
        leg_asymmetry_mm=1e3 * _quantile(_joined([c.leg_asymmetry for c in checks]), 0.5),
        arm_asymmetry_mm=1e3 * _quantile(_joined([c.arm_asymmetry for c in checks]), 0.5),
    )


def _joined(values: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate(values) if values else np.zeros(0)


def _quantile(values: NDArray[np.float64], share: float) -> float:
    return float(np.quantile(values, share)) if values.size else float("nan")


def _share(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if flags.size else float("nan")
