"""Data sets and files of predictions in ``unipose evaluate``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import Skeletons
from unipose_ros.skeletons import ITOP15
from unipose_training.data.itop import ItopFile
from unipose_training.data.labels import IndexedClip
from unipose_training.data.open_data_set import DATA_SETS, open_data_set
from unipose_training.data.predictions import COORDINATES, align_predictions, read_predictions
from unipose_training.evaluation.coco_run import judge_coco
from unipose_training.evaluation.errors import EvaluationError
from unipose_training.evaluation.human36m_run import NAME as _HUMAN36M
from unipose_training.evaluation.human36m_run import judge_human36m
from unipose_training.evaluation.itop_protocol import ItopScore, protocol_report, score_itop
from unipose_training.evaluation.joint_sets import in_joint_set
from unipose_training.evaluation.replay import ReplayedFrame

#: Pictures without depth or camera: judged in 2D.
_COCO = "coco"


def add_data_set_options(parser: argparse.ArgumentParser) -> None:
    """What names a data set, and predictions for it."""
    group = parser.add_argument_group("data sets, instead of recordings")
    group.add_argument("--dataset", choices=sorted([*DATA_SETS, _COCO, _HUMAN36M]), help="in its publishers' own files")
    group.add_argument("--root", type=Path, metavar="DIR", help="folder of the data set")
    group.add_argument("--subset", default="", help="part of it, such as side/test of itop (docs/datasets.md)")
    group.add_argument("--predictions", type=Path, metavar="FILE", help="score these instead, for itop or coco")
    group.add_argument("--coordinates", choices=COORDINATES, default="", help="of the predictions; default by suffix")


def has_own_judge(options: argparse.Namespace) -> bool:
    """Whether :func:`judge_alone` judges what the options name, without replaying clips."""
    return options.predictions is not None or options.dataset in (_COCO, _HUMAN36M)


def judge_alone(options: argparse.Namespace) -> str:
    """The data set's own tables for COCO's pictures, Human3.6M's poses or a file of predictions.

    Raises:
        EvaluationError: the options do not go together.
        DataError: a file cannot be read, or the files do not belong together.
        WeightsError: MoveNet or the lifter is judged, and its weights are absent.
    """
    if options.dataset is None or options.root is None or options.recordings:
        raise EvaluationError("--dataset and --root go together, and without recordings")
    if options.dataset == _HUMAN36M:
        return judge_human36m(options)
    return judge_coco(options) if options.dataset == _COCO else judge_predictions(options)


def data_set_clips(options: argparse.Namespace) -> Sequence[IndexedClip]:
    """The clips that ``--dataset`` and ``--root`` name; none without them.

    Raises:
        EvaluationError: one is given without the other, or together with recordings.
        DataError: the files cannot be read.
    """
    if options.dataset is None and options.root is None:
        if not options.recordings:
            raise EvaluationError("there is nothing to judge; name recordings, or --dataset and --root")
        return []
    if options.dataset is None or options.root is None or options.recordings:
        raise EvaluationError("--dataset and --root go together, and without recordings")
    return open_data_set(options.dataset, options.root, options.subset)


def judge_predictions(options: argparse.Namespace) -> str:
    """ITOP's tables for a file of predictions; also written to ``itop.md`` in the output folder.

    Raises:
        EvaluationError: the options name no ITOP.
        DataError: a file cannot be read, or the two do not belong together.
    """
    if options.dataset != "itop":
        raise EvaluationError("--predictions are scored for --dataset itop or coco with --root DIR")
    view, split = _view_and_split(options.subset)
    file = ItopFile.open(options.root, view, split)
    score = score_itop(*align_predictions(read_predictions(options.predictions, options.coordinates), file))
    return _write(options.output, score, view, split, options.predictions.name)


def judge_itop_frames(options: argparse.Namespace, frames: Sequence[ReplayedFrame], name: str) -> str:
    """ITOP's tables for a run, from the frames with valid labels; also written to ``itop.md``."""
    pairs = [(_single(f.predicted), _single(f.truth)) for f in frames if f.truth is not None]
    if not pairs:
        raise EvaluationError("no frame with valid labels was judged; raise --limit")
    predicted, truth = (np.stack(side) for side in zip(*pairs, strict=True))
    return _write(options.output, score_itop(predicted, truth), *_view_and_split(options.subset), name)


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
    (folder / "itop.md").write_text(text, encoding="utf-8")
    return text
