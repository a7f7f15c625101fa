"""``unipose evaluate --dataset human36m``: the lifter on the 2D poses that others' lifters are evaluated on.

Protocol 1 is MPJPE with the middles of the hips at the origin, protocol 2 MPJPE after the best
similarity; means over joints of all poses of an action, then over actions (Martinez et al., ICCV
2017). Published figures are over 17 joints; these over the 13 that COCO's keypoints and
Human3.6M share (limbs and neck), for none of them lifts a joint that has no keypoint.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from unipose_ros.camera import Camera
from unipose_ros.files import write_atomic
from unipose_ros.frame import Skeletons
from unipose_ros.joint_sets import COCO17, ITOP15, convert_joints
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.lifting import load_lifter
from unipose_training.datasets.cameras import PoseSequence
from unipose_training.datasets.human36m import open_human36m
from unipose_training.errors import EvaluationError
from unipose_training.evaluation.metrics.pose import joint_errors, procrustes_aligned

NAME = "human36m"
#: Those of ITOP's joints that both Human3.6M and COCO's keypoints define alike.
_JUDGED = [n for n, name in enumerate(ITOP15.joints) if name not in ("head", "torso")]
_HIPS = [_JUDGED.index(ITOP15.index(f"{side}_hip")) for side in ("left", "right")]
_CHUNK = 256
#: What keypoints count that are given without a confidence.
_SURE = 1.0

Floats = NDArray[np.floating]


class LiftsKeypoints(Protocol):
    """What is evaluated; see :class:`unipose_ros.lifting.Lifter`."""

    def liftable(self, keypoints: Keypoints2D, camera: Camera) -> NDArray[np.bool_]:
        """(N,) people who are lifted."""
        ...

    def lift(self, keypoints: Keypoints2D, camera: Camera) -> Skeletons:
        """Those people."""
        ...


def evaluate_human36m(options: argparse.Namespace, lifter: LiftsKeypoints | None = None) -> str:
    """Errors by action; also written to ``human36m.md`` in the output folder.

    ``--subset`` is a split and the kind of 2D poses, as in ``test/cpn_ft_h36m_dbb``; ``test/gt`` by default.

    Args:
        lifter: to evaluate instead of the shipped one.

    Raises:
        EvaluationError: a file of predictions is given.
        DataError: a file cannot be read, or the split is unknown.
        WeightsError: the lifter's weights cannot be used.
    """
    if options.predictions is not None:
        raise EvaluationError("--predictions are scored for --dataset itop or coco; human36m evaluates the lifter")
    split, _, kind = (options.subset or "test").partition("/")
    sequences = open_human36m(options.root, split, kind or "gt")
    rows = _evaluate(sequences, lifter or load_lifter(), options.limit)
    text = _report(rows, split, kind or "gt")
    options.output.mkdir(parents=True, exist_ok=True)
    write_atomic(options.output / f"{NAME}.md", text)
    return text


def _evaluate(
    sequences: Iterable[PoseSequence], lifter: LiftsKeypoints, limit: int | None
) -> dict[str, list[tuple[Floats, Floats, int]]]:
    """For each action, per sequence: errors of both protocols in meters, and the poses that there are."""
    rows: dict[str, list[tuple[Floats, Floats, int]]] = {}
    for sequence in tqdm(sequences, desc="lifting", unit="sequence"):
        frames = np.flatnonzero(sequence.valid)[:limit]
        ground_truth, _ = convert_joints(sequence.positions[frames], sequence.joint_set, ITOP15)
        found = _lifted(sequence, frames, lifter)
        first, second = poses_errors(found[:, _JUDGED], ground_truth[:, _JUDGED])
        rows.setdefault(sequence.subset, []).append((first, second, len(frames)))
    return rows


def poses_errors(found: Floats, ground_truth: Floats) -> tuple[Floats, Floats]:
    """(N, 13) errors in meters of protocols 1 and 2; NaN for what was not lifted.

    Args:
        found, ground_truth: (N, 13, 3) meters, joints in ITOP's order without head and torso.
    """
    first = joint_errors(_from_hips(found), _from_hips(ground_truth))
    return first, joint_errors(procrustes_aligned(found, ground_truth), ground_truth)


def _from_hips(poses: Floats) -> Floats:
    return np.asarray(poses - poses[:, _HIPS].mean(axis=1, keepdims=True))


def _lifted(sequence: PoseSequence, frames: NDArray[np.intp], lifter: LiftsKeypoints) -> NDArray[np.float64]:
    """(N, 15, 3) meters, NaN for a pose that is not lifted."""
    result = np.full((len(frames), len(ITOP15), 3), np.nan)
    if sequence.camera is None:
        return result
    pixels, _ = convert_joints(sequence.pixels[frames], sequence.joint_set, COCO17)
    for start in range(0, len(frames), _CHUNK):
        part = slice(start, start + _CHUNK)
        people = _people(np.asarray(pixels[part], np.float32))
        enough = np.flatnonzero(lifter.liftable(people, sequence.camera)) + start
        result[enough] = lifter.lift(people, sequence.camera).positions
    return result


def _people(pixels: NDArray[np.float32]) -> Keypoints2D:
    there = np.isfinite(pixels).all(axis=-1)
    low, high = np.nanmin(pixels, axis=1), np.nanmax(pixels, axis=1)
    return Keypoints2D(
        pixels=pixels,
        confidences=np.where(there, _SURE, 0).astype(np.float32),
        scores=np.ones(len(pixels), np.float32),
        boxes=np.concatenate([low, high], axis=1),
        joint_set=COCO17,
    )


def _report(rows: dict[str, list[tuple[Floats, Floats, int]]], split: str, kind: str) -> str:
    lines = [
        f"Human3.6M, {split}, 2D: {kind}. 13 joints that COCO and Human3.6M share, millimeters.",
        "",
        "| action | poses | lifted, % | protocol 1 | protocol 2 |",
        "|---|---|---|---|---|",
    ]
    figures = []
    for action, parts in sorted(rows.items()):
        first, second = (np.concatenate([part[n] for part in parts]) for n in (0, 1))
        poses, lifted = sum(part[2] for part in parts), int(np.isfinite(first).any(axis=1).sum())
        errors = [1000 * float(np.nanmean(each)) if lifted else float("nan") for each in (first, second)]
        figures.append([poses, 100 * lifted / max(poses, 1), *errors])
        lines.append(f"| {action} | {poses} | {figures[-1][1]:.1f} | {errors[0]:.1f} | {errors[1]:.1f} |")
    if figures:
        mean = np.nanmean(figures, axis=0)
        total = int(sum(row[0] for row in figures))
        lines.append(f"| **mean over actions** | {total} | {mean[1]:.1f} | {mean[2]:.1f} | {mean[3]:.1f} |")
    return "\n".join(lines) + "\n"
