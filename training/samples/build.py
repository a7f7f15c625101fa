"""Clips and their 2D labels -> a sample store, by several processes, resumable."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.skeletons import ITOP15
from unipose_ros.tracking.assignment import match
from unipose_training.data.clips import Clip
from unipose_training.evaluation.joint_sets import in_joint_set
from unipose_training.evaluation.matching import mean_distances
from unipose_training.samples.rectify import rectified
from unipose_training.samples.rows import Row, find_rows
from unipose_training.samples.settings import SampleSettings
from unipose_training.samples.store import SampleStore, StoredClip, StoreWriter, stacked
from unipose_training.synthetic.dataset import use_few_threads

#: Whoever moved less than this since the last frame is the same person, metres between joints on average.
_SAME = 0.5

#: The people that a 2D network saw in a frame of a clip; ``None`` where it did not look.
Labels = Callable[[RgbdFrame], "Keypoints2D | None"]
#: A clip -> its labels. It is called in the worker, and has to be picklable.
LabelSource = Callable[[Clip], Labels]


def build_store(
    clips: Sequence[Clip],
    labels: LabelSource,
    folder: Path,
    settings: SampleSettings,
    workers: int = 1,
    progress: bool = True,
) -> SampleStore:
    """Cut everybody out of all clips.

    Clips that are in the store already are left alone, so more of them can be added later; the same
    clips in the same order give the same bytes, whatever the number of workers.

    Raises:
        DataError: the folder holds samples of other settings, or a clip cannot be read.
    """
    writer = StoreWriter(folder, asdict(settings))
    missing = [clip for clip in clips if clip.name not in writer.done]
    with tqdm(total=len(clips), initial=len(clips) - len(missing), unit="clip", disable=not progress) as bar:
        for about, arrays in _encoded(missing, labels, settings, workers):
            writer.append(about, arrays)
            bar.update()
            bar.set_postfix(people=writer.rows, refresh=False)
    return SampleStore(folder)


def _encoded(
    clips: Sequence[Clip], labels: LabelSource, settings: SampleSettings, workers: int
) -> Iterator[tuple[StoredClip, dict[str, NDArray[Any]]]]:
    if workers <= 1:
        for clip in clips:
            yield encode_clip(clip, labels, settings)
        return
    # Fresh processes: a fork would copy threads of torch in unknown states.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=use_few_threads) as pool:
        # In their own order, and a few ahead: finished clips wait in memory for those before them.
        jobs = deque(pool.submit(encode_clip, clip, labels, settings) for clip in clips[: 2 * workers])
        for following in [*clips[2 * workers :], *[None] * len(jobs)]:
            yield jobs.popleft().result()
            if following is not None:
                jobs.append(pool.submit(encode_clip, following, labels, settings))


def encode_clip(
    clip: Clip, labels: LabelSource, settings: SampleSettings
) -> tuple[StoredClip, dict[str, NDArray[Any]]]:
    """The rows of one clip; ``previous`` counts from the clip's first row."""
    rows: list[Row] = []
    truths = {skeletons.stamp_ns: skeletons for skeletons in clip.truth()}
    say, before, frames, dropped = labels(clip), _Before(), 0, 0
    for index, raw in enumerate(clip.frames()):
        frames += 1
        keypoints = say(raw)
        if keypoints is None or raw.depth is None:
            before = _Before()
            continue
        found = find_rows(rectified(raw), keypoints, _itop(truths.get(raw.stamp_ns)), settings)
        dropped += found.dropped
        links = before.links(found.skeletons)
        for row, link in zip(found.rows, links, strict=True):
            row |= {"frame": np.array(index, np.int32), "previous": np.array(link, np.int64)}
        before = _Before(found.skeletons, len(rows))
        rows += found.rows
    return StoredClip(clip.name, clip.subset, len(rows), frames, dropped), stacked(rows)


def _itop(truth: Skeletons | None) -> Skeletons | None:
    return None if truth is None else in_joint_set(truth, ITOP15)


class _Before:
    """The people of the frame before, and where their rows begin."""

    def __init__(self, skeletons: Skeletons | None = None, start: int = 0) -> None:
        self._skeletons, self._start = skeletons, start

    def links(self, now: Skeletons) -> list[int]:
        """For everybody now, the row of the same person before, or -1."""
        result = [-1] * len(now)
        if self._skeletons is None or not len(self._skeletons) or not len(now):
            return result
        apart = mean_distances(self._skeletons.positions, now.positions)
        for old, new in zip(*match(apart, np.full(len(self._skeletons), _SAME)), strict=True):
            result[new] = self._start + int(old)
        return result
