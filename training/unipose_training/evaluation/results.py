"""Everything that an evaluation found, as one value that becomes ``metrics.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_training.evaluation.matching import Detection, PosePairs, torsos
from unipose_training.evaluation.metrics.cross_view import Agreement
from unipose_training.evaluation.metrics.pose import PckCurve, Swaps, facing_angles, share_within
from unipose_training.evaluation.metrics.reference_free import ReferenceFree
from unipose_training.evaluation.metrics.temporal import (
    BoneLength,
    Jitter,
    LimbLength,
    frame_periods,
    joint_speeds,
    runs,
)
from unipose_training.evaluation.metrics.tracking import Identity
from unipose_training.evaluation.metrics.uncertainty import ConfidenceReliability, Reliability, Sparsification
from unipose_training.evaluation.metrics.worst import Latency, WorstFrame


@dataclass(frozen=True)
class ClipRecord:
    """What was read of a recording.

    Attributes:
        name, subset: of the recording; subset "" for none.
        frames, frames_with_ground_truth: how many were evaluated.
        rate_hz: median frame rate; NaN of a single frame.
        people_max: most people predicted in a frame.
        losses: what could not be read, by reason.
    """

    name: str
    subset: str
    frames: int
    frames_with_ground_truth: int
    rate_hz: float
    people_max: int
    losses: Mapping[str, int]


@dataclass(frozen=True)
class Accuracy:
    """Everything that needs ground truth; see the classes of the parts.

    Attributes:
        people: who was found.
        overall: errors of all joints of those who count.
        intervals: how sure these are.
        pck: shares of joints within distances.
        groups: errors by kind of group, then by group.
        jitter_true: of the ground truth on the same frames, what is real motion.
        swaps: left taken for right.
        reliability: covariances against errors, of joints by what the prediction says of them.
        confidence: confidences against errors, of joints by what the prediction says of them.
        limbs: predicted and true lengths by kind of limb.
        people_within_10cm: fraction of the people who count with all joints within 10 cm.
        sparsification: by the source of uncertainty.
        identity: ``None`` without tracking or without any person.
        label_free_true: what the checks without ground truth say of the ground truth itself.
        worst: the worst frames, worst first.
    """

    people: Detection
    overall: Summary
    intervals: Intervals
    pck: PckCurve
    groups: Mapping[str, tuple[Summary, ...]]
    jitter_true: Jitter
    swaps: Swaps
    reliability: Mapping[str, Reliability]
    confidence: Mapping[str, ConfidenceReliability]
    limbs: tuple[LimbLength, ...]
    people_within_10cm: float
    sparsification: Mapping[str, Sparsification]
    identity: Identity | None
    label_free_true: ReferenceFree
    worst: tuple[WorstFrame, ...]


@dataclass(frozen=True)
class Results:
    """An evaluation.

    Attributes:
        version: of the package.
        modality, joint_set: of the predictions as they were evaluated.
        tracking: whether people were followed and smoothed.
        clips: the recordings, in the order given.
        accuracy: ``None`` when no frame had ground truth.
        jitter: of the predictions.
        bones: lengths over the tracks of the predictions.
        latency: of this machine, the one part that differs from run to run.
        label_free: metrics without ground truth.
        agreement: between calibrated views.
    """

    version: str
    modality: str
    joint_set: str
    tracking: bool
    clips: tuple[ClipRecord, ...]
    accuracy: Accuracy | None
    jitter: Jitter
    bones: tuple[BoneLength, ...]
    latency: Latency
    label_free: ReferenceFree
    agreement: tuple[Agreement, ...]

    @property
    def frames(self) -> int:
        """Frames evaluated, over all recordings."""
        return sum(clip.frames for clip in self.clips)

    def to_json(self) -> str:
        """Standard JSON; what is not a number becomes null."""
        return json.dumps(plain(asdict(self)), indent=2, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """What standard JSON can hold: without NaN, which JSON does not have, and without digits that mean nothing."""
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


# The same error figures for everything, and for each kind of joint, pose and recording.

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


# How far the figures would differ on another recording of the same kind.

#: Frames of a person within this time are alike, so they are drawn together, nanoseconds.
_BLOCK_NS = 1_000_000_000
_DRAWS = 2000


@dataclass(frozen=True)
class Intervals:
    """95 % intervals of the block bootstrap (Kuensch 1989); NaN with fewer than two blocks.

    They tell apart two methods on such recordings; they know nothing of other people, rooms
    and sensors than those recorded.

    Attributes:
        blocks: seconds of a person that were drawn from.
        mpjpe_mm: low and high.
        pck_10cm: low and high, of the share of all joints within 10 cm.
    """

    blocks: int
    mpjpe_mm: tuple[float, float]
    pck_10cm: tuple[float, float]


def bootstrap(pairs: PosePairs, seed: int = 0) -> Intervals:
    """Draw seconds of people with replacement; the same pairs give the same intervals."""
    blocks = _blocks(pairs)
    count = int(blocks.max()) + 1 if len(blocks) else 0
    if count < 2:
        return Intervals(count, (np.nan, np.nan), (np.nan, np.nan))
    errors = pairs.errors
    known = np.isfinite(errors)
    sums = np.stack(
        [
            np.bincount(blocks, values.sum(axis=1), count)
            for values in (np.where(known, errors, 0.0), known, errors < 0.10, pairs.counted)
        ]
    )
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=_DRAWS)
    total, found, hits, wanted = sums @ draws.T
    return Intervals(count, _interval(1e3 * total, found), _interval(hits, wanted))


def _blocks(pairs: PosePairs) -> NDArray[np.intp]:
    """Number of the block that each row belongs to."""
    seconds = pairs.stamps_ns // _BLOCK_NS
    keys = list(zip(pairs.clips.tolist(), pairs.true_ids.tolist(), seconds.tolist(), strict=True))
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], np.intp)


def _interval(parts: NDArray[np.float64], wholes: NDArray[np.float64]) -> tuple[float, float]:
    """2.5 and 97.5 % quantiles of the ratios; draws without a whole are left out."""
    usable = wholes > 0
    if not usable.any():
        return (float("nan"), float("nan"))
    low, high = np.quantile(parts[usable] / wholes[usable], [0.025, 0.975])
    return (float(low), float(high))


def summary(results: Results) -> str:
    """The main figures in a line."""
    if results.accuracy is None:
        return f"{results.frames} frames without ground truth, {results.label_free.people} people"
    if not results.accuracy.overall.joints:
        return f"{results.frames} frames without visible people, {results.accuracy.people.extra} false people"
    overall, people = results.accuracy.overall, results.accuracy.people
    return (
        f"{results.frames} frames: MPJPE {overall.mpjpe_mm:.1f} mm (median {overall.median_mm:.1f}), "
        f"root-aligned {overall.root_aligned_mm:.1f} mm, PA {overall.procrustes_mm:.1f} mm, "
        f"within 10 cm {100 * overall.pck_10cm:.1f} %, people found {100 * people.recall:.1f} %"
    )
