"""An estimator behind a camera that is not upright."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ros_samples import FRAME, people

from unipose_ros.camera import Camera
from unipose_ros.errors import EstimatorError
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.modalities.base import StageClock
from unipose_ros.mounting import MountingCheck
from unipose_ros.ros.monitoring import Statistics, ThrottledLogger
from unipose_ros.ros.upright import ByGravity, UprightEstimator, UpTree, _Look

pytestmark = pytest.mark.ros
CAMERA = Camera(100, 100, 80, 60, 160, 120)


class Estimator:
    """Sees a person where the nearest corner of the image is at the top left, as in the upright scene."""

    last_keypoints = None

    def __init__(self) -> None:
        self.resets = 0

    def estimate(self, frame: RgbdFrame, clock: StageClock) -> Skeletons:
        assert frame.depth is not None
        return people("abcde", scores=np.ones(1, np.float32)) if frame.depth[0, 0] == 1 else people()

    def reset(self) -> None:
        self.resets += 1


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warning = self.error = self.info = self.lines.append


def upright(
    mounting: Any, adopt: bool = False, check: bool = True, estimator: Any = None
) -> tuple[UprightEstimator, Log, Statistics]:
    log, statistics = Log(), Statistics()
    made = UprightEstimator(
        estimator or Estimator(),
        mounting,
        MountingCheck() if check else None,
        statistics,
        ThrottledLogger(log, statistics),
        adopt,
    )
    return made, log, statistics


def frame(quarters: int) -> RgbdFrame:
    """Of a camera that is mounted so."""
    depth = np.full((120, 160), 3, np.float32)
    depth[0, 0] = 1
    turned = np.ascontiguousarray(np.rot90(depth, quarters))
    camera = CAMERA if quarters % 2 == 0 else Camera(100, 100, 60, 80, 120, 160)
    return RgbdFrame(1, FRAME, camera, turned)


def run(estimator: UprightEstimator, image: RgbdFrame, count: int = 60) -> list[int]:
    found = []
    for _ in range(count):
        seen, _ = estimator.estimate(image, StageClock())
        estimator.check(image, seen)
        found.append(len(seen))
    return found


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_mounting_that_is_known_is_followed_without_a_word(quarters: int) -> None:
    estimator, log, statistics = upright(lambda _: quarters)
    assert set(run(estimator, frame(quarters))) == {1}
    assert log.lines == []
    assert statistics.values["mounting (degrees)"] == 90 * quarters


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_wrong_mounting_is_reported_and_taken_over_where_that_is_wanted(quarters: int) -> None:
    estimator, log, statistics = upright(lambda _: 0)
    assert set(run(estimator, frame(quarters))) == {0}
    assert len(log.lines) == 1
    assert f"input.mounting:={90 * quarters}" in log.lines[0]
    assert "mounting" in statistics.texts
    estimator, log, statistics = upright(lambda _: 0, adopt=True)
    assert run(estimator, frame(quarters))[-20:] == 20 * [1]
    assert f"turned by {90 * quarters} degrees" in log.lines[0]


def test_a_look_waits_for_a_frame_that_leaves_the_time_though_not_for_ever() -> None:
    estimator, _, _ = upright(lambda _: 0)
    machine: Any = estimator._estimator

    def looks(spare: float, count: int) -> int:
        before = machine.resets
        for _ in range(count):
            estimator.check(frame(0), estimator.estimate(frame(0), StageClock())[0], spare)
        return int(machine.resets - before)

    # Looks are due in every second frame; of frames without the time every 31st counts.
    assert looks(spare=-1.0, count=61) == 0
    assert looks(spare=-1.0, count=1) == 1
    assert looks(spare=10.0, count=2) == 1


class Twin(Estimator):
    """Looks for another one; keeps in which threads, and may find its networks closed."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[str] = []
        self.closed = False

    def estimate(self, frame: RgbdFrame, clock: StageClock) -> Skeletons:
        self.threads.append(threading.current_thread().name)
        if self.closed:
            raise EstimatorError("the detector is closed")
        return super().estimate(frame, clock)


