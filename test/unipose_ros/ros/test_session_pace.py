"""max_rate lets frames through evenly, whatever the camera's rate and jitter."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_ros.ros.session import Pace

pytestmark = pytest.mark.ros
SECOND = 1_000_000_000


@pytest.mark.parametrize(("camera", "limit", "expected"), [(30, 10, 10), (30, 20, 20), (15, 30, 15), (30, 30, 30),
                                                            (30, 0, 30), (30, 1, 1), (29.97, 10, 10)])  # fmt: skip
def test_so_many_frames_a_second(camera: float, limit: float, expected: float) -> None:
    random = np.random.default_rng(0)
    stamps = np.arange(0, 20, 1 / camera) + random.uniform(-0.002, 0.002, round(20 * camera + 0.5))
    pace = Pace()
    taken = sum(pace.take(round(stamp * SECOND) + SECOND, limit) for stamp in stamps)
    assert taken == pytest.approx(20 * expected, rel=0.05, abs=1)


def test_time_that_goes_back_is_a_new_start() -> None:
    pace = Pace()
    assert pace.take(100 * SECOND, 1)
    assert not pace.take(100 * SECOND + SECOND // 2, 1)
    assert pace.take(3 * SECOND, 1)
    assert not pace.take(3 * SECOND + SECOND // 2, 1)
    pace.restart()
    assert pace.take(3 * SECOND + SECOND // 2, 1)
