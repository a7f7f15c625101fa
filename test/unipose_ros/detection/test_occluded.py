"""People behind others are found once those in front are removed from the depth image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.detection import DepthOf, Proposals
from unipose_ros.detection.occluded import OccludedPersonDetector, without_people
from unipose_ros.frame import RgbdFrame
from unipose_ros.joint_sets import ITOP15

#: Meters from the camera down to the floor of the fixture ``room``.
FLOOR = 1.2
CAMERA = Camera(262.5, 262.5, 159.5, 119.5, 320, 240)
Room = Callable[..., RgbdFrame]
#: Meters above the floor and to the person's side of the joints of the room's people.
_HEIGHTS = {
    "head": (1.58, 0.0), "neck": (1.4, 0.0), "torso": (1.15, 0.0), "shoulder": (1.4, 0.17), "elbow": (1.2, 0.2),
    "hand": (1.0, 0.2), "hip": (0.9, 0.1), "knee": (0.5, 0.1), "foot": (0.1, 0.1),
}  # fmt: skip


def joints_at(x: float, z: float) -> NDArray[np.float32]:
    """(15, 3) of a person of the room."""
    rows = []
    for name in ITOP15.joints:
        up, side = _HEIGHTS[name.removeprefix("left_").removeprefix("right_")]
        rows.append((x + (side if name.startswith("left_") else -side), FLOOR - up, z))
    return np.array(rows, np.float32)


def test_readings_of_known_people_go_and_others_stay(room: Room) -> None:
    alone, both = room([(0.3, 2.8)]), room([(0.0, 2.0), (0.3, 2.8)])
    assert both.depth is not None
    assert alone.depth is not None
    remaining = without_people(CAMERA, both.depth, joints_at(0.0, 2.0)[None])
    in_front = (both.depth != alone.depth) & (both.depth < 2.3)
    assert in_front.sum() > 4000
    assert (remaining[in_front] == 0).mean() > 0.95
    assert (remaining[~in_front] == both.depth[~in_front]).mean() > 0.98
    behind = ~in_front & (both.depth > 2.5) & (both.depth < 3.0) & (np.indices(both.depth.shape)[0] < 180)
    assert (remaining[behind] == both.depth[behind]).mean() > 0.95


@pytest.mark.parametrize(
    "joints",
    [np.full((1, 15, 3), np.nan, np.float32), joints_at(40.0, 2.0)[None], joints_at(0.0, -1.0)[None],
     np.zeros((0, 15, 3), np.float32)],
    ids=["unknown", "beside the image", "behind the camera", "empty"],
)  # fmt: skip
def test_people_who_cover_nothing_remove_nothing(room: Room, joints: NDArray[np.float32]) -> None:
    depth = room([(0.3, 2.8)]).depth
    assert depth is not None
    np.testing.assert_array_equal(without_people(CAMERA, depth, joints), depth)


def test_large_images_are_judged_in_blocks(room: Room) -> None:
    large = Camera(1050.0, 1050.0, 639.5, 479.5, 1280, 960)
    both = room([(0.0, 2.0), (0.3, 2.8)], camera=large)
    assert both.depth is not None
    remaining = without_people(large, both.depth, joints_at(0.0, 2.0)[None])
    small = without_people(CAMERA, both.depth[2::4, 2::4], joints_at(0.0, 2.0)[None])
    assert ((remaining[2::4, 2::4] == 0) == (small == 0)).mean() > 0.99


class PeakOnce:
    """One peak: the person in front while there is one, else who stands behind; and a chair elsewhere."""

    runtime = "a list"

    def __init__(self, score: float) -> None:
        self.score = score

    def __call__(self, frame: RgbdFrame) -> Proposals:
        assert frame.depth is not None
        front = 1.5 < frame.depth[120, 160] < 2.3
        boxes = np.array([[130, 40, 190, 230] if front else [160, 60, 220, 220], [10, 100, 60, 200]], np.float32)
        return Proposals(
            boxes, np.array([2.0 if front else 2.8, 3.0], np.float32), np.array([self.score, 0.9], np.float32)
        )

    def reset(self) -> None: ...

    def close(self) -> None: ...


def known_front() -> Proposals:
    box = np.array([[130, 40, 190, 230]], np.float32)
    one = np.ones(1, np.float32)
    return Proposals(box, 2 * one, one, depth_of=DepthOf.JOINTS, joints=joints_at(0.0, 2.0)[None])


def test_who_stands_behind_is_found_and_furniture_elsewhere_is_not(room: Room) -> None:
    frame = room([(0.0, 2.0), (0.3, 2.8)])
    remaining, found = OccludedPersonDetector(PeakOnce(0.5))(frame, known_front())
    assert found.boxes.tolist() == [[160, 60, 220, 220]]
    assert found.depth_of is DepthOf.JOINTS
    assert remaining.depth is not None
    assert remaining.depth[120, 160] == 0
    assert frame.depth is not None
    assert frame.depth[120, 160] > 1.5, "the caller's image must stay as it is"


def test_hardly_any_heat_is_no_person(room: Room) -> None:
    _, found = OccludedPersonDetector(PeakOnce(0.15))(room([(0.0, 2.0), (0.3, 2.8)]), known_front())
    assert len(found) == 0


def test_it_looks_again_after_a_fifth_of_a_second_and_when_time_goes_back(room: Room) -> None:
    frame = replace(room([(0.0, 2.0)]), stamp_ns=1_000_000_000)
    detector = OccludedPersonDetector(PeakOnce(0.5))
    assert detector.is_due(frame)
    detector(frame, known_front())
    later = (1_033_000_000, 1_190_000_000, 1_200_000_000, 999_000_000)
    assert [detector.is_due(replace(frame, stamp_ns=stamp)) for stamp in later] == [False, False, True, True]
    detector.reset()
    assert detector.is_due(frame)
