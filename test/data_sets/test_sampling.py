"""The order in which frames are taken."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unipose_training.data.itop import open_itop
from unipose_training.data.sampling import FrameOrder, read_runs

orders = st.builds(
    FrameOrder,
    st.lists(st.integers(0, 12), max_size=6).map(tuple),
    st.integers(0, 2**31),
    st.integers(1, 4),
)


@given(orders, st.integers(0, 3))
def test_runs_lie_within_clips_and_share_no_frame(order: FrameOrder, epoch: int) -> None:
    taken = Counter((clip, first + k) for clip, first in order.epoch(epoch).tolist() for k in range(order.run))
    assert max(taken.values(), default=1) == 1
    assert all(0 <= frame < order.lengths[clip] for clip, frame in taken)
    # Of each clip less than a run is left out.
    per_clip = Counter(clip for clip, _ in taken)
    assert all(0 <= length - per_clip[clip] < order.run for clip, length in enumerate(order.lengths))
    assert len(order) * order.run == sum(taken.values())


@given(orders, st.integers(1, 5), st.data())
def test_workers_take_everything_once_from_any_place(order: FrameOrder, workers: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(order)))
    shares = [list(order.share(7, worker, workers, start)) for worker in range(workers)]
    alone = list(order.share(7))
    assert sorted(place for share in shares for place in share) == alone[start:]
    for worker, share in enumerate(shares):
        assert all(place % workers == worker for place, *_ in share)


def test_seed_and_epoch_alone_decide() -> None:
    order = FrameOrder((30, 50), seed=3)
    np.testing.assert_array_equal(order.epoch(2), FrameOrder((30, 50), seed=3).epoch(2))
    for other in (order.epoch(3), FrameOrder((30, 50), seed=4).epoch(2)):
        assert not np.array_equal(order.epoch(2), other)
    # The same everywhere and for ever: an interrupted training must go on with the same order.
    assert FrameOrder((2, 3), seed=1).epoch(0).tolist() == GOLDEN


GOLDEN = [[1, 2], [0, 0], [0, 1], [1, 0], [1, 1]]


def test_all_frames_have_their_turn() -> None:
    order = FrameOrder((11,), run=4)
    seen = {first + k for epoch in range(30) for _, first in order.epoch(epoch).tolist() for k in range(4)}
    assert seen == set(range(11))


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="run is 0"):
        FrameOrder((3,), run=0)
    with pytest.raises(ValueError, match="a clip has 0 frames or more"):
        FrameOrder((3, -1))
    with pytest.raises(ValueError, match="worker is 2; number 2 of them from 0"):
        FrameOrder((3,)).share(0, 2, 2)


def stamps(root: Path, worker: int, start: int) -> list[tuple[int, list[int]]]:
    clips = open_itop(root)
    order = FrameOrder(tuple(len(clip) for clip in clips), seed=5, run=1)
    return [(place, [f.stamp_ns for f in frames]) for place, _, frames in read_runs(clips, order, 0, worker, 2, start)]


def test_processes_read_what_one_would(layout: Callable[[str], ModuleType], tmp_path: Path) -> None:
    layout("itop").write(tmp_path)
    clips = open_itop(tmp_path)
    order = FrameOrder(tuple(len(clip) for clip in clips), seed=5)
    alone = [(place, [f.stamp_ns for f in frames]) for place, _, frames in read_runs(clips, order, 0)]
    assert len(alone) == 6
    with multiprocessing.get_context("fork").Pool(2) as pool:
        shares = pool.starmap(stamps, [(tmp_path, worker, 2) for worker in range(2)])
    assert sorted(sample for share in shares for sample in share) == alone[2:]
    with pytest.raises(ValueError, match="the order is of other clips"):
        next(read_runs(clips[1:], order, 0))


def test_successive_frames_stay_together(layout: Callable[[str], ModuleType], tmp_path: Path) -> None:
    layout("itop").write(tmp_path)
    clips = open_itop(tmp_path)
    order = FrameOrder(tuple(len(clip) for clip in clips), run=3)
    ((place, clip, frames),) = islice(read_runs(clips, order, 0), 2)
    assert (place, len(frames)) == (0, 3)
    assert [f.stamp_ns for f in frames] == [f.stamp_ns for f in clips[clip].frames()]
