"""Rates, percentiles and counters, on a clock of the test's own."""

from __future__ import annotations

import pytest
from ros_samples import Hand

from unipose_ros.ros.monitoring import Statistics


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
