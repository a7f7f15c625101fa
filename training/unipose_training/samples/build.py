"""Clips and their 2D labels -> a sample store, by several workers, resumable."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from tqdm import tqdm

from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.joint_sets import ITOP15
from unipose_ros.keypoints import KeypointDetector, Keypoints2D
from unipose_ros.recordings import RecordingError
from unipose_ros.tracking.assignment import match, mean_distances
from unipose_training.datasets.base import Clip, IndexedClip
from unipose_training.datasets.joint_sets import in_joint_set
from unipose_training.datasets.keypoint_files import LabelerId, keypoint_path, read_about, read_keypoints
from unipose_training.datasets.registry import clips_for, open_data_set
from unipose_training.errors import DataError
from unipose_training.jobs import Engine, in_processes, share_out
from unipose_training.labeling.labeler import LabelerPlan
from unipose_training.samples.rows import FoundPeople, Row, SampleSettings, find_rows, ground_truth_rows
from unipose_training.samples.store import GROUND_TRUTH, Arrays, SampleStore, StoredClip, StoreWriter, stacked

#: A person who moved less than this since the last frame is the same, meters between joints on average.
_SAME = 0.5

#: The people that a 2D network detected in a frame of a clip; ``None`` where it did not look.
Labels = Callable[[RgbdFrame], "Keypoints2D | None"]
#: A clip -> its labels. It is called in the worker, and has to be picklable.
LabelSource = Callable[[Clip], Labels]
#: What became of a clip: its rows, or why there are none.
_Result = tuple[StoredClip, Arrays] | str


def build_store(
    clips: Sequence[Clip],
    labels: LabelSource | None,
    folder: Path,
    settings: SampleSettings,
    workers: int = 1,
    progress: bool = True,
    teacher: LabelerId | None = None,
    damaged: Callable[[str, str], object] | None = None,
    engine: Engine = in_processes,
) -> SampleStore:
    """Cut all people out of all clips.

    Clips that are in the store already are left alone, so more of them can be added later; the same
    clips in the same order give the same bytes, whatever the number of workers.

    Args:
        labels: where the people are; ``None``: where the ground truth says. Such a store is marked.
        teacher: who labeled; the store keeps it, and takes no labels of another.
        damaged: told of each clip that cannot be used, and why; it is left out then.
        engine: has the workers.

    Raises:
        DataError: the folder holds samples of other settings or labels, two clips have one name, or, without
            ``damaged``, a clip cannot be used.
        WorkersError: a worker was killed.
    """
    teacher = LabelerId(GROUND_TRUTH) if labels is None else teacher
    _require_names(clips)
    with StoreWriter(folder, asdict(settings), None if teacher is None else asdict(teacher)) as writer:
        missing = [clip for clip in clips if clip.name not in writer.done]
        with (
            tqdm(total=len(clips), initial=len(clips) - len(missing), unit="clip", disable=not progress) as bar,
            closing(share_out(missing, partial(_encoder, labels, settings), workers, engine, ordered=True)) as results,
        ):
            for clip, result in results:
                why = _keep(writer, result)
                if why and damaged is None:
                    raise DataError(f"clip '{clip.name}': {why}")
                if why and damaged is not None:
                    damaged(clip.name, why)
                bar.update()
                bar.set_postfix(people=writer.rows, refresh=False)
        writer.finish()
    return SampleStore(folder)


def _keep(writer: StoreWriter, result: _Result) -> str:
    """Append what a clip gave; the reason why it was not."""
    if isinstance(result, str):
        return result
    try:
        writer.append(*result)
    except DataError as error:
        return str(error)
    return ""


def _require_names(clips: Sequence[Clip]) -> None:
    name, count = Counter(clip.name for clip in clips).most_common(1)[0] if clips else ("", 0)
    if count > 1:
        raise DataError(f"{count} clips are called '{name}'; build a store of each folder")


def _encoder(labels: LabelSource | None, settings: SampleSettings) -> Callable[[Clip], _Result]:
    """A worker's function. Never raises: a clip can be damaged in ways no one foresaw, and the others are to be had."""

    def try_clip(clip: Clip) -> _Result:
        try:
            return encode_clip(clip, labels, settings)
        except Exception as error:
            return str(error) if isinstance(error, (DataError, RecordingError)) else repr(error)

    return try_clip


def encode_clip(clip: Clip, labels: LabelSource | None, settings: SampleSettings) -> tuple[StoredClip, Arrays]:
    """The rows of one clip; ``previous`` counts from the clip's first row.

    Raises:
        DataError, RecordingError: the clip or its labels cannot be read.
    """
    rows: list[Row] = []
    lost: Counter[str] = Counter()
    look = _looker(clip, labels, settings)
    before, frames, dropped = _Before(), 0, 0
    for index, raw, ground_truth in _frames(clip, lost):
        frames += 1
        found = _found(look, raw, ground_truth, lost)
        if found is None:
            continue
        links = before.links(index, found.skeletons)
        for row, link in zip(found.rows, links, strict=True):
            row |= {"frame": np.array(index, np.int32), "previous": np.array(link, np.int64)}
        before = _Before(index, found.skeletons, len(rows))
        rows += found.rows
        dropped += found.dropped
    losses = {**clip.losses(), **lost}
    return StoredClip(clip.name, clip.subset, len(rows), frames, dropped, losses), stacked(rows)


