"""``unipose calibrate``: fit covariances and confidences to the errors measured on real people and on renders.

Errors are taken where a set has 3D ground truth, and across the ray where a 2D network detects the same people (not of
modalities that place their joints on its keypoints). Every set counts alike. The printed table evaluates each set by a
calibration fitted without it. With ``--write`` the calibration on all sets goes into
``config/calibration.yaml``, with ``--write-weights`` into the model card of the weights that are named.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from tqdm import tqdm

from unipose_ros.backends import BackendError
from unipose_ros.cli.options import description, positive
from unipose_ros.detection.movenet import load_movenet
from unipose_ros.estimator import EstimatorConfig, EstimatorError, PoseEstimator, WeightsConfig
from unipose_ros.files import write_atomic
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.modalities.calibration import Calibration, read_calibrations
from unipose_ros.networks.weights import WeightsError, load_weights, read_model_card, save_weights
from unipose_ros.recordings import RecordingError
from unipose_ros.resources import resource_path
from unipose_training.datasets.base import Clip, open_clips
from unipose_training.datasets.joint_sets import in_joint_set
from unipose_training.datasets.real_sets import RealClip, RealFrame, open_real_frames
from unipose_training.errors import DataError, EvaluationError
from unipose_training.evaluation.calibration_fit import (
    Residuals,
    SetReport,
    fit,
    leave_one_out,
    report_table,
    residuals_in_2d,
    residuals_in_3d,
)
from unipose_training.evaluation.real_checks import ReferenceKeypoints
from unipose_training.evaluation.real_run import Setting, settings_of

if TYPE_CHECKING:
    from unipose_training.synthetic.stream.frames import RenderedFrame

_RENDERS = "renders"
#: Modalities that place joints on the 2D network's keypoints: their distance from these says nothing.
_ON_KEYPOINTS = ("lookup", "rgb", "rgbd")
_HEAD = """# What covariances and confidences are multiplied with, by modality and status of the joint; see
# unipose_ros/modalities/calibration.py. Fitted by `unipose calibrate --write`; weights that carry their own come first.
"""
_REFUSALS = (BackendError, DataError, EstimatorError, EvaluationError, OSError, RecordingError, WeightsError)


def main(argv: Sequence[str]) -> int:
    """Fit, evaluate and write; 1 with one line on stderr when something given cannot be used."""
    options = _parser().parse_args(argv)
    try:
        print(_calibrate(options))
    except _REFUSALS as error:
        print(f"unipose calibrate: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "unipose calibrate", description=description(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--root", type=Path, required=True, metavar="DIR", help="folder of the real frames (docs/reference/datasets.md)"
    )
    add("--clips", type=Path, nargs="*", default=[], metavar="PATH", help="renders, not of a benchmark: bags or shards")
    add("--stream", type=int, default=0, metavar="N", help="also render N frames")
    add("--modality", default="points", help="as for evaluate, several with commas between (default: %(default)s)")
    add(
        "--every",
        type=positive,
        default=10,
        metavar="N",
        help="use every N-th frame of a sequence (default: %(default)s)",
    )
    add(
        "--clip-frames",
        type=positive,
        default=2,
        metavar="N",
        help="frames of each rendered clip (default: %(default)s)",
    )
    add("--weights", action="append", default=[], metavar="NAME=FILE", help="weights instead of the shipped ones")
    add("--write", action="store_true", help="write config/calibration.yaml")
    add("--write-weights", action="store_true", help="write into the model card of the file given by --weights")
    add("--output", type=Path, metavar="MD", help="file for the table")
    return parser


def _calibrate(options: argparse.Namespace) -> str:
    files = dict(text.partition("=")[::2] for text in options.weights)
    if unknown := [name for name in files if name not in vars(WeightsConfig())]:
        raise EvaluationError(f"--weights {unknown[0]}: use one of {', '.join(vars(WeightsConfig()))}")
    config = EstimatorConfig(threads=1, weights=WeightsConfig(**files))
    settings = settings_of(options.modality.split(","), config)
    clips = open_real_frames(options.root)
    renders = [clip for path in options.clips for clip in open_clips(path)]
    keypoints = ReferenceKeypoints(load_movenet(threads=1))
    parts = []
    for setting in settings:
        residuals = collect(setting, clips, renders, keypoints, options.every, options.clip_frames, options.stream)
        calibration = fit(residuals)
        parts.append(f"### {setting.name}\n\n{report_table(evaluate_sets(residuals))}\n\n{_shown(calibration)}")
        if options.write:
            write_config(resource_path("config") / "calibration.yaml", setting.config.modality, calibration)
        if options.write_weights:
            write_card(Path(files.get(setting.config.modality, "")), calibration)
    text = "\n\n".join(parts) + "\n"
    if options.output:
        write_atomic(options.output, text)
    return text


@lru_cache(maxsize=1)
def _rendered(frames: int) -> list[RenderedFrame]:
    """The same frames for every setting."""
    # Torch is needed for rendering alone.
    from unipose_training.synthetic.stream.frames import rendered_frames
    from unipose_training.synthetic.stream.settings import StreamSettings

    return list(rendered_frames(StreamSettings(), 0, frames))


def stream_residuals(setting: Setting, frames: int) -> Iterator[Residuals]:
    """Errors on frames rendered on the fly, with keypoints by the error model of a 2D network."""
    from unipose_training.synthetic.stream.frames import ShownKeypoints, without_color

    shown = ShownKeypoints()
    with closing(PoseEstimator(setting.config, shown, calibrations={})) as estimator:
        for each in tqdm(_rendered(frames), desc=f"{setting.name}, stream"):
            shown.seen = each.keypoints
            frame = each.frame if setting.config.needs.color else without_color(each)
            yield from _of_ground_truth(frame, each.ground_truth, estimator)


def evaluate_sets(residuals: Residuals) -> list[SetReport]:
    """Each folder left out; and of a folder with several instants each instant."""
    by_folder = leave_one_out(residuals, lambda name: name.partition("/")[0])
    by_set = leave_one_out(residuals)
    return [*by_folder, *(report for report in by_set if "/" in report.name)]


def collect(
    setting: Setting,
    clips: Sequence[RealClip],
    renders: Iterable[Clip],
    keypoints: ReferenceKeypoints,
    every: int = 10,
    clip_frames: int = 2,
    stream: int = 0,
) -> Residuals:
    """Errors of a setting, uncalibrated and frame by frame, on real frames and renders.

    Args:
        stream: frames rendered on the fly besides.
    """
    parts: list[Residuals] = []
    with closing(PoseEstimator(setting.config, calibrations={})) as estimator:
        for clip in tqdm(clips, desc=f"{setting.name}, real", unit="clip"):
            for real in _real_frames(clip.seen_by(setting.config.needs.color, setting.depth), every):
                found = _estimate(estimator, real.frame)
                if found is not None:
                    parts.append(_of_real(clip, real, found, keypoints, setting.config.modality))
        for render in tqdm(renders, desc=f"{setting.name}, renders", unit="clip"):
            parts += _of_render(render, estimator, clip_frames)
    if stream:
        parts += stream_residuals(setting, stream)
    return Residuals.together(parts)


def _real_frames(clip: RealClip, every: int) -> Iterator[RealFrame]:
    return (clip.real_frame(index) for index in range(0, len(clip), every))


def _estimate(estimator: PoseEstimator, frame: RgbdFrame) -> Skeletons | None:
    """``None`` of a frame without the images that are needed."""
    estimator.reset()
    try:
        return estimator.estimate(frame)
    except EstimatorError:
        return None


def _of_real(
    clip: RealClip, real: RealFrame, found: Skeletons, keypoints: ReferenceKeypoints, modality: str
) -> Residuals:
    if real.ground_truth is not None:
        # Instants of one recording are sets of their own: other poses, and often other people.
        name = clip.name.partition("_")[0] if "/" in clip.name else clip.subset
        return residuals_in_3d(name, found, in_joint_set(real.ground_truth, found.joint_set))
    seen = None if modality in _ON_KEYPOINTS else keypoints.of(clip.name, real)
    if seen is None:
        return Residuals.together([])
    return residuals_in_2d(clip.subset, real.frame.camera, found, seen)


def _of_render(clip: Clip, estimator: PoseEstimator, count: int) -> Iterator[Residuals]:
    known = {skeletons.stamp_ns: skeletons for skeletons in clip.ground_truth()}
    step = max(1, len(clip) // count)
    for frame in islice(clip.frames(), 0, step * count, step):
        if frame.stamp_ns in known:
            yield from _of_ground_truth(frame, known[frame.stamp_ns], estimator)


def _of_ground_truth(frame: RgbdFrame, ground_truth: Skeletons, estimator: PoseEstimator) -> Iterator[Residuals]:
    found = _estimate(estimator, frame)
    if found is not None:
        yield residuals_in_3d(_RENDERS, found, in_joint_set(ground_truth, found.joint_set))


def write_config(path: Path, modality: str, calibration: Calibration) -> None:
    """Put a modality's calibration into a YAML file; the others stay."""
    known = read_calibrations(path) if path.is_file() else {}
    known[modality] = calibration
    content = {name: _rounded(each) for name, each in sorted(known.items())}
    write_atomic(path, _HEAD + yaml.safe_dump(content, sort_keys=False))


def _rounded(calibration: Calibration) -> dict[str, dict[str, float]]:
    entries = calibration.to_dict().items()
    return {status: {name: round(value, 4) for name, value in numbers.items()} for status, numbers in entries}


def write_card(path: Path, calibration: Calibration) -> None:
    """Put a calibration into the model card of a weights file, in the place of the one that is there.

    Raises:
        EvaluationError: no file is named.
        WeightsError: it cannot be read.
    """
    if not path.name:
        raise EvaluationError("--write-weights: name the modality's weights with --weights NAME=FILE")
    tensors, card = load_weights(path, read_model_card(path).network)
    save_weights(path, tensors, replace(card, metrics={**card.metrics, **calibration.metrics()}))


def _shown(calibration: Calibration) -> str:
    lines = (f"{status}: " + ", ".join(f"{name} {value:.3g}" for name, value in numbers.items())
             for status, numbers in calibration.to_dict().items())  # fmt: skip
    return "; ".join(lines)
