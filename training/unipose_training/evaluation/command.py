"""``unipose evaluate``: evaluate a modality on recordings or on a data set.

Every frame goes through the estimator and the tracker that the node uses, without ROS and
without a clock. Writes to the output folder: ``metrics.json``, ``report.html`` and
``comparison.mp4`` (predictions beside the ground truth, where there is any). Results of an earlier
evaluation are replaced; other files of these names are kept.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from unipose_ros.backends import BACKENDS, BackendError
from unipose_ros.cli.options import add_mounting_option, add_topic_options, chosen_topics, description, positive, refuse
from unipose_ros.config import PERSON_DETECTORS
from unipose_ros.detection import DetectionConfig
from unipose_ros.estimator import (
    MODALITIES,
    EstimatorConfig,
    EstimatorError,
    PoseEstimator,
    WeightsConfig,
    build_estimator,
)
from unipose_ros.files import OwnedFolder, describe_os_error, write_atomic
from unipose_ros.frame import Skeletons
from unipose_ros.joint_sets import ITOP15, JOINT_SETS, JointSetError, get_joint_set
from unipose_ros.networks.weights import WeightsError
from unipose_ros.recordings import RecordingError
from unipose_ros.resources import resource_path
from unipose_ros.visualization.video import find_ffmpeg
from unipose_training.datasets.base import Clip, IndexedClip, open_clips
from unipose_training.datasets.ground_truth import require_recorded
from unipose_training.datasets.itop import ItopFile
from unipose_training.datasets.joint_sets import in_joint_set
from unipose_training.datasets.predictions import COORDINATES, align_predictions, read_predictions
from unipose_training.datasets.real_sets import NAME as REAL_FRAMES
from unipose_training.datasets.real_sets import open_real_frames
from unipose_training.datasets.registry import DATA_SETS, open_data_set
from unipose_training.errors import DataError, EvaluationError
from unipose_training.evaluation.compare import (
    compared_network,
    comparison_json,
    comparison_page,
    comparison_text,
    figures_of,
)
from unipose_training.evaluation.metrics.cross_view import read_camera_poses
from unipose_training.evaluation.protocols.coco import RESULTS as COCO_RESULTS
from unipose_training.evaluation.protocols.coco import evaluate_coco
from unipose_training.evaluation.protocols.human36m import NAME as _HUMAN36M
from unipose_training.evaluation.protocols.human36m import evaluate_human36m
from unipose_training.evaluation.protocols.itop import ItopScore, protocol_report, score_itop
from unipose_training.evaluation.real_run import evaluate_real_frames, output_files, settings_of
from unipose_training.evaluation.replay import ReplayedFrame
from unipose_training.evaluation.report.images import draw, gallery_frames
from unipose_training.evaluation.report.page import report_page
from unipose_training.evaluation.results import Results, summary
from unipose_training.evaluation.run import evaluate_clips, replay_in_processes, score_frames
from unipose_training.evaluation.units import require_units

# Data sets and files of predictions in ``unipose evaluate``.


#: Images without depth or camera: evaluated in 2D.
_COCO = "coco"
_VIDEO = "comparison.mp4"


def add_data_set_options(parser: argparse.ArgumentParser) -> None:
    """What names a data set, and predictions for it."""
    group = parser.add_argument_group("data sets, instead of recordings")
    group.add_argument("--dataset", choices=sorted(DATA_SETS), help="a public data set, in its own file format")
    group.add_argument("--root", type=Path, metavar="DIR", help="folder of the data set")
    group.add_argument(
        "--subset", default="", help="a part of it, such as side/test of itop (docs/reference/datasets.md)"
    )
    group.add_argument("--predictions", type=Path, metavar="FILE", help="predictions to score instead (itop, coco)")
    group.add_argument(
        "--coordinates",
        choices=COORDINATES,
        default="",
        help="coordinates of the predictions (default: by file suffix)",
    )


def has_own_protocol(options: argparse.Namespace) -> bool:
    """Whether :func:`run_protocol` evaluates what the options name, without replaying clips."""
    return options.predictions is not None or options.dataset in (_COCO, _HUMAN36M)


def run_protocol(options: argparse.Namespace) -> str:
    """The data set's own tables for COCO's images, Human3.6M's poses or a file of predictions.

    Raises:
        EvaluationError: the options do not go together.
        DataError: a file cannot be read, or the files do not belong together.
        WeightsError: MoveNet or the lifter is evaluated, and its weights are absent.
    """
    if options.dataset is None or options.root is None or options.recordings:
        raise EvaluationError("--dataset and --root go together, and without recordings")
    if options.dataset == _HUMAN36M:
        return evaluate_human36m(options)
    return evaluate_coco(options) if options.dataset == _COCO else evaluate_predictions(options)


def data_set_clips(options: argparse.Namespace) -> Sequence[IndexedClip]:
    """The clips that ``--dataset`` and ``--root`` name; none without them.

    Raises:
        EvaluationError: one is given without the other, or together with recordings.
        DataError: the files cannot be read.
    """
    if options.dataset is None and options.root is None:
        if not options.recordings:
            raise EvaluationError("there is nothing to evaluate; name recordings, or --dataset and --root")
        return []
    if options.dataset is None or options.root is None or options.recordings:
        raise EvaluationError("--dataset and --root go together, and without recordings")
    return open_data_set(options.dataset, options.root, options.subset)


def evaluate_predictions(options: argparse.Namespace) -> str:
    """ITOP's tables for a file of predictions; also written to ``itop.md`` in the output folder.

    Raises:
        EvaluationError: the options name no ITOP.
        DataError: a file cannot be read, the two do not belong together, or the unit or axes cannot be right.
    """
    if options.dataset != "itop":
        raise EvaluationError("--predictions are scored for --dataset itop or coco with --root DIR")
    view, split = _view_and_split(options.subset)
    file = ItopFile.open(options.root, view, split, labels_alone=True)
    predictions = read_predictions(options.predictions, options.coordinates)
    require_units(predictions, file)
    score = score_itop(*align_predictions(predictions, file))
    return _write(options.output, score, view, split, options.predictions.name)


def evaluate_itop_frames(options: argparse.Namespace, frames: Sequence[ReplayedFrame], name: str) -> str:
    """ITOP's tables for a run, from the frames with valid labels; also written to ``itop.md``."""
    pairs = [(_single(f.predicted), _single(f.ground_truth)) for f in frames if f.ground_truth is not None]
    if not pairs:
        raise EvaluationError("no frame with valid labels was evaluated; raise --limit")
    predicted, ground_truth = (np.stack(side) for side in zip(*pairs, strict=True))
    return _write(options.output, score_itop(predicted, ground_truth), *_view_and_split(options.subset), name)


