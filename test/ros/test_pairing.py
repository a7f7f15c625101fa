"""Which colour belongs to which depth, whatever the stamps do."""

from __future__ import annotations

from typing import Any

import pytest
from sensor_msgs.msg import Image

from unipose_ros.ros.pairing import PATIENCE, Pair, Pairing
from unipose_ros.ros.reporter import Reporter
from unipose_ros.ros.statistics import Statistics
from unipose_ros.ros.streams import StreamRecord

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

    def __init__(self, max_offset: float = 0.0) -> None:
        self.pairs: list[Pair] = []
        self.jumps: list[str] = []
        self.log, self.statistics = Log(), Statistics()
        records = (StreamRecord("/colour"), StreamRecord("/depth"))
        reporter = Reporter(self.log, self.statistics)
        self.pairing = Pairing(records, self.pairs.append, self.jump, reporter, max_offset)

    def jump(self, reason: str) -> None:
        self.jumps.append(reason)
        self.pairing.restart()

    def colour(self, stamp_ns: int) -> None:
        self.pairing.add_colour(image(stamp_ns))

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
        bench.colour(stamp)
        if k % 5 == 0 and k % 2:
            bench.depth(stamp)
    assert bench.stamps == [k * 33 * MS for k in range(1, 40) if k % 5 or k % 2]
    assert {pair.offset_ns for pair in bench.pairs} == {0}
    assert bench.pairing.exact


@pytest.mark.parametrize("offset", [5 * MS, -12 * MS])
def test_near_stamps_pair_once_equal_ones_have_not_come(offset: int) -> None:
    bench = Bench()
    for k in range(1, 41):
        bench.colour(SECOND + k * 33 * MS)
        bench.depth(SECOND + k * 33 * MS + offset)
    assert not bench.pairing.exact
    assert len(bench.pairs) >= 40 - PATIENCE
    assert {pair.offset_ns for pair in bench.pairs} == {offset}
    assert len(bench.log.lines) == 1
    assert "16.5 ms" in bench.log.lines[0]


def test_frames_further_apart_than_half_a_period_never_pair() -> None:
    bench = Bench(max_offset=0.004)
    for k in range(1, 60):
        bench.colour(SECOND + k * 33 * MS)
        bench.depth(SECOND + k * 33 * MS + 9 * MS)
    assert bench.pairs == []


def test_a_single_stream_waits_and_stays_exact() -> None:
    bench = Bench()
    for k in range(1, 100):
        bench.colour(k * 33 * MS)
    assert bench.pairs == []
    assert bench.pairing.exact


def test_time_going_back_is_told_once_and_the_new_time_pairs_at_once() -> None:
    bench = Bench()
    for stamp in (10 * SECOND, 11 * SECOND, 2 * SECOND, 3 * SECOND):
        bench.colour(stamp)
        bench.depth(stamp)
    assert bench.stamps == [10 * SECOND, 11 * SECOND, 2 * SECOND, 3 * SECOND]
    assert len(bench.jumps) == 1
    assert "/colour" in bench.jumps[0]


def test_old_queue_does_not_block_the_new_time() -> None:
    bench = Bench()
    for k in range(50):
        bench.colour(100 * SECOND + k * MS)
    bench.colour(SECOND)
    bench.depth(SECOND)
    assert bench.stamps == [SECOND]


def test_stamps_that_cannot_be_are_refused_and_said_once() -> None:
    bench = Bench()
    bad = image(0)
    bench.pairing.add_colour(bad)
    bad.header.stamp.sec = -5
    bench.pairing.add_colour(bad)
    bench.pairing.add_depth(image(0))
    bench.colour(SECOND)
    bench.depth(SECOND)
    assert bench.stamps == [SECOND]
    assert bench.statistics.drops == {"zero_stamp": 3}
    assert bench.jumps == []


def test_the_same_message_twice_is_one_frame() -> None:
    bench = Bench()
    for _ in range(3):
        bench.colour(SECOND)
    bench.depth(SECOND)
    assert bench.stamps == [SECOND]
