"""The order in which frames are taken for training: shuffled, the same again for a seed, shared by workers.

Every epoch has an order of its own, which seed and epoch alone determine. Place p of it belongs to worker
``p % workers``: any number of workers take everything once, and training can go on at any place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import RgbdFrame
from unipose_training.data.labels import IndexedClip


@dataclass(frozen=True)
class FrameOrder:
    """Runs of successive frames of clips, in an order of their own each epoch.

    Attributes:
        lengths: of the clips, frames.
        seed: another one gives other orders.
        run: so many successive frames of a clip are taken together, as motion needs. Where they begin
            changes with the epoch, so that all frames of a clip have their turn though its length is
            no multiple of ``run``. Clips that are shorter are left out.

    Raises:
        ValueError: a length is negative, or ``run`` less than 1.
    """

    lengths: tuple[int, ...]
    seed: int = 0
    run: int = 1

    def __post_init__(self) -> None:
        if self.run < 1:
            raise ValueError(f"run is {self.run}; take at least 1 frame at a time")
        if any(length < 0 for length in self.lengths):
            raise ValueError(f"lengths are {self.lengths}; a clip has 0 frames or more")

    def __len__(self) -> int:
        """Places of an epoch, the same in each."""
        return sum(length // self.run for length in self.lengths)

    def epoch(self, epoch: int) -> NDArray[np.int64]:
        """(len, 2) clip and first frame at each place."""
        random = np.random.default_rng((self.seed, epoch))
        starts = [self._starts(length, random) for length in self.lengths]
        clips = np.repeat(np.arange(len(starts)), [len(each) for each in starts])
        places = np.stack([clips, np.concatenate([*starts, np.zeros(0, np.int64)])], axis=1)
        return np.asarray(random.permutation(places), np.int64)

    def share(self, epoch: int, worker: int = 0, workers: int = 1, start: int = 0) -> Iterator[tuple[int, int, int]]:
        """A worker's places of an epoch: place, clip and first frame.

        Args:
            worker: number from 0 of ``workers``.
            start: places before this one are done.

        Raises:
            ValueError: there is no such worker.
        """
        if not 0 <= worker < workers:
            raise ValueError(f"worker is {worker}; number {workers} of them from 0")
        order = self.epoch(epoch)
        first = start + (worker - start) % workers
        return ((place, *order[place].tolist()) for place in range(first, len(order), workers))

    def _starts(self, length: int, random: np.random.Generator) -> NDArray[np.int64]:
        """Where the runs of a clip begin: side by side, moved by what is left over."""
        runs, left = divmod(length, self.run)
        return random.integers(0, left + 1) + self.run * np.arange(runs)


def read_runs(
    clips: Sequence[IndexedClip], order: FrameOrder, epoch: int, worker: int = 0, workers: int = 1, start: int = 0
) -> Iterator[tuple[int, int, list[RgbdFrame]]]:
    """Place, clip and frames of a worker's share; the arguments are those of :meth:`FrameOrder.share`.

    Raises:
        ValueError: the order is of other clips.
        DataError: a frame cannot be read.
    """
    if order.lengths != tuple(len(clip) for clip in clips):
        raise ValueError("the order is of other clips; make it of the lengths of these")
    for place, clip, first in order.share(epoch, worker, workers, start):
        yield place, clip, [clips[clip].frame_at(index) for index in range(first, first + order.run)]