def _single(people: Skeletons) -> NDArray[np.float64]:
    """(15, 3) of the surest person, NaN for none: ITOP shows one person a frame."""
    if not len(people):
        return np.full((len(ITOP15), 3), np.nan)
    positions = in_joint_set(people, ITOP15).positions[int(np.argmax(people.scores))]
    return np.asarray(positions, np.float64)


def _view_and_split(subset: str) -> tuple[str, str]:
    view, _, split = (subset or "side/test").partition("/")
    return view, split


def _write(folder: Path, score: ItopScore, view: str, split: str, name: str) -> str:
    text = protocol_report(score, view, split, name)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "itop.md", text)
    return text


_REFUSALS = (
    BackendError,
    DataError,
    EstimatorError,
    EvaluationError,
    JointSetError,
    OSError,
    RecordingError,
    WeightsError,
)


def main(argv: Sequence[str], estimator: PoseEstimator | None = None) -> int:
    """Run the evaluation; 1 with one line on stderr when something given cannot be used.

    Args:
        estimator: to evaluate instead of the one that the arguments name.
    """
    options = _parser().parse_args(argv)
    command = shlex.join(["unipose", "evaluate", *argv])
    try:
        if has_own_protocol(options):
            with _output(options, _tables(options)):
                print(run_protocol(options))
            return 0
        if options.dataset == REAL_FRAMES:
            with _logged_once("unipose_training"):
                _evaluate_real(options, command)
            return 0
        with _logged_once("unipose_ros.recordings"):
            if options.compare:
                _compare(options)
            else:
                _evaluate(options, estimator, command)
    except _REFUSALS as error:
        return refuse("unipose evaluate", error)
    return 0


