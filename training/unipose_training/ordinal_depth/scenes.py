"""People of one image in the joints of the networks (ITOP-15), with the order of those joints in depth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import JointStatus
from unipose_ros.joint_sets import COCO17, ITOP15, convert_joints
from unipose_training.datasets.base import Labels2D, joint_status
from unipose_training.ordinal_depth.pairs import DepthPairs, MeasuredSettings, measured_pairs
from unipose_training.ordinal_depth.perspective import perspective_pairs
from unipose_training.ordinal_depth.rules import PerspectiveSettings
from unipose_training.samples.rows import POINTED
from unipose_training.samples.store import SampleStore

#: What says the order: a depth camera, perspective, or the ground truth (for evaluation only).
Kind = Literal["measured", "perspective", "ground_truth"]

#: ITOP joint of every COCO keypoint, -1 for the face.
_ITOP_OF = np.array([ITOP15.landmarks.index(mark) if mark in ITOP15.landmarks else -1 for mark in COCO17.landmarks])


@dataclass(frozen=True)
class KeypointWeights:
    """What a 2D network's confidences mean for perspective.

    The defaults are MoveNet's: of elbows and wrists before or behind a trunk, those above 0.6 were in
    front of it in 96 of 100 cases and those below 0.3 behind it in 82, and between them anything goes.

    Attributes:
        labeled: a keypoint of less is left out.
        hidden: a keypoint of less is hidden.
        visible: a keypoint of at least this is seen.

    Raises:
        ValueError: they are not in order within [0, 1].
    """

    labeled: float = 0.2
    hidden: float = 0.3
    visible: float = 0.6

    def __post_init__(self) -> None:
        if not 0 <= self.labeled <= self.hidden <= self.visible <= 1:
            values = f"labeled = {self.labeled}, hidden = {self.hidden}, visible = {self.visible}"
            raise ValueError(f"{values}: each must be at least the one before, within [0, 1]")


@dataclass(frozen=True)
class OrderSettings:
    """How a store's people are ordered.

    Attributes:
        kind: measured by the depth camera, or read off the 2D keypoints by perspective.
        measured, perspective, confidence: limits of both.
    """

    kind: Literal["measured", "perspective"] = "measured"
    measured: MeasuredSettings = field(default_factory=MeasuredSettings)
    perspective: PerspectiveSettings = field(default_factory=PerspectiveSettings)
    confidence: KeypointWeights = field(default_factory=KeypointWeights)


@dataclass(frozen=True, eq=False)
class OrderedScene:
    """P people of one image.

    Attributes:
        pixels: (P, 15, 2) float32 of the image; NaN where nothing points at a joint.
        confidence: (P, 15) float32 in them.
        pairs: of their joints.
        farther: (M,) float32 meters by which the second of each pair truly is farther; NaN not known.
    """

    pixels: NDArray[np.float32]
    confidence: NDArray[np.float32]
    pairs: DepthPairs
    farther: NDArray[np.float32]


def scene_of_rows(
    store: SampleStore, rows: NDArray[np.integer[Any]], kind: Kind, settings: OrderSettings
) -> OrderedScene:
    """The people of some rows, all of one frame."""
    pixels, confidence = store["pixels"][rows].astype(np.float32), store["confidence"][rows].astype(np.float32)
    pairs = _pairs(store, rows, kind, settings)
    known = np.isfinite(pixels).all(axis=-1)
    pairs = pairs.select(known[tuple(pairs.first.T)] & known[tuple(pairs.second.T)])
    z = store["ground_truth"][rows][..., 2]
    return OrderedScene(
        pixels, confidence, pairs, (z[tuple(pairs.second.T)] - z[tuple(pairs.first.T)]).astype(np.float32)
    )


def _pairs(store: SampleStore, rows: NDArray[np.integer[Any]], kind: Kind, settings: OrderSettings) -> DepthPairs:
    if kind == "perspective":
        return itop_pairs(perspective_of_rows(store, rows, settings))
    if kind == "measured":
        confidence = store["lifted_confidence"][rows] * (store["lifted_status"][rows] == JointStatus.MEASURED)
        return measured_pairs(
            store["lifted"][rows][..., 2], store["lifted_variance"][rows], confidence * _pointed(), settings.measured
        )
    # Every pair that there is: what the ground truth says is evaluated by, not trained.
    z = store["ground_truth"][rows][..., 2]
    return measured_pairs(z, np.zeros_like(z), np.ones_like(z) * _pointed(), MeasuredSettings(0.0, 0.0, 0.0))


def _pointed() -> NDArray[np.float32]:
    """(15,) 1 for joints that a 2D network points at."""
    return np.isin(np.arange(len(ITOP15)), POINTED).astype(np.float32)


def perspective_of_rows(store: SampleStore, rows: NDArray[np.integer[Any]], settings: OrderSettings) -> DepthPairs:
    """What perspective says about the 2D network's keypoints (COCO-17)."""
    keypoints = store["keypoints"][rows]
    confidences = keypoints[..., 2]
    labeled = confidences >= settings.confidence.labeled
    pixels = np.where(labeled[..., None], keypoints[..., :2], np.nan).astype(np.float32)
    status = joint_status(labeled, confidences >= settings.confidence.visible)
    people = Labels2D(pixels, status, ("",) * len(rows), COCO17)
    certain = (confidences < settings.confidence.hidden) | (confidences >= settings.confidence.visible)
    return perspective_pairs(people, settings.perspective, np.clip(confidences, 0, 1), certain)


def scene_of_labels(people: Labels2D, pairs: DepthPairs) -> OrderedScene:
    """People of a label file."""
    pixels, _ = convert_joints(people.pixels, COCO17, ITOP15)
    pixels[:, ~_pointed().astype(np.bool_)] = np.nan
    confidence = np.isfinite(pixels).all(axis=-1).astype(np.float32)
    pairs = itop_pairs(pairs)
    return OrderedScene(pixels.astype(np.float32), confidence, pairs, np.full(len(pairs), np.nan, np.float32))


def itop_pairs(pairs: DepthPairs) -> DepthPairs:
    """COCO's keypoints as ITOP's joints; pairs of the face, which is one joint there, are left out."""
    first, second = (np.stack([ends[:, 0], _ITOP_OF[ends[:, 1]]], axis=1) for ends in (pairs.first, pairs.second))
    kept = (first[:, 1] >= 0) & (second[:, 1] >= 0)
    return DepthPairs(first.astype(np.int32), second.astype(np.int32), pairs.order, pairs.weights).select(kept)
