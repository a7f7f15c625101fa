"""``unipose crops``: build a training set: crops of the people in recordings, shards or a data set.

An interrupted command resumes when it is repeated, and new clips are added. Clips that cannot be read, or have no
labels, are reported and skipped.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from unipose_ros.backends import BackendError
from unipose_ros.cli.options import add_topic_options, description, positive, refuse
from unipose_ros.networks.weights import WeightsError
from unipose_ros.recordings import RecordingError
from unipose_training.datasets.base import Clip
from unipose_training.datasets.keypoint_files import LabelerId
from unipose_training.datasets.registry import add_clip_options, chosen_clips
from unipose_training.engine.config import TrainingError, load_config
from unipose_training.errors import DataError
from unipose_training.jobs import ENGINES
from unipose_training.labeling.labeler import MoveNetLabeler
from unipose_training.samples.build import LabelFiles, LabelSource, LiveLabels, build_store
from unipose_training.samples.rows import SampleSettings
from unipose_training.samples.store import SampleStore

_REFUSALS = (BackendError, DataError, OSError, RecordingError, TrainingError, WeightsError)
_TEACHERS = {"movenet": MoveNetLabeler}


def main(argv: Sequence[str]) -> int:
    """Entry point of ``unipose crops``.

    Returns:
        0; 1 when a clip could not be used, or nothing could be done.
    """
    options = _parser().parse_args(argv)
    damaged: dict[str, str] = {}
    try:
        store = _build(options, damaged)
    except _REFUSALS as error:
        return refuse("unipose crops", error)
    print(_report(store, damaged))
    return 1 if damaged else 0


def _build(options: argparse.Namespace, damaged: dict[str, str]) -> SampleStore:
    settings = load_config(SampleSettings, None, options.set)

    def report(name: str, why: str) -> None:
        damaged[name] = why

    clips = chosen_clips(options, report)
    labels, teacher = _labels(options, clips)
    return build_store(
        clips,
        labels,
        options.output,
        settings,
        options.workers,
        teacher=teacher,
        damaged=report,
        engine=ENGINES[options.engine],
    )


def _labels(options: argparse.Namespace, clips: Sequence[Clip]) -> tuple[LabelSource | None, LabelerId | None]:
    """Who says where people are, and the name that the store keeps of it."""
    if options.labels is not None:
        files = LabelFiles.of_clips(options.labels, clips)
        return files, files.teacher
    if options.keypoint_detector is not None:
        plan = _TEACHERS[options.keypoint_detector]()
        return LiveLabels(plan), plan.identity()
    return None, None


def _report(store: SampleStore, damaged: dict[str, str]) -> str:
    clips = store.clips
    losses = sum((Counter(clip.losses) for clip in clips), Counter[str]())
    lines = [
        f"{len(store)} people in {sum(clip.frames for clip in clips)} frames of {len(clips)} clips; "
        f"{sum(clip.dropped for clip in clips)} people were left out, {len(damaged)} clips are damaged"
    ]
    lines += [f"lost: {count} {why}" for why, count in sorted(losses.items())]
    lines += [f"damaged: {name}: {why}" for name, why in sorted(damaged.items())]
    return "\n".join([*lines, f"samples are in {store.folder}"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "unipose crops", description=description(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add_clip_options(parser)
    people = parser.add_mutually_exclusive_group(required=True)
    people.add_argument(
        "--labels", type=Path, metavar="DIR", help="pseudo-labels: output folder of unipose pseudo-label"
    )
    people.add_argument(
        "--keypoint-detector", choices=sorted(_TEACHERS), help="run this 2D network on the color images now"
    )
    people.add_argument(
        "--boxes", choices=["ground-truth"], help="boxes around the 3D ground truth; for supervised recipes only"
    )
    add("--output", type=Path, required=True, metavar="DIR", help="folder for the samples")
    add("--workers", type=positive, default=1, metavar="N", help="number of workers (default: %(default)s)")
    add("--engine", choices=sorted(ENGINES), default="processes", help="what runs the workers (default: %(default)s)")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting, e.g. with_color=false, points.points=4096",
    )
    add_topic_options(parser)
    return parser