@contextmanager
def _logged_once(package: str) -> Iterator[None]:
    """Recordings are read several times; what their readers warn of is logged the first time only."""
    reported: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        new = text not in reported
        reported.add(text)
        return new

    handler = logging.StreamHandler()
    handler.addFilter(is_new)
    logger = logging.getLogger(package)
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "unipose evaluate", description=description(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "recordings",
        nargs="*",
        type=Path,
        metavar="BAG",
        help="rosbag2 recordings, shards, or folders of them",
    )
    add(
        "--modality",
        action="append",
        default=[],
        metavar="MODALITY",
        help=f"modality: {', '.join(sorted(MODALITIES))} (default: {EstimatorConfig.modality}); for real-frames "
        "several with commas between, also MODALITY/DETECTOR, MODALITY/no-depth and all",
    )
    add("--output", type=Path, default=Path("evaluation"), help="folder for the results (default: %(default)s)")
    add(
        "--fixed-frame", default="", metavar="NAME", help="follow people in a frame that stands still while the camera "
        "moves: odom or map of the recording's /tf; any name for rendered clips, which know their camera's poses",
    )  # fmt: skip
    add("--no-tracking", action="store_true", help="estimate each frame on its own: no ids, no smoothing")
    add("--limit", type=positive, metavar="N", help="at most the first N frames of each recording")
    add("--joint-set", choices=sorted(JOINT_SETS), help="joint set of the metrics (default: that of the predictions)")
    add(
        "--camera-poses",
        type=Path,
        metavar="YAML",
        help="poses of cameras on the same scene: 'name: [4x4 by rows]'",
    )
    add("--no-video", action="store_true", help="do not write comparison.mp4")
    add(
        "--compare",
        nargs=2,
        metavar=("OLD", "NEW"),
        help="two weights files of the modality's network on the same frames, side by side: compare.json and "
        "compare.html; 'shipped' is the file of this version",
    )
    add(
        "--workers",
        type=positive,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="most processes; each replays whole recordings (default: one for each core)",
    )
    add("--device", default="auto", help="where networks run: auto, cpu, cuda or cuda:N (default: %(default)s)")
    add("--backend", choices=("auto", *BACKENDS), default="auto", help="inference runtime (default: %(default)s)")
    add("--detector", choices=PERSON_DETECTORS, default="auto", help="person detector (default: %(default)s)")
    add(
        "--weights",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="weights to use instead of the shipped ones; NAME: points, rgbd, depth, rgb, person_detector or lifter",
    )
    add_topic_options(parser)
    add_mounting_option(parser)
    add_data_set_options(parser)
    return parser


def _evaluate_real(options: argparse.Namespace, command: str) -> None:
    if options.root is None or options.recordings:
        raise EvaluationError("--dataset and --root go together, and without recordings")
    joint_set = get_joint_set(options.joint_set) if options.joint_set else None
    settings = settings_of(_modalities(options), estimator_config(options, EstimatorConfig.modality))
    clips = open_real_frames(options.root, options.subset)
    with _output(options, output_files(settings)):
        print(evaluate_real_frames(options, clips, settings, joint_set, command))
    print(f"table, reports, metrics and overlays are in {options.output}")


def _evaluate(options: argparse.Namespace, estimator: PoseEstimator | None, command: str) -> None:
    if not options.no_video:
        find_ffmpeg()  # better missed now than after all frames
    config = estimator_config(options)
    clips = [*data_set_clips(options), *_recorded_clips(options)]
    poses = read_camera_poses(options.camera_poses) if options.camera_poses else None
    joint_set = get_joint_set(options.joint_set) if options.joint_set else None
    names = ["metrics.json", "report.html", *_tables(options), *([] if options.no_video else [_VIDEO])]
    total = sum(min(len(clip), options.limit or len(clip)) for clip in clips)
    with _output(options, names) as owned:
        with tqdm(total=total, desc="judging", unit="frame") as bar:
            tracking, limit = not options.no_tracking, options.limit
            if estimator is None and min(options.workers, len(clips)) > 1:
                frames = replay_in_processes(clips, config, tracking, joint_set, limit, options.workers, bar.update)
                results = score_frames(clips, frames, config.modality, tracking, poses)
            else:
                with closing(estimator or build_estimator(config)) as used:
                    results, frames = evaluate_clips(clips, used, tracking, joint_set, limit, poses, advance=bar.update)
        write_atomic(options.output / "metrics.json", results.to_json())
        owned.remove_earlier(_VIDEO)  # one of an earlier evaluation would not fit these figures
        _write_report(options.output, clips, results, frames, not options.no_video, command)
        print(summary(results))
        if options.dataset == "itop":
            print(evaluate_itop_frames(options, frames, results.modality))
    print(f"report, metrics and video are in {options.output}")


