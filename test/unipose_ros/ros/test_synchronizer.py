"""Which color belongs to which depth, whatever the stamps do."""

from __future__ import annotations

from typing import Any

import pytest
from sensor_msgs.msg import Image

from unipose_ros.ros.monitoring import Statistics, ThrottledLogger
from unipose_ros.ros.synchronizer import PATIENCE, Pair, Synchronizer, TopicMonitor

pytestmark = pytest.mark.ros
SECOND = 1_000_000_000
MS = 1_000_000


class Log:
    """A logger that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.error = self.warning = self.lines.append


class Bench:
    """A pairing with everything it is connected to."""

    def __init__(self, max_offset: float = 0.0, single_image_timeout: float | None = None) -> None:
        self.pairs: list[Pair] = []
        self.jumps: list[str] = []
        self.log, self.statistics = Log(), Statistics()
        records = (TopicMonitor("/color"), TopicMonitor("/depth"))
        reporter = ThrottledLogger(self.log, self.statistics)
        self.now = 100.0
        self.pairing = Synchronizer(
            records,
            self.pairs.append,
            self.jump,
            reporter,
            max_offset,
            single_image_timeout=single_image_timeout,
            clock=lambda: self.now,
        )

    def jump(self, reason: str) -> None:
        self.jumps.append(reason)
        self.pairing.restart()

    def color(self, stamp_ns: int) -> None:
        self.pairing.add_color(image(stamp_ns))

    def depth(self, stamp_ns: int) -> None:
        self.pairing.add_depth(image(stamp_ns))

    @property
    def stamps(self) -> list[int]:
        return [pair.stamp_ns for pair in self.pairs]


def image(stamp_ns: int, **fields: Any) -> Image:
    message = Image(**fields)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, SECOND)
    return message


def test_equal_stamps_pair_in_any_order_and_lost_ones_do_not_matter() -> None:
    bench = Bench()
    for k in range(1, 40):
        stamp = k * 33 * MS
        if k % 5:
            bench.depth(stamp)
        bench.color(stamp)
        if k % 5 == 0 and k % 2:
            bench.depth(stamp)
    assert bench.stamps == [k * 33 * MS for k in range(1, 40) if k % 5 or k % 2]
    assert {pair.offset_ns for pair in bench.pairs} == {0}
    assert bench.pairing.exact


@pytest.mark.parametrize("offset", [5 * MS, -12 * MS])
def test_near_stamps_pair_once_equal_ones_have_not_come(offset: int) -> None:
    bench = Bench()
    for k in range(1, 41):
        bench.color(SECOND + k * 33 * MS)
        bench.depth(SECOND + k * 33 * MS + offset)
    assert not bench.pairing.exact
    assert len(bench.pairs) >= 40 - PATIENCE
    assert {pair.offset_ns for pair in bench.pairs} == {offset}
    assert len(bench.log.lines) == 1
    assert "16.5 ms" in bench.log.lines[0]


def test_frames_further_apart_than_half_a_period_never_pair() -> None:
    bench = Bench(max_offset=0.004)
    for k in range(1, 60):
        bench.color(SECOND + k * 33 * MS)
        bench.depth(SECOND + k * 33 * MS + 9 * MS)
    assert bench.pairs == []


def test_a_single_stream_waits_and_stays_exact() -> None:
    bench = Bench()
    for k in range(1, 100):
        bench.color(k * 33 * MS)
    assert bench.pairs == []
    assert bench.pairing.exact


def test_time_going_back_is_told_once_and_the_new_time_pairs_at_once() -> None:
    bench = Bench()
    for stamp in (10 * SECOND, 11 * SECOND, 2 * SECOND, 3 * SECOND):
        bench.color(stamp)
        bench.depth(stamp)
    assert bench.stamps == [10 * SECOND, 11 * SECOND, 2 * SECOND, 3 * SECOND]
    assert len(bench.jumps) == 1
    assert "/color" in bench.jumps[0]


def test_old_queue_does_not_block_the_new_time() -> None:
    bench = Bench()
    for k in range(50):
        bench.color(100 * SECOND + k * MS)
    bench.color(SECOND)
    bench.depth(SECOND)
    assert bench.stamps == [SECOND]


def test_stamps_that_cannot_be_are_refused_and_said_once() -> None:
    bench = Bench()
    bad = image(0)
    bench.pairing.add_color(bad)
    bad.header.stamp.sec = -5
    bench.pairing.add_color(bad)
    bench.pairing.add_depth(image(0))
    bench.color(SECOND)
    bench.depth(SECOND)
    assert bench.stamps == [SECOND]
    assert bench.statistics.drops == {"zero_stamp": 3}
    assert bench.jumps == []


def test_the_same_message_twice_is_one_frame() -> None:
    bench = Bench()
    for _ in range(3):
        bench.color(SECOND)
    bench.depth(SECOND)
    assert bench.stamps == [SECOND]


def kinds(bench: Bench) -> str:
    """c: color alone, d: depth alone, p: a pair."""
    return "".join("d" if pair.color is None else "c" if pair.depth is None else "p" for pair in bench.pairs)


def play(bench: Bench, first: int, color: bool = True, depth: bool = True, frames: int = 30) -> None:
    """Thirty frames a second from a second on."""
    for k in range(frames):
        bench.now = 100.0 + first + k / 30
        stamp = round((first + k / 30) * SECOND)
        if depth:
            bench.depth(stamp)
        if color:
            bench.color(stamp)


def test_one_topic_that_is_listened_to_alone_gives_every_image() -> None:
    bench = Bench(single_image_timeout=0.0)
    for k in range(1, 5):
        bench.depth(k * SECOND)
    assert kinds(bench) == "dddd"
    assert bench.stamps == [k * SECOND for k in range(1, 5)]


def test_while_both_come_no_image_goes_alone() -> None:
    bench = Bench(single_image_timeout=0.5)
    play(bench, 1)
    play(bench, 2)
    assert kinds(bench) == 60 * "p"


@pytest.mark.parametrize(("dead", "alone"), [("depth", "c"), ("color", "d")])
def test_when_a_topic_dies_the_other_goes_on_alone_and_back_again(dead: str, alone: str) -> None:
    bench = Bench(single_image_timeout=0.5)
    play(bench, 1)
    play(bench, 2, **{dead: False})
    play(bench, 3)
    said = kinds(bench)
    between = said.strip("p")
    assert said.startswith(30 * "p")
    assert said.endswith(29 * "p")
    assert set(between) == {alone}
    assert 14 <= len(between) <= 16  # after half a second of waiting
    assert bench.stamps == sorted(set(bench.stamps))


def test_of_images_that_never_pair_depth_goes_on_alone() -> None:
    bench = Bench(max_offset=0.001, single_image_timeout=0.5)
    for k in range(60):
        bench.now = 100 + k / 30
        bench.color(SECOND + k * 33 * MS)
        bench.depth(SECOND + k * 33 * MS + 9 * MS)
    assert set(kinds(bench)) == {"d"}
    assert len(bench.pairs) > 40


def test_a_partner_that_comes_late_makes_no_second_frame_of_an_image() -> None:
    bench = Bench(single_image_timeout=0.5)
    bench.depth(SECOND)
    bench.now += 1
    bench.depth(2 * SECOND)
    bench.color(2 * SECOND)
    assert (kinds(bench), bench.stamps) == ("d", [2 * SECOND])


def test_after_both_were_silent_nothing_goes_alone() -> None:
    bench = Bench(single_image_timeout=0.5)
    for stamp in (1, 10, 20):
        bench.now = 100.0 + stamp
        bench.color(stamp * SECOND)
        bench.depth(stamp * SECOND)
    assert kinds(bench) == "ppp"


def test_time_going_back_counts_for_single_images_too() -> None:
    bench = Bench(single_image_timeout=0.0)
    for stamp in (10 * SECOND, 11 * SECOND, 2 * SECOND, 3 * SECOND):
        bench.depth(stamp)
    assert bench.stamps == [10 * SECOND, 11 * SECOND, 2 * SECOND, 3 * SECOND]
    assert len(bench.jumps) == 1
