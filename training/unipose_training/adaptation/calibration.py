"""Covariances of adapted weights, fitted to errors on source people and to distances from the pseudo-labels.

A pseudo-label is wrong itself: its own variance is part of what is observed, as the 2D network's is in
:mod:`unipose_training.evaluation.calibration_fit`. Numbers of the present weights that hold for the adapted ones, too,
are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.config import EstimatorConfig, WeightsConfig
from unipose_ros.estimator import PoseEstimator
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.geometry.covariance import expand
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.modalities.calibration import Calibration, StatusCalibration, load_calibrations
from unipose_ros.modalities.registry import MODALITIES
from unipose_ros.tracking.assignment import match, mean_distances
from unipose_training.adaptation.lift import PseudoLabels, rows_by_frame
from unipose_training.adaptation.settings import AdaptSettings
from unipose_training.datasets.base import Clip
from unipose_training.datasets.keypoint_files import KeypointLabels
from unipose_training.evaluation.calibrate import stream_residuals, write_card
from unipose_training.evaluation.calibration_fit import Residuals, coverage, fit_status, holds, plausible
from unipose_training.evaluation.real_run import Setting
from unipose_training.samples.store import SampleStore
from unipose_training.synthetic.stream.frames import ShownKeypoints

#: A predicted person and a pseudo-label are the same within this mean distance of their joints, meters.
_SAME = 0.5
#: Rendered frames, and most of the recording's: so many people say enough about eight numbers.
_SOURCE_FRAMES, _RECORDED_FRAMES = 64, 150
#: Sets of the recording, one after the other in time: the rule of the hardest set needs some.
_PERIODS = 3

LabeledPeople = dict[tuple[int, int], tuple[NDArray[np.float32], NDArray[np.float32]]]


def labeled_people(store: SampleStore, labels: PseudoLabels) -> LabeledPeople:
    """Good pseudo-labels by (part, stamp): (N, J, 3) joints in meters and (N, J) standard deviations."""
    good = {key: [row for row in rows if labels.good[row]] for key, rows in rows_by_frame(store).items()}
    return {key: (labels.joints[rows], labels.stds[rows]) for key, rows in good.items() if rows}


def label_residuals(
    name: str, predicted: Skeletons, joints: NDArray[np.float32], stds: NDArray[np.float32]
) -> Residuals:
    """Of all people who have a pseudo-label, the joints that both sides have.

    Args:
        name: of the set.
        predicted: people with covariances.
        joints, stds: (N, J, 3) and (N, J) pseudo-labels of the frame.
    """
    if predicted.covariances is None or not len(predicted) or not len(joints):
        return Residuals.together([])
    people, own = match(mean_distances(predicted.positions, joints), np.full(len(predicted), _SAME))
    errors = joints[own].astype(np.float64) - predicted.positions[people]
    matrices, noise = expand(predicted.covariances[people]), stds[own].astype(np.float64)
    known = np.isfinite(errors).all(axis=-1) & np.isfinite(matrices).all(axis=(-2, -1)) & np.isfinite(noise)
    count = int(known.sum())
    return Residuals(
        errors=errors[known],
        covariances=matrices[known],
        units=np.broadcast_to(np.eye(3), (count, 3, 3)),
        noise=noise[known],
        dimensions=np.full(count, 3, np.intp),
        measured=(predicted.status[people] == JointStatus.MEASURED)[known],
        confidences=predicted.confidences[people][known].astype(np.float64),
        sets=np.full(count, name),
    )


def coverage_percent(
    frames: Iterable[tuple[int, Skeletons]], store: SampleStore, labels: PseudoLabels
) -> dict[str, float]:
    """How many joints the published 95 % ellipsoids hold, by the pseudo-labels, whose own variance is added; NaN
    without any.

    Args:
        frames: number of the part, and its people with calibrated covariances.
    """
    known = labeled_people(store, labels)
    found = Residuals.together(
        label_residuals("", people, *known[part, people.stamp_ns])
        for part, people in frames
        if (part, people.stamp_ns) in known
    )
    found = plausible(found)
    return {
        "coverage_percent": 100 * coverage(found, StatusCalibration()) if len(found) else float("nan"),
        "joints": float(len(found)),
    }


def calibrate_adapted(
    weights: Path,
    modality: str,
    beside: Mapping[str, str],
    parent: Path,
    parts: Sequence[Clip],
    keypoints: Sequence[KeypointLabels],
    store: SampleStore,
    labels: PseudoLabels,
    settings: AdaptSettings,
) -> dict[str, Any]:
    """Write a calibration into the model card of adapted weights.

    Args:
        weights: that file.
        beside: files of other networks by name, such as an adapted person detector.
        parent: the weights whose calibration is kept where it holds.
        parts, keypoints: the adaptation parts, and the 2D network's people in them.
        store, labels: their pseudo-labels.
        settings: threads, and the number of source people, whose frames are no more.

    Returns:
        The numbers, which of them are kept, and how many joints the ellipsoids of both calibrations hold by set.

    Raises:
        WeightsError: a file cannot be read.
    """
    present = load_calibrations(_config({modality: str(parent)}, modality, settings.threads)).get(
        modality, Calibration()
    )
    config = _config({**beside, modality: str(weights)}, modality, settings.threads)
    setting = Setting(modality, config)
    frames = min(_SOURCE_FRAMES, settings.gate.source_people)
    recorded = recorded_residuals(config, parts, keypoints, labeled_people(store, labels))
    residuals = plausible(Residuals.together([*stream_residuals(setting, frames), *recorded]))
    chosen, kept = choose_calibration(residuals, present)
    write_card(weights, chosen)
    return {
        "kept": kept,
        "numbers": chosen.to_dict(),
        "coverage": {
            str(name): [_held(residuals.select(residuals.sets == name), each) for each in (present, chosen)]
            for name in np.unique(residuals.sets)
        },
    }


def choose_calibration(residuals: Residuals, present: Calibration) -> tuple[Calibration, list[str]]:
    """The present numbers of each status that hold, and new ones in the place of the others; and which are kept.

    Args:
        residuals: of the adapted network, uncalibrated.
    """
    chosen, kept = present, []
    for status, measured in (("measured", True), ("inferred", False)):
        own = residuals.select(residuals.measured == measured)
        if holds(own, getattr(present, status)):
            kept.append(status)
        else:
            chosen = replace(chosen, **{status: fit_status(own)})
    return chosen, kept


def recorded_residuals(
    config: EstimatorConfig, parts: Sequence[Clip], keypoints: Sequence[KeypointLabels], known: LabeledPeople
) -> Iterator[Residuals]:
    """Distances to the pseudo-labels, uncalibrated and frame by frame, in sets that follow each other in time."""
    chosen = sorted(known)
    chosen = [chosen[at] for at in np.linspace(0, len(chosen) - 1, min(len(chosen), _RECORDED_FRAMES)).astype(int)]
    period = {key: f"recording {at * _PERIODS // len(chosen) + 1}" for at, key in enumerate(chosen)}
    shown = ShownKeypoints()
    color = MODALITIES[config.modality].images.color
    with closing(PoseEstimator(config, shown, calibrations={})) as estimator:
        for number, (part, seen) in enumerate(zip(parts, keypoints, strict=True)):
            for frame in part.frames():
                key = number, frame.stamp_ns
                if key in period:
                    shown.seen = seen.keypoints_of(frame.stamp_ns) or Keypoints2D.empty()
                    yield label_residuals(period[key], _alone(estimator, frame, color), *known[key])


def _alone(estimator: PoseEstimator, frame: RgbdFrame, color: bool) -> Skeletons:
    estimator.reset()
    return estimator.estimate(frame if color else replace(frame, color=None))


def _config(files: Mapping[str, str], modality: str, threads: int) -> EstimatorConfig:
    return EstimatorConfig(modality, threads=threads, weights=WeightsConfig(**files))


def _held(residuals: Residuals, calibration: Calibration) -> float:
    """Percent of the joints."""
    held = 0.0
    for measured, numbers in ((True, calibration.measured), (False, calibration.inferred)):
        own = residuals.select(residuals.measured == measured)
        held += coverage(own, numbers) * len(own) if len(own) else 0.0
    return round(100 * held / len(residuals), 1)
