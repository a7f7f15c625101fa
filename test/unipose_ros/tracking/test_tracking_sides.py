"""Left and right of a track hold against measurements that exchange them, and give way to those that go on."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.joint_sets import ITOP15
from unipose_ros.tracking import NearestTracker, TrackerConfig

MIRROR = list(ITOP15.mirror)
FRAME_NS = 33_000_000


def standing(turn: float = 0.0, x: float = 0.0) -> np.ndarray:
    """(15, 3) a person 3 m away, turned about the vertical by an angle in radians."""
    places = {
        "head": (0, -0.8), "neck": (0, -0.55), "torso": (0, -0.3), "shoulder": (0.18, -0.55), "elbow": (0.25, -0.27),
        "hand": (0.27, 0.0), "hip": (0.1, -0.05), "knee": (0.11, 0.4), "foot": (0.12, 0.8),
    }  # fmt: skip
    joints = np.zeros((15, 3))
    for number, name in enumerate(ITOP15.joints):
        side, _, part = name.rpartition("_")
        across, down = places[part]
        sign = {"left": 1.0, "right": -1.0, "": 0.0}[side]
        joints[number] = x + sign * across * np.cos(turn), down, 3.0 + sign * across * np.sin(turn)
    return joints


def frame(number: int, joints: np.ndarray, step_ns: int = FRAME_NS) -> Skeletons:
    return Skeletons(
        1_000_000_000 + number * step_ns, "camera", "points", joints[None].astype(np.float32),
        np.full((1, 15), 0.9, np.float32), np.full((1, 15), JointStatus.MEASURED, np.uint8), np.ones(1, np.float32),
        np.tile(np.array([1e-3, 0, 0, 1e-3, 0, 1e-3], np.float32), (1, 15, 1)),
    )  # fmt: skip


@pytest.fixture
def tracker() -> NearestTracker:
    made = NearestTracker(TrackerConfig(seed=1))
    for number in range(20):
        made.update(frame(number, standing()))
    return made


def error(found: Skeletons, joints: np.ndarray) -> float:
    return float(np.linalg.norm(found.positions[0] - joints, axis=1).max())


def test_single_exchanged_frames_are_exchanged_back(tracker: NearestTracker) -> None:
    for number in (20, 22, 24, 26):
        found = tracker.update(frame(number, standing()[MIRROR]))
        assert error(found, standing()) < 0.02
        hand = ITOP15.index("left_hand")
        assert found.confidences[0, hand] == pytest.approx(0.9 * 0.6, abs=0.01)
        assert found.covariances is not None
        # It might have been right: along the line between both hands the joint is less certain.
        assert found.covariances[0, hand, 0] > 0.02
        tracker.update(frame(number + 1, standing()))
    assert tracker.counters["sides_exchanged"] >= 4


def test_measurements_that_go_on_are_believed_once(tracker: NearestTracker) -> None:
    sides = [
        error(tracker.update(frame(number, standing()[MIRROR])), standing()[MIRROR]) < 0.1 for number in range(20, 60)
    ]
    # First as the track has them, after half a second as they are measured, and never back.
    assert not sides[0]
    assert sides[-1]
    assert sum(sides[number] != sides[number + 1] for number in range(len(sides) - 1)) == 1
    assert 10 <= sides.index(True) <= 20


def test_measurements_that_flip_in_every_frame_do_not_flip_the_track(tracker: NearestTracker) -> None:
    for number in range(20, 80):
        joints = standing() if number % 2 else standing()[MIRROR]
        assert error(tracker.update(frame(number, joints)), standing()) < 0.05


@pytest.mark.parametrize("rate", [10, 30])
def test_a_body_that_turns_round_is_followed(rate: int) -> None:
    """A full turn in two seconds."""
    tracker = NearestTracker(TrackerConfig(seed=1))
    step = round(1e9 / rate)
    for number in range(3 * rate):
        joints = standing(np.pi * max(number - rate, 0) / rate)
        found = tracker.update(frame(number, joints, step))
        assert error(found, joints) < 0.15
    assert tracker.counters["sides_exchanged"] == 0


def test_after_a_while_out_of_sight_anybody_may_have_turned(tracker: NearestTracker) -> None:
    empty = Skeletons.empty
    for number in range(20, 35):
        tracker.update(empty(1_000_000_000 + number * FRAME_NS, "camera", "points"))
    found = tracker.update(frame(35, standing()[MIRROR]))
    assert tracker.counters["sides_exchanged"] == 0
    assert error(found, standing()[MIRROR]) < 0.25


def test_zero_takes_measurements_as_they_are() -> None:
    tracker = NearestTracker(TrackerConfig(seed=1, side_hold=0.0))
    for number in range(5):
        tracker.update(frame(number, standing()))
    assert error(tracker.update(frame(5, standing()[MIRROR])), standing()[MIRROR]) < 0.02


def test_people_thirty_centimeters_apart_are_two() -> None:
    """However alike the rest of them is: two who hug."""
    tracker = NearestTracker(TrackerConfig(seed=1, duplicate_distance=0.5))
    both = np.stack([standing(), standing()])
    hips = [ITOP15.index("left_hip"), ITOP15.index("right_hip")]
    both[1, hips] += [0.31, 0, 0]
    two = Skeletons(
        1, "camera", "points", both.astype(np.float32), np.full((2, 15), 0.9, np.float32),
        np.full((2, 15), JointStatus.MEASURED, np.uint8), np.ones(2, np.float32),
    )  # fmt: skip
    assert len(tracker.update(two)) == 2