def _looker(
    clip: Clip, labels: LabelSource | None, settings: SampleSettings
) -> Callable[[RgbdFrame, Skeletons | None], FoundPeople | None]:
    """Finds the people of a frame of the clip; ``None`` where no one looked."""
    if labels is None:
        return lambda raw, ground_truth: (
            None if ground_truth is None else ground_truth_rows(raw, ground_truth, settings)
        )
    label = labels(clip)

    def look(raw: RgbdFrame, ground_truth: Skeletons | None) -> FoundPeople | None:
        keypoints = label(raw)
        true = None if ground_truth is None else in_joint_set(ground_truth, ITOP15)
        return None if keypoints is None else find_rows(raw, keypoints, true, settings)

    return look


def _found(
    look: Callable[[RgbdFrame, Skeletons | None], FoundPeople | None],
    raw: RgbdFrame,
    ground_truth: Skeletons | None,
    lost: Counter[str],
) -> FoundPeople | None:
    if raw.depth is None:
        lost["frames without depth"] += 1
        return None
    found = look(raw, ground_truth)
    if found is None:
        lost["frames without labels"] += 1
    return found


def _frames(clip: Clip, lost: Counter[str]) -> Iterator[tuple[int, RgbdFrame, Skeletons | None]]:
    """Number, frame and ground truth. Where frames can be had in any order, damaged ones are passed over."""
    if not isinstance(clip, IndexedClip):
        ground_truths = {skeletons.stamp_ns: skeletons for skeletons in clip.ground_truth()}
        for index, raw in enumerate(clip.frames()):
            yield index, raw, ground_truths.get(raw.stamp_ns)
        return
    for index in range(len(clip)):
        try:
            found = index, clip.frame_at(index), clip.ground_truth_at(index)
        except DataError as error:
            lost[f"unreadable: {error}"] += 1
            continue
        yield found


class _Before:
    """The people of an earlier frame, and where their rows begin."""

    def __init__(self, index: int = -2, skeletons: Skeletons | None = None, start: int = 0) -> None:
        self._index, self._skeletons, self._start = index, skeletons, start

    def links(self, index: int, now: Skeletons) -> list[int]:
        """For all people now, the row of the same person one frame before, or -1."""
        result = [-1] * len(now)
        if self._index != index - 1 or self._skeletons is None or not len(self._skeletons) or not len(now):
            return result
        apart = mean_distances(self._skeletons.positions, now.positions)
        for old, new in zip(*match(apart, np.full(len(self._skeletons), _SAME)), strict=True):
            result[new] = self._start + int(old)
        return result


# Where a sample store's 2D labels come from: files that a teacher left, or a teacher at work.


@dataclass(frozen=True)
class LabelFiles:
    """Labels that ``unipose pseudo-label`` wrote.

    Attributes:
        folder: of the files.
        teacher: who wrote them; labels of another are refused.
    """

    folder: Path
    teacher: LabelerId

    @classmethod
    def of_clips(cls, folder: Path, clips: Sequence[Clip]) -> LabelFiles:
        """The labels in a folder; the first clip that has some says whose they are.

        Raises:
            DataError: no clip has any, or the file is damaged.
        """
        paths = (keypoint_path(folder, clip.name) for clip in clips)
        first = next((path for path in paths if path.is_file()), None)
        if first is None:
            raise DataError(
                f"{folder}: no labels of these clips; make them: unipose pseudo-label ... --output {folder}"
            )
        return cls(folder, read_about(first).teacher)

    def __call__(self, clip: Clip) -> Labels:
        """Read those of a clip."""
        path = keypoint_path(self.folder, clip.name)
        labels = read_keypoints(path)
        if labels.teacher != self.teacher:
            raise DataError(f"{path}: labels of {labels.teacher.name} with other weights or settings; label it again")
        return lambda frame: labels.keypoints_of(frame.stamp_ns)


@dataclass(frozen=True)
class LiveLabels:
    """A teacher labels each frame's color as the store is built.

    Attributes:
        plan: how to make it; hashable.
    """

    plan: LabelerPlan

    def __call__(self, clip: Clip) -> Labels:
        """The network is built once in each process."""
        detector = _built(self.plan)  # type: ignore[arg-type]  # plans are frozen dataclasses, which protocols cannot say

        def look(frame: RgbdFrame) -> Keypoints2D | None:
            return None if frame.color is None else detector(frame.color)

        return look


@lru_cache(maxsize=1)
def _built(plan: LabelerPlan) -> KeypointDetector:
    return plan.build()


# Where a recipe's samples are: in a store, or still in a data set's own files.

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
    store = (
        SampleStore(source.samples) if source.samples else _build_clips(source, output / "samples", settings, workers)
    )
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


def _build_clips(source: SampleSource, folder: Path, settings: SampleSettings, workers: int) -> SampleStore:
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
