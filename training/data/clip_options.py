"""Options of commands that read clips: recordings, shards, or a data set in its publishers' own files."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from unipose_ros.cli.options import chosen_topics
from unipose_training.data.clips import Clip, open_clips
from unipose_training.data.errors import DataError
from unipose_training.data.open_data_set import DATA_SETS, open_data_set


def add_clip_options(parser: argparse.ArgumentParser) -> None:
    """Paths, or ``--dataset`` with ``--root`` and ``--subset``; topics are added by ``add_topic_options``."""
    add = parser.add_argument
    add("paths", nargs="*", type=Path, metavar="PATH", help="rosbag2 recordings, shards, or folders of them")
    add("--dataset", choices=sorted(DATA_SETS), help="instead of PATH: a data set in its publishers' own files")
    add("--root", type=Path, metavar="DIR", help="folder of the data set")
    add("--subset", default="", help="part of it, such as side/train of itop (docs/datasets.md)")


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
    return [clip for path in options.paths for clip in open_clips(path, topics, report)]
