"""Rates, percentiles and counters, on a clock of the test's own."""

from __future__ import annotations

import pytest
from ros_samples import Hand

from unipose_ros.ros.monitoring import Statistics, ThrottledLogger


@pytest.fixture
def statistics(hand: Hand) -> Statistics:
    return Statistics(clock=hand)


def test_rate_is_that_of_the_last_seconds_and_falls_to_zero(statistics: Statistics, hand: Hand) -> None:
    assert statistics.rate("frame") == 0.0
    for _ in range(31):
        statistics.tick("frame")
        hand.now += 0.1
    assert statistics.rate("frame") == pytest.approx(10.0)
    hand.now += 60
    assert statistics.rate("frame") == 0.0
    assert statistics.age("frame") == pytest.approx(60.1)
    assert statistics.age("never") == float("inf")


def test_percentiles_of_the_stages(statistics: Statistics) -> None:
    for value in range(101):
        statistics.durations({"network": value, "track": 1.0})
    assert statistics.percentiles() == {"network": (50.0, 95.0), "track": (1.0, 1.0)}


def test_drops_add_up_and_clear_starts_anew(statistics: Statistics) -> None:
    statistics.drop("size")
    statistics.drop("size")
    statistics.set("people", 2)
    assert statistics.drops == {"size": 2}
    assert statistics.values == {"people": 2}
    statistics.clear()
    assert statistics.drops == {}
    assert statistics.values == {}


def test_ever_new_faults_do_not_fill_the_log() -> None:
    class Log:
        def __init__(self) -> None:
            self.lines: list[str] = []
            self.error = self.warning = self.lines.append

    log, statistics = Log(), Statistics()
    reporter = ThrottledLogger(log, statistics)
    for number in range(500):
        reporter.drop("color_image", f"encoding '{'x' * (number % 100)}' at frame {number}")
    reporter.drop("size", "something else")
    assert statistics.drops == {"color_image": 500, "size": 1}
    assert 5 < len(log.lines) < 15
    assert "only counted" in log.lines[-2]
    assert "something else" in log.lines[-1]
