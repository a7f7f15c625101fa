"""The same error figures for everything, and for each kind of joint, pose and recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from unipose_training.evaluation.matching import PosePairs, torsos
from unipose_training.evaluation.metrics.pose import share_within
from unipose_training.evaluation.metrics.swaps import facing_angles
from unipose_training.evaluation.metrics.temporal import frame_periods, joint_speeds, runs

#: Edges of the ranges, in the unit named; the last range is open.
DISTANCES_M = (0.0, 1.5, 2.5, 3.5, 4.5, 6.0)
SPEEDS_M_S = (0.0, 0.1, 0.5, 1.0, 2.0)
#: Angles in degrees between straight ahead and the camera.
FACING = {"front": (0.0, 45.0), "oblique": (45.0, 75.0), "side": (75.0, 105.0), "away": (105.0, 180.1)}


@dataclass(frozen=True)
class Summary:
    """Errors of a group of joints; NaN when it is empty.

    Attributes:
        name: of the group.
        joints: joints of the ground truth that count.
        found: share of them for which there is a prediction; the mean errors are over these.
        mpjpe_mm, median_mm: where the people stand.
        root_aligned_mm: mean with both torsos at the origin.
        procrustes_mm: mean after the best similarity of each pose (PA-MPJPE).
        pck_10cm: share of all joints that count with an error strictly below 10 cm.
    """

    name: str
    joints: int
    found: float
    mpjpe_mm: float
    median_mm: float
    root_aligned_mm: float
    procrustes_mm: float
    pck_10cm: float


def summarize(pairs: PosePairs, name: str, mask: NDArray[np.bool_] | None = None) -> Summary:
    """Figures of the joints that count within an (N, J) mask; of all without one."""
    counted = pairs.counted if mask is None else pairs.counted & mask
    errors = pairs.errors[counted]
    return Summary(
        name=name,
        joints=int(counted.sum()),
        found=float(np.isfinite(errors).mean()) if errors.size else float("nan"),
        mpjpe_mm=_millimeters(np.mean, errors),
        median_mm=_millimeters(np.median, errors),
        root_aligned_mm=_millimeters(np.mean, pairs.root_aligned_errors[counted]),
        procrustes_mm=_millimeters(np.mean, pairs.procrustes_errors[counted]),
        pck_10cm=share_within(pairs.errors, counted, 0.10),
    )


def breakdowns(pairs: PosePairs, clip_names: Sequence[str], subsets: Sequence[str]) -> dict[str, tuple[Summary, ...]]:
    """Figures by joint, part, visibility, distance, speed, facing, subset and recording; empty groups are left out."""
    masks: dict[str, Mapping[str, NDArray[np.bool_]]] = {
        "joint": _joint_masks(pairs),
        "part": _part_masks(pairs),
        "visibility": {"visible": pairs.visible, "hidden": ~pairs.visible},
        "distance": _range_masks(_distances(pairs), DISTANCES_M, "m"),
        "speed": _range_masks(speeds(pairs), SPEEDS_M_S, "m/s"),
        "facing": _facing_masks(pairs),
        "subset": _clip_masks(pairs, subsets),
        "recording": _clip_masks(pairs, clip_names),
    }
    summaries = {kind: [summarize(pairs, n, m) for n, m in groups.items()] for kind, groups in masks.items()}
    return {kind: tuple(s for s in groups if s.joints) for kind, groups in summaries.items()}


def speeds(pairs: PosePairs) -> NDArray[np.float64]:
    """(N, J) true joint speeds, meters per second; NaN where a person was alone in time."""
    periods = frame_periods(pairs.clips, pairs.stamps_ns)
    steps = runs(pairs.clips, pairs.true_ids, pairs.stamps_ns, periods)
    return joint_speeds(pairs.ground_truth, pairs.stamps_ns, steps)


def _distances(pairs: PosePairs) -> NDArray[np.float64]:
    """(N, J): how far the person's torso is from the camera."""
    away = np.linalg.norm(torsos(pairs.ground_truth, pairs.joint_set), axis=-1)
    return np.repeat(away[:, None], pairs.counted.shape[1], axis=1)


def _joint_masks(pairs: PosePairs) -> dict[str, NDArray[np.bool_]]:
    shape = pairs.counted.shape
    return {name: np.broadcast_to(np.arange(shape[1]) == j, shape) for j, name in enumerate(pairs.joint_set.joints)}


def _part_masks(pairs: PosePairs) -> dict[str, NDArray[np.bool_]]:
    """Left and right merged; a joint in the middle is a part of its own."""
    sides = zip(pairs.joint_set.joints, pairs.joint_set.sides, strict=True)
    parts = [joint if side == "middle" else joint.partition("_")[2] for joint, side in sides]
    shape = pairs.counted.shape
    return {part: np.broadcast_to(np.array(parts) == part, shape) for part in dict.fromkeys(parts)}


def _range_masks(values: NDArray[np.float64], edges: Sequence[float], unit: str) -> dict[str, NDArray[np.bool_]]:
    masks = {f"{low:g}-{high:g} {unit}": (values >= low) & (values < high) for low, high in pairwise(edges)}
    return masks | {f"over {edges[-1]:g} {unit}": values >= edges[-1]}


def _facing_masks(pairs: PosePairs) -> dict[str, NDArray[np.bool_]]:
    angles = np.abs(facing_angles(pairs.ground_truth, pairs.joint_set))[:, None]
    shape = pairs.counted.shape
    masks = {name: np.broadcast_to((angles >= low) & (angles < high), shape) for name, (low, high) in FACING.items()}
    return masks | {"unknown": np.broadcast_to(~np.isfinite(angles), shape)}


def _clip_masks(pairs: PosePairs, names: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Rows of the recordings of each name; several may share one."""
    shape = pairs.counted.shape
    groups = {name: [i for i, other in enumerate(names) if other == name] for name in dict.fromkeys(names)}
    return {name: np.broadcast_to(np.isin(pairs.clips, clips)[:, None], shape) for name, clips in groups.items()}


def _millimeters(average: Callable[[NDArray[np.float64]], np.floating], errors: NDArray[np.float64]) -> float:
    known = errors[np.isfinite(errors)]
    return 1e3 * float(average(known)) if known.size else float("nan")
