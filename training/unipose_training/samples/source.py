"""Where a recipe's samples are: in a store, or still in a data set's own files."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from unipose_training.datasets.errors import DataError
from unipose_training.datasets.registry import clips_for, open_data_set
from unipose_training.samples.build import LabelFiles, build_store
from unipose_training.samples.rows import SampleSettings
from unipose_training.samples.store import GROUND_TRUTH, SampleStore

_log = logging.getLogger(__name__)


#: Name of the data that are rendered on the fly; see :mod:`unipose_training.synthetic.stream`.
STREAM = "stream"


@dataclass(frozen=True, kw_only=True)
class SampleSource:
    """Where the samples are; recipes' configurations begin with these fields.

    Attributes:
        samples: folder of a sample store (``unipose crops``); nothing where a data set is named.
        data: a data set, of which a store is built first, in the run's folder.
        root: folder of the data set's own files.
        subset: part of it, in its own words; "" for what is meant to be trained on.
        keypoint_labels: 2D pseudo-labels (``unipose pseudo-label``); empty: the 3D ground truth is used.

    Raises:
        ValueError: neither or both of samples and data are named, or data without root.
    """

    #: Whether the recipe can learn from people who are rendered on the fly.
    streams: ClassVar[bool] = False

    samples: Path | None = None
    data: str = ""
    root: Path | None = None
    subset: str = ""
    keypoint_labels: Path | None = None

    def __post_init__(self) -> None:
        if self.data == STREAM and self.streams:
            if self.samples or self.root or self.subset or self.keypoint_labels:
                raise ValueError(
                    f"data = {STREAM}: people are rendered; leave out samples, root, subset, keypoint_labels"
                )
            return
        if (self.samples is None) == (not self.data):
            raise ValueError("samples, data: name one of them: samples=STORE, or data=NAME root=DIR")
        if bool(self.data) != (self.root is not None):
            raise ValueError("data, root: a data set needs both, as in data=itop root=DIR")
        if self.keypoint_labels is not None and not self.data:
            raise ValueError(
                f"keypoint_labels = {self.keypoint_labels}: a store has its own labels; it belongs to data=NAME"
            )


def open_samples(source: SampleSource, output: Path, settings: SampleSettings, workers: int = 1) -> SampleStore:
    """The store; of a data set it is built in ``output/samples``, or continued there.

    Args:
        settings: of a store that is built.
        workers: processes that build it.

    Raises:
        DataError: it cannot be read or built, or holds no person.
    """
    store = SampleStore(source.samples) if source.samples else _built(source, output / "samples", settings, workers)
    if not len(store):
        raise DataError(f"{store.folder}: no person is in these samples; clips need depth and labels")
    return store


def open_labeled(source: SampleSource, output: Path, settings: SampleSettings, workers: int = 1) -> SampleStore:
    """:func:`open_samples` for recipes that promise to read no 3D labels.

    Raises:
        DataError: as there, or a data set is named without labels, or a store's keypoints are projected ground truth.
    """
    if source.data and source.keypoint_labels is None:
        raise DataError(
            f"data = {source.data}: this recipe learns from what a 2D network detected; make labels with "
            f"'unipose pseudo-label --dataset {source.data} ...' and name them with keypoint_labels=DIR"
        )
    return require_labels(open_samples(source, output, settings, workers))


def _built(source: SampleSource, folder: Path, settings: SampleSettings, workers: int) -> SampleStore:
    assert source.root is not None
    if source.subset:
        clips = open_data_set(source.data, source.root, source.subset)
    else:
        clips = clips_for(source.data, source.root, "train")
    labels = None if source.keypoint_labels is None else LabelFiles.of_clips(source.keypoint_labels, clips)
    teacher = None if labels is None else labels.teacher
    return build_store(clips, labels, folder, settings, workers, teacher=teacher, damaged=_warn)


def _warn(clip: str, why: str) -> None:
    _log.warning("clip '%s' is left out: %s", clip, why)


def require_labels(store: SampleStore) -> SampleStore:
    """The same store; for recipes that promise to read no 3D labels.

    Raises:
        DataError: its keypoints are projected ground truth.
    """
    if store.teacher == GROUND_TRUTH:
        raise DataError(
            f"{store.folder}: people and keypoints of these samples are projected 3D ground truth, which this recipe "
            "must not read; build them from what a 2D network detected: unipose crops ... --labels DIR"
        )
    return store