def _compare(options: argparse.Namespace) -> None:
    """Both weights on the same clips; nothing else of an evaluation is written."""
    config = estimator_config(options)
    name = compared_network(config.modality, options.compare)
    files = tuple(_compared_file(text, name) for text in options.compare)
    clips = [*data_set_clips(options), *_recorded_clips(options)]
    joint_set = get_joint_set(options.joint_set) if options.joint_set else None
    total = 2 * sum(min(len(clip), options.limit or len(clip)) for clip in clips)
    found = []
    with _output(options, ["compare.json", "compare.html"]), tqdm(total=total, desc="judging", unit="frame") as bar:
        for file in files:
            chosen = replace(config, weights=replace(config.weights, **{name: file}))
            with closing(build_estimator(chosen)) as estimator:
                tracking, limit = not options.no_tracking, options.limit
                found.append(evaluate_clips(clips, estimator, tracking, joint_set, limit, advance=bar.update))
        (old, old_frames), (new, new_frames) = found
        figures = figures_of(old), figures_of(new)
        write_atomic(options.output / "compare.json", comparison_json(*figures, (files[0], files[1]), config.modality))
        title = f"{config.modality} on {', '.join(clip.name for clip in clips[:4])}"
        page = comparison_page(clips, (old_frames, new_frames), figures, (files[0], files[1]), title)
        write_atomic(options.output / "compare.html", page)
    print(comparison_text(*figures, ("old", "new")))
    print(f"compare.html and compare.json are in {options.output}")


def _compared_file(text: str, name: str) -> str:
    return str(resource_path("weights", f"{name}.safetensors")) if text == "shipped" else text


def _tables(options: argparse.Namespace) -> list[str]:
    """Names of the files with a data set's own tables."""
    if options.dataset == _COCO:
        return ["coco.md", *([COCO_RESULTS] if options.predictions is None else [])]
    return [f"{options.dataset}.md"] if options.dataset in ("itop", _HUMAN36M) else []


@contextmanager
def _output(options: argparse.Namespace, names: Sequence[str]) -> Iterator[OwnedFolder]:
    """The output folder, for this evaluation alone."""
    owned = OwnedFolder(options.output, "unipose evaluate")
    with ExitStack() as stack:
        try:
            stack.enter_context(owned.claimed(names))
        except OSError as error:
            reason = describe_os_error(error)
            raise EvaluationError(
                f"--output {options.output}: cannot be made ({reason}); name another folder"
            ) from error
        yield owned


def _modalities(options: argparse.Namespace) -> list[str]:
    named = [name for text in options.modality for name in text.split(",")]
    return named or [EstimatorConfig.modality]


def estimator_config(options: argparse.Namespace, modality: str = "") -> EstimatorConfig:
    """What the options say about the estimator.

    Args:
        modality: instead of the one that they name.

    Raises:
        EstimatorError: a value cannot be used, or they name several modalities.
    """
    named = [modality] if modality else _modalities(options)
    if len(named) > 1:
        raise EstimatorError(f"--modality {','.join(named)}: several are evaluated with --dataset {REAL_FRAMES} only")
    files = dict(text.partition("=")[::2] for text in options.weights)
    known = [field.name for field in fields(WeightsConfig)]
    for name, file in files.items():
        if name not in known or not file:
            raise EstimatorError(f"--weights {name}={file}: give NAME=FILE with NAME one of {', '.join(known)}")
    return EstimatorConfig(
        modality=named[0],
        backend=options.backend,
        device=options.device,
        weights=WeightsConfig(**files),
        detection=DetectionConfig(detector=options.detector),
    )


def _recorded_clips(options: argparse.Namespace) -> list[Clip]:
    topics = chosen_topics(options)
    about = {"fixed_frame": options.fixed_frame, "mounting": options.mounting}
    clips: list[Clip] = []
    for path in options.recordings:
        found = open_clips(path, topics, **about)
        require_recorded(found, str(path))
        clips += found
    return clips


def _write_report(
    folder: Path, clips: Sequence[Clip], results: Results, frames: list[ReplayedFrame], film: bool, command: str
) -> None:
    video = folder / _VIDEO
    with tqdm(total=len(frames), desc="drawing", unit="frame") as bar:
        rate = next((c.rate_hz for c in results.clips if c.rate_hz > 0), 1.0)
        chosen = gallery_frames(results, frames)
        images = draw(clips, frames, chosen, video if film else None, min(rate, 30.0), bar.update)
    write_atomic(folder / "report.html", report_page(results, images, command))
