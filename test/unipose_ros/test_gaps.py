"""Work beside the frames waits for the gaps between them, but not for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from unipose_ros import gaps
from unipose_ros.gaps import FrameGaps, beside_frames, breathe


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> FrameGaps:
    made = FrameGaps()
    monkeypatch.setattr(gaps, "GAPS", made)
    return made


def test_a_thread_waits_while_a_frame_is_in_work(own: FrameGaps) -> None:
    assert own.wait(0.0)
    with own.frame():
        assert not own.wait(0.0)
        with own.frame():
            pass  # of another node in this process
        assert not own.wait(0.0)
    assert own.wait(0.0)


def test_where_frames_follow_each_other_a_thread_takes_one_step_with_each(own: FrameGaps) -> None:
    steps: list[int] = []
    waiting, stepped = threading.Event(), threading.Semaphore(0)

    def search() -> None:
        with beside_frames(60.0):
            for step in range(3):
                waiting.set()
                breathe()
                steps.append(step)
                stepped.release()

    thread = threading.Thread(target=search)
    frame = own.frame()
    frame.__enter__()
    thread.start()
    for step in range(3):
        assert waiting.wait(10)
        _until(lambda: bool(own._changed._waiters))  # type: ignore[attr-defined]
        assert len(steps) == step
        waiting.clear()
        with own._changed:  # the next frame begins before the thread can look
            frame.__exit__(None, None, None)
            frame = own.frame()
            frame.__enter__()
        assert stepped.acquire(timeout=10)
    frame.__exit__(None, None, None)
    thread.join(10)
    assert steps == [0, 1, 2]


def _until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        threading.Event().wait(0.005)
    raise AssertionError("waited in vain")


def test_patience_ends(own: FrameGaps) -> None:
    with own.frame(), beside_frames(0.01):
        breathe()
        breathe()  # would wait for ever, had the first one not used it up


def test_the_frames_own_thread_never_waits(own: FrameGaps) -> None:
    with own.frame():
        breathe()
        with beside_frames(0.01):
            pass
        breathe()
