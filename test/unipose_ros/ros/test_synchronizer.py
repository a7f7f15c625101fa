"""Which color belongs to which depth, whatever the stamps do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image

from unipose_ros.recordings.rgbd import PATIENCE, pair_stamps
from unipose_ros.ros.monitoring import Statistics, ThrottledLogger
from unipose_ros.ros.synchronizer import Pair, Synchronizer, TopicMonitor

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
        records = self.records = (TopicMonitor("/color"), TopicMonitor("/depth"))
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
    before = [100 * SECOND + k * 33 * MS for k in range(10)]
    after = [2 * SECOND + k * 33 * MS for k in range(10)]
    for stamp in before + after:
        bench.color(stamp)
        bench.depth(stamp)
    # Two images show that the new time is no stray.
    assert bench.stamps == before + after[2:]
    assert len(bench.jumps) == 1
    assert "/color" in bench.jumps[0]


def test_old_queue_does_not_block_the_new_time() -> None:
    bench = Bench()
    for k in range(50):
        bench.color(100 * SECOND + k * MS)
    for k in range(5):
        bench.color(SECOND + k * MS)
        bench.depth(SECOND + k * MS)
    assert bench.stamps == [SECOND + k * MS for k in (2, 3, 4)]


def test_stamps_that_cannot_be_are_refused_and_logged_once() -> None:
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
    order = kinds(bench)
    between = order.strip("p")
    assert order.startswith(30 * "p")
    assert order.endswith(29 * "p")
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
    before, after = [10 * SECOND, 10 * SECOND + 33 * MS], [2 * SECOND + k * 33 * MS for k in range(5)]
    for stamp in before + after:
        bench.depth(stamp)
    assert bench.stamps == before + after[2:]
    assert len(bench.jumps) == 1


def thirty_hertz(bench: Bench, stamps: list[int], number: list[int] | None = None) -> None:
    for k, stamp in enumerate(stamps):
        bench.now += 1 / 30
        bench.pairing.add_depth(image(stamp), None if number is None else number[k])


STEADY = [1000 * SECOND + k * 33 * MS for k in range(40)]


@pytest.mark.parametrize(
    ("off", "reason"),
    [(-34 * MS, "late_stamp"), (-500 * MS, "late_stamp"), (-5 * SECOND, "stray_stamp"), (60 * SECOND, "stray_stamp"),
     (2 * SECOND, "stray_stamp"), (-33 * MS, "repeated_stamp")],
)  # fmt: skip
def test_a_single_stamp_off_its_time_loses_that_image_only(off: int, reason: str) -> None:
    bench = Bench(single_image_timeout=0.0)
    stamps = list(STEADY)
    stamps[20] += off
    thirty_hertz(bench, stamps)
    assert bench.stamps == STEADY[:20] + STEADY[21:]
    assert bench.jumps == []
    assert bench.statistics.drops == {reason: 1}


def test_a_clock_that_goes_ahead_and_stays_there_loses_two_images_and_no_person() -> None:
    bench = Bench(single_image_timeout=0.0)
    ahead = [stamp + 60 * SECOND for stamp in STEADY]
    thirty_hertz(bench, STEADY[:20] + ahead[20:])
    assert bench.stamps == STEADY[:20] + ahead[22:]
    assert bench.jumps == []


def test_a_pause_is_no_jump() -> None:
    bench = Bench(single_image_timeout=0.0)
    thirty_hertz(bench, STEADY[:10])
    bench.now += 60
    later = [stamp + 60 * SECOND for stamp in STEADY[10:]]
    thirty_hertz(bench, later)
    assert bench.stamps == STEADY[:10] + later
    assert bench.statistics.drops == {}


@pytest.mark.parametrize("behind", [20 * MS, 100 * SECOND, -100 * SECOND])
def test_two_clocks_on_one_topic_leave_one_in_work(behind: int) -> None:
    bench = Bench(single_image_timeout=0.0)
    both = [stamp for each in STEADY for stamp in (each, each - behind)]
    thirty_hertz(bench, both)
    assert bench.stamps == STEADY
    assert bench.jumps == []
    assert sum(bench.statistics.drops.values()) == 40
    assert len(bench.log.lines) == 1


def test_a_recording_that_loops_starts_anew_each_time() -> None:
    bench = Bench(single_image_timeout=0.0)
    for _ in range(4):
        thirty_hertz(bench, STEADY)
    assert len(bench.jumps) == 3
    assert len(bench.stamps) == 4 * 40 - 3 * 2


@pytest.mark.parametrize("ahead", [1, 5, 1000])
def test_of_two_publishers_whose_stamps_mix_one_is_listened_to(ahead: int) -> None:
    bench = Bench(single_image_timeout=0.0)
    bench.records[1].publishers = ("/front/driver", "/rear/driver")
    rear = [stamp + 11 * MS for stamp in STEADY]
    both = [stamp for pair in zip(STEADY, rear, strict=True) for stamp in pair]
    numbers = [number for k in range(40) for number in (k + 1, k + 1 + ahead)]
    thirty_hertz(bench, both, numbers)
    assert set(bench.stamps[3:]) <= set(STEADY) or set(bench.stamps[3:]) <= set(rear)
    assert len(bench.stamps) >= 38
    assert bench.statistics.drops["second_publisher"] >= 38
    assert "/front/driver, /rear/driver" in bench.log.lines[0]


def test_a_publisher_that_was_started_again_is_listened_to() -> None:
    bench = Bench(single_image_timeout=0.0)
    thirty_hertz(bench, STEADY[:20], list(range(500, 520)))
    thirty_hertz(bench, STEADY[20:], list(range(1, 21)))
    assert bench.stamps == STEADY


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("offset_ms", [0.0, 0.5, 7.0, -12.0])
@pytest.mark.parametrize("max_offset", [0.0, 0.009])
def test_a_recording_is_paired_as_the_robot_pairs(seed: int, offset_ms: float, max_offset: float) -> None:
    """Trembling stamps, lost images: the same pairs come out of the node's pairing and of a recording's."""
    random = np.random.default_rng(seed)
    ticks = SECOND + np.arange(90) * 33 * MS + random.integers(0, 2 * MS, 90)
    late = np.rint(offset_ms * MS + (offset_ms != 0) * random.normal(0, MS, 90)).astype(np.int64)
    color = [int(stamp) for stamp in ticks[random.random(90) > 0.1]]
    depth = [int(stamp) for stamp in (ticks + late)[random.random(90) > 0.2]]
    bench = Bench(max_offset)
    for stamp, stream in sorted([(stamp, 0) for stamp in color] + [(stamp, 1) for stamp in depth]):
        (bench.color, bench.depth)[stream](stamp)
    online = {pair.stamp_ns + pair.offset_ns: pair.stamp_ns for pair in bench.pairs}
    assert len(online) > 40 or (max_offset and abs(offset_ms) > 6)
    assert pair_stamps(color, depth, round(max_offset * SECOND) or None) == online
