from __future__ import annotations

import pytest

from unipose_ros.modalities.base import StageClock


def test_stages_come_in_the_order_they_ran_and_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 0.010, 0.010, 0.013, 0.020, 0.025])
    monkeypatch.setattr("time.perf_counter", lambda: next(times))
    clock = StageClock()
    for stage in ("network", "lift", "network"):
        with clock.stage(stage):
            pass
    assert list(clock.milliseconds) == ["network", "lift"]
    assert clock.milliseconds == pytest.approx({"network": 15.0, "lift": 3.0})


def test_a_stage_that_fails_is_timed_too() -> None:
    clock = StageClock()
    with pytest.raises(KeyError), clock.stage("network"):
        raise KeyError
    assert clock.milliseconds["network"] >= 0
