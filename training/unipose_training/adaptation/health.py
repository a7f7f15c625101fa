"""How healthy the poses of a modality are on the held-out part of a recording, without any ground truth.

Every figure is a loss: less is better. ``reference_mm``: distance to the fused pseudo-labels;
``reprojection_percent``: to the 2D network's keypoints, of the person's height; ``in_front``: joints before the
measured surface; ``bone_std_mm``: lengths of bones over time; ``asymmetry_mm``: left against right; ``jitter_mm``:
second differences; ``swaps``: left and right against the 2D network; ``missed``: of its people who are not found;
``false_people``: per frame in which it sees no one. 2D network and reference err too: these figures compare two sets of
weights on the same frames.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.config import EstimatorConfig, WeightsConfig
from unipose_ros.detection import DetectionConfig, select_people
from unipose_ros.estimator import PoseEstimator
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.modalities.base import RequiredInputs, StageClock
from unipose_ros.modalities.registry import MODALITIES
from unipose_ros.tracking.assignment import match, mean_distances
from unipose_training.adaptation.settings import GateSettings, without_nan
from unipose_training.datasets.base import Clip
from unipose_training.datasets.keypoint_files import KeypointLabels
from unipose_training.evaluation.compare import figures_of
from unipose_training.evaluation.keypoint_checks import keypoint_swaps, pair_with_keypoints
from unipose_training.evaluation.replay import ReplayedFrame
from unipose_training.evaluation.results import Results
from unipose_training.evaluation.run import evaluate_clips
from unipose_training.synthetic.stream.frames import ShownKeypoints

#: Only people of whom the 2D network is so sure must be found.
_SURE = 0.4
_GATE = 0.5
#: Weight of each figure in the gain, its unit of nothing (added to both sides of a ratio), and by how much it may
#: grow in any case.
FIGURES: dict[str, tuple[float, float, float]] = {
    "reference_mm": (3.0, 10.0, 3.0),
    "reprojection_percent": (3.0, 0.5, 0.2),
    "in_front": (1.0, 0.02, 0.02),
    "bone_std_mm": (1.0, 3.0, 2.0),
    "asymmetry_mm": (1.0, 5.0, 4.0),
    "jitter_mm": (0.5, 3.0, 3.0),
    "swaps": (1.0, 0.03, 0.02),
    "missed": (2.0, 0.05, 0.03),
    "false_people": (1.0, 0.05, 0.03),
}


@dataclass(frozen=True)
class Health:
    """Figures by name; NaN where nothing can be measured.

    Attributes:
        figures: of :data:`FIGURES`.
        people: that were predicted.
        frames: that were processed.
    """

    figures: Mapping[str, float]
    people: int
    frames: int


@dataclass(frozen=True, eq=False)
class Reference:
    """Fused pseudo-labels of held-out frames: (N, J, 3) people by (part, stamp)."""

    people: Mapping[tuple[int, int], NDArray[np.float32]]


class ShownEstimator:
    """An estimator whose frames come with the 2D network's stored people; counts what it makes of them.

    Args:
        estimator: in use.
        shown: its 2D network, where it has one.
        labels: stored people of all parts.
        needs: images of the modality; it is shown no others, as in the node.
    """

    def __init__(
        self, estimator: PoseEstimator, shown: ShownKeypoints, labels: Mapping[int, Keypoints2D], needs: RequiredInputs
    ) -> None:
        self._estimator, self._shown, self._labels, self._needs = estimator, shown, labels, needs
        self.last_keypoints: Keypoints2D | None = None
        self.sure = self.found = self.compared = self.swapped = self.empty_frames = self.false_people = 0

    @property
    def modality(self) -> str:
        """Of the estimator."""
        return self._estimator.modality

    def estimate(self, frame: RgbdFrame, clock: StageClock | None = None) -> Skeletons:
        """All people in the frame; the 2D network's are compared with them."""
        keypoints = self._labels.get(frame.stamp_ns, Keypoints2D.empty())
        self._shown.seen = keypoints
        color, depth = (
            frame.color if self._needs.color else None, frame.depth if self._needs.depth else None
        )  # fmt: skip
        found = self._estimator.estimate(replace(frame, color=color, depth=depth), clock)
        camera = frame.camera
        people = select_people(keypoints, camera.width, camera.height, DetectionConfig())
        self.last_keypoints = people
        pairs = pair_with_keypoints(camera, found, people)
        swaps = keypoint_swaps(pairs)
        self.compared, self.swapped = self.compared + swaps.poses, self.swapped + swaps.swapped
        sure = people.scores >= _SURE
        self.sure += int(sure.sum())
        if sure.any():
            matched = pair_with_keypoints(camera, found, people.select(np.flatnonzero(sure)))
            self.found += len(matched.predicted)
        if not len(keypoints):
            self.empty_frames += 1
            self.false_people += len(found)
        return found

    def follow(self, people: Skeletons) -> None:
        """Take the tracker's ids."""
        self._estimator.follow(people)


def measure_health(
    parts: Sequence[Clip],
    labels: Sequence[KeypointLabels],
    reference: Reference,
    modality: str,
    weights: Mapping[str, str],
    threads: int,
) -> tuple[Health, Results, list[ReplayedFrame]]:
    """Replay the held-out parts with some weights.

    Args:
        labels: 2D pseudo-labels of each part.
        reference: fused pseudo-labels.
        weights: files by name, see :class:`WeightsConfig`; none for the shipped ones.

    Raises:
        EvaluationError: there is no usable frame.
        WeightsError: weights cannot be loaded.
    """
    known: dict[int, Keypoints2D] = {}
    for each in labels:
        known |= {int(stamp): each.keypoints_at(number) for number, stamp in enumerate(each.stamps_ns)}
    config = EstimatorConfig(modality, threads=threads, weights=WeightsConfig(**weights))
    shown = ShownKeypoints()
    with closing(PoseEstimator(config, shown)) as estimator:
        shower = ShownEstimator(estimator, shown, known, MODALITIES[modality].images)
        results, frames = evaluate_clips(parts, shower, tracking=True)
    return _health(results, frames, shower, reference), results, frames


