"""``unipose evaluate``: judge a modality on recordings or on a data set.

Every frame goes through the estimator and the tracker that the node uses, without ROS and
without a clock. Leaves in the output folder: ``metrics.json``, ``report.html`` and
``comparison.mp4``, predictions beside the truth where the recording has it.
"""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path

from tqdm import tqdm

from unipose_ros.backends import BACKENDS, BackendError
from unipose_ros.cli.options import add_topic_options, chosen_topics, positive
from unipose_ros.estimator import (
    MODALITIES,
    EstimatorConfig,
    EstimatorError,
    PoseEstimator,
    WeightsConfig,
    build_estimator,
)
from unipose_ros.networks.weights import WeightsError
from unipose_ros.people import PeopleConfig
from unipose_ros.people.selection import FINDERS
from unipose_ros.recordings import RecordingError
from unipose_ros.skeletons import JOINT_SETS, JointSetError, get_joint_set
from unipose_training.data.clips import Clip, open_clips
from unipose_training.data.errors import DataError
from unipose_training.evaluation.data_sets import (
    add_data_set_options,
    data_set_clips,
    has_own_judge,
    judge_alone,
    judge_itop_frames,
)
from unipose_training.evaluation.errors import EvaluationError
from unipose_training.evaluation.replay import ReplayedFrame
from unipose_training.evaluation.report.page import report_page
from unipose_training.evaluation.report.pictures import draw
from unipose_training.evaluation.report.samples import gallery_frames
from unipose_training.evaluation.results import Results
from unipose_training.evaluation.run import evaluate_clips
from unipose_training.evaluation.views import read_camera_poses

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
        estimator: to judge instead of the one that the arguments name.
    """
    options = _parser().parse_args(argv)
    command = shlex.join(["unipose", "evaluate", *argv])
    try:
        if has_own_judge(options):
            print(judge_alone(options))
            return 0
        with _logged_once("unipose_ros.recordings"):
            _evaluate(options, estimator, command)
    except _REFUSALS as error:
        print(f"unipose evaluate: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _logged_once(package: str) -> Iterator[None]:
    """Recordings are read several times; what their readers warn of is said the first time only."""
    said: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        new = text not in said
        said.add(text)
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
        "unipose evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "recordings",
        nargs="*",
        type=Path,
        metavar="BAG",
        help="rosbag2 recordings, shards, or folders of them",
    )
    default = EstimatorConfig.modality
    add("--modality", choices=sorted(MODALITIES), default=default, help="what to judge (default: %(default)s)")
    add("--output", type=Path, default=Path("evaluation"), help="folder for the results (default: %(default)s)")
    add("--no-tracking", action="store_true", help="judge each frame for itself: no ids, no smoothing")
    add("--limit", type=positive, metavar="N", help="at most the first N frames of each recording")
    add("--joint-set", choices=sorted(JOINT_SETS), help="to judge in (default: that of the predictions)")
    add(
        "--camera-poses",
        type=Path,
        metavar="YAML",
        help="poses of cameras that saw the same scene: 'name: [4x4 by rows]'",
    )
    add("--no-video", action="store_true", help="do not write comparison.mp4")
    add("--device", default="auto", help="where networks run: auto, cpu, cuda or cuda:N (default: %(default)s)")
    add("--backend", choices=("auto", *BACKENDS), default="auto", help="what runs networks (default: %(default)s)")
    add("--finder", choices=FINDERS, default="auto", help="who says where people are (default: %(default)s)")
    add(
        "--weights",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="weights to use instead of the shipped ones; NAME: points, depth, rgb, finder or lifter",
    )
    add_topic_options(parser)
    add_data_set_options(parser)
    return parser


def _evaluate(options: argparse.Namespace, estimator: PoseEstimator | None, command: str) -> None:
    clips = [*data_set_clips(options), *_recorded_clips(options)]
    poses = read_camera_poses(options.camera_poses) if options.camera_poses else None
    joint_set = get_joint_set(options.joint_set) if options.joint_set else None
    _make_folder(options.output)
    total = sum(min(len(clip), options.limit or len(clip)) for clip in clips)
    config = estimator_config(options)
    with (
        closing(estimator or build_estimator(config)) as judged,
        tqdm(total=total, desc="judging", unit="frame") as bar,
    ):
        results, frames = evaluate_clips(
            clips, judged, not options.no_tracking, joint_set, options.limit, poses, advance=bar.update
        )
    (options.output / "metrics.json").write_text(results.to_json())
    _write_report(options.output, clips, results, frames, not options.no_video, command)
    print(_summary(results))
    if options.dataset == "itop":
        print(judge_itop_frames(options, frames, results.modality))
    print(f"report, metrics and video are in {options.output}")


def estimator_config(options: argparse.Namespace) -> EstimatorConfig:
    """What the options say about the estimator.

    Raises:
        EstimatorError: a value cannot be used.
    """
    files = dict(text.partition("=")[::2] for text in options.weights)
    known = [field.name for field in fields(WeightsConfig)]
    for name, file in files.items():
        if name not in known or not file:
            raise EstimatorError(f"--weights {name}={file}: give NAME=FILE with NAME one of {', '.join(known)}")
    return EstimatorConfig(
        modality=options.modality,
        backend=options.backend,
        device=options.device,
        weights=WeightsConfig(**files),
        people=PeopleConfig(finder=options.finder),
    )


def _recorded_clips(options: argparse.Namespace) -> list[Clip]:
    topics = chosen_topics(options)
    return [clip for path in options.recordings for clip in open_clips(path, topics)]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EvaluationError(f"--output {folder}: cannot be made ({error.strerror}); name another folder") from error


def _write_report(
    folder: Path, clips: Sequence[Clip], results: Results, frames: list[ReplayedFrame], film: bool, command: str
) -> None:
    video = folder / "comparison.mp4"
    video.unlink(missing_ok=True)  # one of an earlier evaluation would not fit these figures
    with tqdm(total=len(frames), desc="drawing", unit="frame") as bar:
        rate = next((c.rate_hz for c in results.clips if c.rate_hz > 0), 1.0)
        chosen = gallery_frames(results, frames)
        pictures = draw(clips, frames, chosen, video if film else None, min(rate, 30.0), bar.update)
    (folder / "report.html").write_text(report_page(results, pictures, command), encoding="utf-8")


def _summary(results: Results) -> str:
    if results.accuracy is None:
        return f"{results.frames} frames without truth, {results.label_free.people} people"
    if not results.accuracy.overall.joints:
        return f"{results.frames} frames in which nobody is to be seen, {results.accuracy.people.extra} people invented"
    overall, people = results.accuracy.overall, results.accuracy.people
    return (
        f"{results.frames} frames: MPJPE {overall.mpjpe_mm:.1f} mm (median {overall.median_mm:.1f}), "
        f"root-aligned {overall.root_aligned_mm:.1f} mm, PA {overall.procrustes_mm:.1f} mm, "
        f"within 10 cm {100 * overall.pck_10cm:.1f} %, people found {100 * people.recall:.1f} %"
    )
