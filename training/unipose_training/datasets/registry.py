"""Clips of any data set by its name, for commands."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from unipose_ros.cli.options import add_mounting_option, chosen_topics
from unipose_training.datasets import coco, human36m, itop, mpi_inf_3dhp, ntu, panoptic, real_sets, threedpw
from unipose_training.datasets.base import Clip, IndexedClip, open_clips
from unipose_training.datasets.data_set import DataSet
from unipose_training.datasets.ground_truth import require_people
from unipose_training.errors import DataError, reading


def open_data_set(name: str, root: Path, subset: str = "") -> Sequence[IndexedClip]:
    """Clips of a data set's files.

    Args:
        name: one of :data:`WITH_CLIPS`.
        subset: which part, in the data set's own words: ``side/test`` (itop), ``test``, a sequence or
            ``SEQ/50_01`` (panoptic), ``xsub_test`` (ntu), ``test`` (3dpw); "" takes the part that
            results are published for, or all.

    Raises:
        DataError: the name is unknown, the files are missing, damaged or of another version, or the ground truth
            is in a unit that people are not.
    """
    opened = DATA_SETS[name].open if name in DATA_SETS else None
    if opened is None:
        raise DataError(f"data set '{name}' is unknown; clips can be had of {', '.join(WITH_CLIPS)}")
    with reading(root, f"check that it is a complete copy of {name}"):
        clips = opened(root, subset)
    require_people(clips, str(root), upright=(name, subset.partition("/")[0]) != ("itop", "top"))
    return clips


def clips_for(name: str, root: Path, split: str) -> Sequence[IndexedClip]:
    """Clips of ``train``, ``validation`` or ``test``, as results are published for the data set.

    Raises:
        DataError: as :func:`open_data_set`; or no one trains on, validates on or tests on it.
    """
    splits = DATA_SETS[name].splits if name in WITH_CLIPS else {split: ""}
    if split not in splits:
        raise DataError(f"{name} has no split '{split}', but {', '.join(splits)}; a part can be named by subset")
    return open_data_set(name, root, splits[split])


DATA_SETS: dict[str, DataSet] = {
    module.DATA_SET.name: module.DATA_SET
    for module in (itop, panoptic, ntu, coco, human36m, mpi_inf_3dhp, threedpw, real_sets)
}
#: Those that have frames.
WITH_CLIPS = sorted(name for name, each in DATA_SETS.items() if each.open)


# Options of commands that read clips: recordings, shards, or a data set in its publishers' own files.


def add_clip_options(parser: argparse.ArgumentParser) -> None:
    """Paths, or ``--dataset`` with ``--root`` and ``--subset``, ``--mounting``; topics by ``add_topic_options``."""
    add = parser.add_argument
    add("paths", nargs="*", type=Path, metavar="PATH", help="rosbag2 recordings, shards, or folders of them")
    add("--dataset", choices=WITH_CLIPS, help="instead of PATH: a data set in its publishers' own files")
    add("--root", type=Path, metavar="DIR", help="folder of the data set")
    add("--subset", default="", help="part of it, such as side/train of itop (docs/reference/datasets.md)")
    add_mounting_option(parser)


def chosen_clips(options: argparse.Namespace, damaged: Callable[[str, str], None]) -> list[Clip]:
    """The clips that the options name.

    Args:
        damaged: told place and reason of each recording in a folder that cannot be opened; it is left out.

    Raises:
        DataError: neither or both of recordings and a data set are named, or its files cannot be read.
        RecordingError: a recording that is named itself cannot be read.
    """
    if (options.dataset is None) != (options.root is None) or bool(options.paths) == bool(options.dataset):
        raise DataError("name recordings, or a data set with --dataset and --root")
    if options.dataset:
        return list(open_data_set(options.dataset, options.root, options.subset))

    def report(place: Path, error: Exception) -> None:
        damaged(str(place), str(error))

    topics = chosen_topics(options)
    return [clip for path in options.paths for clip in open_clips(path, topics, report, mounting=options.mounting)]