class Live(Estimator):
    def __init__(self) -> None:
        super().__init__()
        self.other = Twin()

    def twin(self) -> Twin:
        return self.other


def beside(estimator: UprightEstimator, image: RgbdFrame, count: int) -> list[int]:
    """As :func:`run`; each look is waited for, and its rest."""
    found = []
    for number in range(count):
        each = replace(image, stamp_ns=1 + number)
        seen, _ = estimator.estimate(each, StageClock())
        estimator.check(each, seen, spare=-1.0)  # a look takes none of a frame's time
        found.append(len(seen))
        assert estimator._beside.wait(10)
        until = time.monotonic() + 10
        while not estimator._beside.is_free and time.monotonic() < until:
            time.sleep(1e-4)
    return found


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_with_a_twin_looks_are_beside_the_frames_and_tell_the_same(quarters: int) -> None:
    estimator, log, statistics = upright(lambda _: 0, estimator=Live())
    live: Any = estimator._estimator
    assert set(beside(estimator, frame(quarters), 40)) == {1 if quarters == 0 else 0}
    assert len(log.lines) == (quarters > 0)
    assert all(f"input.mounting:={90 * quarters}" in line for line in log.lines)
    assert ("mounting" in statistics.texts) == (quarters > 0)
    assert set(live.other.threads) == {"unipose_mounting"}
    # Three clear votes are enough, of which each sideways mounting needs a few looks to find the turn.
    assert 3 <= len(live.other.threads) <= 6
    assert live.resets == 0  # who was where is not forgotten
    estimator.close()


def test_a_mounting_found_by_a_twin_is_taken_over_and_earlier_looks_do_not_count() -> None:
    estimator, log, _ = upright(lambda _: 0, adopt=True, estimator=Live())
    assert beside(estimator, frame(2), 40)[-20:] == 20 * [1]
    assert len(log.lines) == 1
    # A look that began before the mounting changed says nothing now.
    estimator._beside._found = (1, _Look(0, people(), people("abcde")))
    check: Any = MountingCheck()
    estimator._check = check
    estimator.check(frame(2), people())
    assert check._votes == [0, 0, 0, 0]
    estimator.close()


def test_a_look_at_networks_that_were_closed_is_nothing(caplog: pytest.LogCaptureFixture) -> None:
    estimator, log, _ = upright(lambda _: 0, estimator=Live())
    live: Any = estimator._estimator
    live.other.closed = True
    assert beside(estimator, frame(2), 10) == 10 * [0]
    assert live.other.threads
    assert not caplog.records
    assert not log.lines
    estimator.close()


def test_gravity_decides_and_its_absence_is_reported() -> None:
    from geometry_msgs.msg import TransformStamped

    tree = UpTree()
    estimator, log, _ = upright(ByGravity(tree, ""), check=False)
    assert run(estimator, frame(2), 2) == [0, 0]
    assert "input.gravity_frame" in log.lines[0]
    # base_link -> camera_link is upside down; camera_link -> optical is REP-103's turn.
    mount, optical = TransformStamped(child_frame_id="camera_link"), TransformStamped(child_frame_id=FRAME)
    mount.header.frame_id, optical.header.frame_id = "base_link", "/camera_link"
    mount.transform.rotation.x, mount.transform.rotation.w = 1.0, 0.0
    for axis, value in zip("xyzw", (-0.5, 0.5, -0.5, 0.5), strict=True):
        setattr(optical.transform.rotation, axis, value)
    tree.add([mount, optical])
    np.testing.assert_allclose(tree.up_in(FRAME), [0, 1, 0], atol=1e-9)
    assert tree.up_in(FRAME, "odom") is None
    np.testing.assert_allclose(tree.up_in(FRAME, "base_link"), [0, 1, 0], atol=1e-9)
    assert run(estimator, frame(2), 2) == [1, 1]