def _health(results: Results, frames: Sequence[ReplayedFrame], seen: ShownEstimator, reference: Reference) -> Health:
    known, nan = figures_of(results), float("nan")
    sides = [known[name] for name in ("leg_asymmetry_mm", "arm_asymmetry_mm") if name in known]
    figures = {
        "reference_mm": reference_distance(frames, reference),
        "reprojection_percent": known.get("reprojection_percent", nan),
        "in_front": known.get("in_front_percent", nan) / 100,
        "bone_std_mm": known.get("bone_std_mm", nan),
        "asymmetry_mm": sum(sides) / len(sides) if sides else nan,
        "jitter_mm": known.get("jitter_mm", nan),
        "swaps": seen.swapped / seen.compared if seen.compared else nan,
        "missed": 1 - seen.found / seen.sure if seen.sure else nan,
        "false_people": seen.false_people / seen.empty_frames if seen.empty_frames else nan,
    }
    return Health(figures, results.label_free.people, len(frames))


def reference_distance(frames: Sequence[ReplayedFrame], reference: Reference) -> float:
    """Mean distance in millimeters between predicted joints and those of the reference; NaN without any."""
    errors: list[NDArray[np.float64]] = []
    for frame in frames:
        people = reference.people.get((frame.clip, frame.predicted.stamp_ns))
        if people is None or not len(frame.predicted):
            continue
        apart = mean_distances(people, frame.predicted.positions)
        rows, columns = match(apart, np.full(len(people), _GATE))
        off = np.linalg.norm(frame.predicted.positions[columns] - people[rows], axis=-1)
        errors.append(np.asarray(off[np.isfinite(off)], np.float64))
    values = np.concatenate(errors) if errors else np.zeros(0)
    return 1e3 * float(values.mean()) if values.size else float("nan")


# Whether adapted weights replace the present ones: healthier on the held-out part, and no worse on source data.

#: Figures that are known on both sides must have at least this fraction of the weight of all that are to improve.
_LEAST_WEIGHT = 4.0 / 14.5


@dataclass(frozen=True)
class Verdict:
    """Of the gate for one modality.

    Attributes:
        accepted: new weights may be deployed.
        reasons: why not; empty when accepted.
        gain: weighted mean of the decrease of the health figures in natural logarithms; positive is better.
        before, after: health figures.
        source_before, source_after: errors on source benchmarks by name.
        unit: of these; ``mm`` is that of an MPJPE.
    """

    accepted: bool
    reasons: tuple[str, ...]
    gain: float
    before: Mapping[str, float]
    after: Mapping[str, float]
    source_before: Mapping[str, float]
    source_after: Mapping[str, float]
    unit: str = "mm"

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; NaN becomes None."""
        return dict(without_nan(asdict(self)))


def health_gain(
    before: Mapping[str, float], after: Mapping[str, float], improving: Collection[str] = tuple(FIGURES)
) -> tuple[float, float]:
    """The gain, and the weight of the figures that are known on both sides.

    Args:
        improving: figures of which it is the gain.
    """
    total = weight = 0.0
    for name in improving:
        each, unit, _ = FIGURES[name]
        old, new = before.get(name, math.nan), after.get(name, math.nan)
        if math.isfinite(old) and math.isfinite(new):
            total += each * math.log((old + unit) / (new + unit))
            weight += each
    return (total / weight if weight else math.nan), weight


def judge(
    before: Mapping[str, float],
    after: Mapping[str, float],
    source_before: Mapping[str, float],
    source_after: Mapping[str, float],
    settings: GateSettings,
    improving: Collection[str] = tuple(FIGURES),
    unit: str = "mm",
) -> Verdict:
    """Accept or refuse.

    Args:
        before, after: health figures of :data:`~unipose_training.adaptation.health.FIGURES`.
        source_before, source_after: errors by benchmark, the same benchmarks on both sides.
        improving: figures that must get better in the mean; none of :data:`FIGURES` may get much worse.
        unit: of the errors.
    """
    reasons = []
    gain, weight = health_gain(before, after, improving)
    if weight < _LEAST_WEIGHT * sum(FIGURES[name][0] for name in improving):
        reasons.append("health: too little can be measured on the held-out part; record more people")
    elif gain < settings.min_gain:
        reasons.append(f"health: the figures improve by {100 * gain:.1f} %, {100 * settings.min_gain:g} % are needed")
    for name, (_, _, slack) in FIGURES.items():
        old, new = before.get(name, math.nan), after.get(name, math.nan)
        if math.isfinite(old) and (not math.isfinite(new) or new > old * (1 + settings.metric_margin) + slack):
            reasons.append(f"{name}: from {old:.4g} to {new:.4g}")
    if not source_before:
        reasons.append("source: there is no source benchmark")
    for name, old in source_before.items():
        new = source_after.get(name, math.nan)
        if not new <= old * (1 + settings.source_margin):
            allowed = f"{100 * settings.source_margin:g} % more are allowed"
            reasons.append(f"source {name}: from {old:.1f} to {new:.1f} {unit}, {allowed}")
    return Verdict(
        not reasons, tuple(reasons), gain, dict(before), dict(after), dict(source_before), dict(source_after), unit
    )
