"""Clips of any data set by its name, for commands."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from unipose_ros.cli.options import add_mounting_option, chosen_topics
from unipose_training.datasets.base import Clip, IndexedClip, open_clips
from unipose_training.datasets.itop import open_itop
from unipose_training.datasets.mpi_inf_3dhp import open_test
from unipose_training.datasets.ntu import open_ntu
from unipose_training.datasets.panoptic import open_panoptic
from unipose_training.datasets.real_sets import open_real_frames
from unipose_training.datasets.threedpw import open_3dpw
from unipose_training.errors import DataError, reading


def open_data_set(name: str, root: Path, subset: str = "") -> Sequence[IndexedClip]:
    """Clips of a data set's files.

    Args:
        name: one of :data:`DATA_SETS`.
        subset: which part, in the data set's own words: ``side/test`` (itop), ``test``, a sequence or
            ``SEQ/50_01`` (panoptic), ``xsub_test`` (ntu), ``test`` (3dpw); "" takes the part that
            results are published for, or all.

    Raises:
        DataError: the name is unknown, or the files are missing, damaged or of another version.
    """
    if name not in DATA_SETS:
        raise DataError(f"data set '{name}' is unknown; clips can be had of {', '.join(sorted(DATA_SETS))}")
    with reading(root, f"check that it is a complete copy of {name}"):
        return DATA_SETS[name](root, subset)


def clips_for(name: str, root: Path, split: str) -> Sequence[IndexedClip]:
    """Clips of ``train``, ``validation`` or ``test``, as results are published for the data set.

    Raises:
        DataError: as :func:`open_data_set`; or no one trains on, validates on or tests on it.
    """
    if name in DATA_SETS and split not in _SPLITS[name]:
        raise DataError(f"{name} has no split '{split}', but {', '.join(_SPLITS[name])}; a part can be named by subset")
    return open_data_set(name, root, _SPLITS[name][split] if name in DATA_SETS else "")


def _itop(root: Path, subset: str) -> Sequence[IndexedClip]:
    view, _, split = (subset or "side/test").partition("/")
    return open_itop(root, view, split)


def _panoptic(root: Path, subset: str) -> Sequence[IndexedClip]:
    sequence, _, node = subset.partition("/50_")
    if node and not node.isdigit():
        raise DataError(f"subset = '{subset}': name a sequence, or a sequence and Kinect as SEQ/50_01")
    return open_panoptic(root, sequence, int(node or 0), color=None)


def _ntu(root: Path, subset: str) -> Sequence[IndexedClip]:
    return open_ntu(root, subset or "all", masked=(root / "nturgb+d_depth_masked").is_dir(), color=None)


def _3dhp(root: Path, subset: str) -> Sequence[IndexedClip]:
    if subset not in ("", "test"):
        raise DataError(f"subset = '{subset}': of MPI-INF-3DHP only 'test' has images")
    return open_test(root)


def _3dpw(root: Path, subset: str) -> Sequence[IndexedClip]:
    return open_3dpw(root, subset or "test")


DATA_SETS: dict[str, Callable[[Path, str], Sequence[IndexedClip]]] = {
    "itop": _itop,
    "panoptic": _panoptic,
    "ntu": _ntu,
    "mpi-inf-3dhp": _3dhp,
    "3dpw": _3dpw,
    "real-frames": open_real_frames,
}

#: What the usual words mean: split -> subset. ITOP's ``side/val`` is a part of its training split.
_SPLITS: dict[str, dict[str, str]] = {
    "itop": {"train": "side/train", "test": "side/test"},
    "panoptic": {"train": "train", "test": "test"},
    "ntu": {"train": "xsub_train", "test": "xsub_test"},
    "mpi-inf-3dhp": {"test": "test"},
    "3dpw": {"train": "train", "validation": "validation", "test": "test"},
    "real-frames": {"test": ""},
}


# Options of commands that read clips: recordings, shards, or a data set in its publishers' own files.


def add_clip_options(parser: argparse.ArgumentParser) -> None:
    """Paths, or ``--dataset`` with ``--root`` and ``--subset``, ``--mounting``; topics by ``add_topic_options``."""
    add = parser.add_argument
    add("paths", nargs="*", type=Path, metavar="PATH", help="rosbag2 recordings, shards, or folders of them")
    add("--dataset", choices=sorted(DATA_SETS), help="instead of PATH: a data set in its publishers' own files")
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
