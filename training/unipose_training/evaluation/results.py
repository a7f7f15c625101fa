"""Everything that an evaluation found, as one value that becomes ``metrics.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from unipose_training.evaluation.breakdown import Summary
from unipose_training.evaluation.matching import Detection
from unipose_training.evaluation.metrics.cross_view import Agreement
from unipose_training.evaluation.metrics.intervals import Intervals
from unipose_training.evaluation.metrics.pose import PckCurve
from unipose_training.evaluation.metrics.reference_free import ReferenceFree
from unipose_training.evaluation.metrics.swaps import Swaps
from unipose_training.evaluation.metrics.temporal import BoneLength, Jitter, LimbLength
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
        label_free: what can be said without ground truth.
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
