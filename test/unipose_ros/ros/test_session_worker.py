"""The newest item is worked on, older ones are dropped, and the thread ends."""

from __future__ import annotations

import threading

from unipose_ros.ros.session import LatestSlot, Worker


def test_slot_keeps_only_the_newest_and_tells_of_the_loss() -> None:
    slot: LatestSlot[int] = LatestSlot()
    assert [slot.put(1), slot.put(2), slot.put(3)] == [False, True, True]
    assert slot.take() == 3
    assert not slot.put(4)


def test_closing_wakes_the_reader_and_forgets_what_was_waiting() -> None:
    slot: LatestSlot[int] = LatestSlot()
    slot.put(1)
    slot.close()
    assert slot.take() is None


def test_worker_skips_what_came_meanwhile() -> None:
    busy, release, done, seen = threading.Event(), threading.Event(), threading.Event(), []

    def process(item: int) -> None:
        seen.append(item)
        busy.set()
        release.wait(10)
        if item == 4:
            done.set()

    worker = Worker(process)
    worker.put(1)
    assert busy.wait(10)
    assert [worker.put(2), worker.put(3), worker.put(4)] == [False, True, True]
    release.set()
    assert done.wait(10)
    assert worker.stop(10)
    assert seen == [1, 4]


def test_stop_says_when_the_work_does_not_end() -> None:
    busy, release = threading.Event(), threading.Event()

    def process(item: int) -> None:
        busy.set()
        release.wait(10)

    worker = Worker(process)
    worker.put(1)
    assert busy.wait(10)
    assert not worker.stop(0.01)
    release.set()
    assert worker.stop(10)
