"""Shapes are looked for within frames, or beside them."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.detection import Proposals, hybrid
from unipose_ros.detection.clusters import ClusterDetector
from unipose_ros.detection.hybrid import SearchBesideFrames, SearchWithinFrames, Shapes
from unipose_ros.frame import RgbdFrame
from unipose_ros.gaps import GAPS

CAMERA = Camera(100, 100, 160, 120, 320, 240)


def frame(seconds: float, depth: float = 2.0) -> RgbdFrame:
    return RgbdFrame(int(seconds * 1e9), "camera", CAMERA, np.full((240, 320), depth, np.float32))


class Shape:
    """One shape at the depth of the frame's first pixel; may take its time, or fail."""

    runtime = "shapes"

    def __init__(self, work_s: float = 0.0) -> None:
        self.looked: list[int] = []
        self.closed = False
        self.work_s = work_s
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.error: Exception | None = None

    def __call__(self, frame: RgbdFrame) -> Proposals:
        return self.look(frame)[0]

    def look(self, frame: RgbdFrame) -> Shapes:
        self.looked.append(frame.stamp_ns)
        assert self.may_go_on.wait(5)
        if self.error is not None:
            raise self.error
        end = time.thread_time() + self.work_s
        while time.thread_time() < end:
            pass
        depth = np.array([frame.depth[0, 0]], np.float32)
        return Proposals(np.array([[100, 50, 140, 150]], np.float32), depth, np.ones(1, np.float32)), 0.5

    def reset(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def beside(shapes: Shape, share: float = 1.0) -> SearchBesideFrames:
    return SearchBesideFrames(shapes, share)


def test_what_is_found_beside_frames_comes_with_a_later_frame_and_once() -> None:
    shapes = Shape()
    shapes.may_go_on.clear()  # the thread may be done before the frame asks
    search = beside(shapes)
    assert search(frame(1.0, depth=2.5)) is None
    shapes.may_go_on.set()
    assert search.wait(5)
    found = search(frame(1.1))
    assert found is not None
    assert found[0].distances.tolist() == [2.5]
    assert search(frame(1.2)) is None
    search.close()


def test_a_frame_never_waits() -> None:
    shapes = Shape()
    shapes.may_go_on.clear()
    search = beside(shapes)
    assert [search(frame(1 + number)) for number in range(3)] == [None] * 3
    shapes.may_go_on.set()
    assert search.wait(5)
    assert len(shapes.looked) == 1
    search.close()
    assert shapes.closed


def test_a_frame_in_work_is_done_before_the_thread_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hybrid, "_PATIENCE_S", 60.0)
    shapes = Shape()
    search = beside(shapes)
    with GAPS.frame():
        search(frame(1.0))
        assert not search.wait(0.1)
        assert not shapes.looked
    assert search.wait(5)
    assert shapes.looked == [1_000_000_000]
    search.close()


def test_after_work_the_thread_rests_for_its_share() -> None:
    shapes = Shape(work_s=0.02)
    search = beside(shapes, share=0.001)  # 20 s of rest
    search(frame(1.0))
    assert search.wait(5)
    search(frame(2.0))
    search(frame(3.0))
    assert shapes.looked == [1_000_000_000]
    search.close()


def test_results_of_before_a_reset_or_long_ago_are_not_handed_out() -> None:
    shapes = Shape()
    search = beside(shapes)
    search(frame(1.0))
    assert search.wait(5)
    search.reset()
    assert search(frame(1.1)) is None
    assert search.wait(5)
    assert search(frame(3.0)) is None  # of 1.1 s
    search.close()


def test_an_error_is_logged_and_the_next_frame_is_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    shapes = Shape()
    shapes.error = RuntimeError("no memory")
    search = beside(shapes)
    search(frame(1.0))
    assert search.wait(5)
    assert "no memory" in caplog.text
    shapes.error = None
    search(frame(2.0))
    assert search.wait(5)
    assert search(frame(2.1)) is not None
    search.close()


def test_both_ways_find_the_same_in_a_frame() -> None:
    image = frame(1.0, depth=4.0)
    for rows, half in ((slice(88, 100), 5), (slice(100, 172), 12)):  # head, and the rest: 1.7 m tall, 0.5 m wide
        columns = np.arange(-half, half + 1)
        image.depth[rows, 160 - half : 161 + half] = 2.0 + 0.15 * (columns / half) ** 2
    within, beside_frames = SearchWithinFrames(ClusterDetector()), SearchBesideFrames(ClusterDetector())
    wanted = within(image)
    beside_frames(image)
    assert beside_frames.wait(5)
    found = beside_frames(frame(1.1))
    assert wanted is not None
    assert found is not None
    assert len(wanted[0]) == 1
    np.testing.assert_array_equal(found[0].boxes, wanted[0].boxes)
    assert found[1] == wanted[1]
    beside_frames.close()
