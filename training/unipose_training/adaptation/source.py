"""Errors on source benchmarks, which adapted weights must not have forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from unipose_ros.config import EstimatorConfig, WeightsConfig
from unipose_ros.estimator import PoseEstimator
from unipose_training.adaptation.detector import detector_benchmark_error, detector_source_error
from unipose_training.adaptation.finetune import source_error, stream_settings
from unipose_training.adaptation.lifter import RGB, lifter_source_error
from unipose_training.adaptation.settings import DETECTOR, AdaptSettings, weights_name
from unipose_training.datasets.base import Clip
from unipose_training.errors import AdaptationError
from unipose_training.evaluation.run import evaluate_clips


def source_errors(
    modality: str, files: Mapping[str, str], clips: Sequence[Clip], settings: AdaptSettings
) -> dict[str, float]:
    """By the name of the benchmark: MPJPE in millimeters, of the person detector percent.

    Args:
        files: weights by the name of the network.
        clips: further benchmarks, with ground truth.

    Raises:
        AdaptationError: one of them has no ground truth.
    """
    weights = Path(files[weights_name(modality)])
    plain = stream_settings(settings, None, 1.0, settings.gate.source_people)
    if modality == DETECTOR:
        found = {"rendered scenes, 100 (1 - AP)": detector_source_error(weights, plain, settings)}
        return found | {
            f"{clip.name}, missed and false": detector_benchmark_error(clip, weights, settings.threads)
            for clip in clips
        }
    if modality == RGB:
        errors = lifter_source_error(weights, plain)
    else:
        errors = source_error(weights, modality, plain, settings.threads)
    return {"rendered people": errors["mpjpe_mm"]} | {
        clip.name: _benchmark_error(clip, modality, files, settings.threads) for clip in clips
    }


def _benchmark_error(clip: Clip, modality: str, weights: Mapping[str, str], threads: int) -> float:
    config = EstimatorConfig(modality, threads=threads, weights=WeightsConfig(**weights))
    with closing(PoseEstimator(config)) as estimator:
        results, _ = evaluate_clips([clip], estimator, tracking=False)
    if results.accuracy is None:
        raise AdaptationError(f"--source {clip.name}: it has no ground truth; name recordings that have")
    return results.accuracy.overall.mpjpe_mm
