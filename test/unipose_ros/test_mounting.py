"""Images of cameras that are not upright are turned, and everything that is found is turned back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unipose_ros.camera import Camera, CameraError, depth_to_points, project
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.mounting import (
    MountingCheck,
    clearly_better,
    mounting_of,
    turn_back,
    turn_camera,
    turn_frame,
    turn_keypoints_back,
    turn_skeletons,
)

LENSES = {
    "pinhole": Camera(100, 110, 70, 40, 160, 120),
    "plumb_bob": Camera(100, 110, 70, 40, 160, 120, (-0.2, 0.05, 3e-3, -2e-3, 0.01)),
    "rational and prism": Camera(
        *(100, 110, 70, 40, 160, 120),
        (0.1, -0.2, 2e-3, 1e-3, 0.05, 0.1, -0.1, 0.02, 3e-3, 1e-3, -2e-3, 5e-4, 0.02, 0.0),
        "rational_polynomial",
    ),
    "equidistant": Camera(100, 110, 70, 40, 160, 120, (0.02, 0.01, 0.0, 0.0), "equidistant"),
}
turns = pytest.mark.parametrize("quarters", [0, 1, 2, 3])
lenses = pytest.mark.parametrize("camera", LENSES.values(), ids=LENSES)


@turns
@lenses
def test_the_turned_camera_sees_the_same_points(camera: Camera, quarters: int) -> None:
    depth = np.zeros((120, 160), np.float32)
    depth[10:30, 20:60] = 2.5
    frame = RgbdFrame(5, "optical", camera, depth, np.zeros((120, 160, 3), np.uint8))
    turned = turn_frame(frame, quarters)
    assert turned.depth is not None
    # What is at the top of the camera's image comes to the right, to the bottom, to the left.
    np.testing.assert_array_equal(turned.depth, np.rot90(depth, -quarters))
    points = depth_to_points(turned.camera, turned.depth)[turned.depth > 0]
    people = Skeletons.empty(5, "optical", "points")
    fifteen = np.resize(points, (1, 15, 3)).astype(np.float32)
    people = Skeletons(5, "optical", "points", fifteen, np.ones((1, 15), np.float32), np.full((1, 15), 2, np.uint8),
                       np.ones(1, np.float32))  # fmt: skip
    pixels = project(camera, turn_back(people, quarters).positions[0])
    assert ((pixels > [19.9, 9.9]) & (pixels < [59.1, 29.1])).all()


def test_upside_down_by_hand() -> None:
    people = Skeletons(1, "f", "points", np.full((1, 15, 3), [0.3, -0.2, 2.0], np.float32),
                       np.ones((1, 15), np.float32), np.full((1, 15), 2, np.uint8), np.ones(1, np.float32),
                       np.full((1, 15, 6), [1, 2, 3, 4, 5, 6], np.float32))  # fmt: skip
    back = turn_back(people, 2)
    np.testing.assert_allclose(back.positions[0, 0], [-0.3, 0.2, 2.0])
    assert back.covariances is not None
    np.testing.assert_allclose(back.covariances[0, 0], [1, 2, -3, 4, -5, 6])
    # Turned clockwise, right becomes down: what is found at (x, y) was at (y, -x).
    back = turn_back(people, 1)
    np.testing.assert_allclose(back.positions[0, 0], [-0.2, -0.3, 2.0])
    np.testing.assert_allclose(back.covariances[0, 0], [4, -2, 5, 1, -3, 6])  # type: ignore[index]


@turns
def test_keypoints_and_boxes_come_back(quarters: int) -> None:
    camera = LENSES["pinhole"]
    image = np.zeros((120, 160), np.uint8)
    image[30, 100] = 1
    (v, u), *_ = np.argwhere(np.rot90(image, -quarters))
    pixels = np.full((1, 17, 2), [u, v], np.float32)
    found = Keypoints2D(pixels, np.ones((1, 17), np.float32), np.ones(1, np.float32),
                        np.array([[u - 2, v - 3, u + 2, v + 3]], np.float32))  # fmt: skip
    back = turn_keypoints_back(found, camera, quarters)
    np.testing.assert_array_equal(back.pixels[0, 0], [100, 30])
    size = [2, 3] if quarters % 2 == 0 else [3, 2]
    np.testing.assert_array_equal(back.boxes[0], [100 - size[0], 30 - size[1], 100 + size[0], 30 + size[1]])


def test_four_quarters_are_none() -> None:
    for camera in LENSES.values():
        turned = turn_camera(camera, 3)
        assert turn_camera(turned, 1).K.tolist() == camera.K.tolist()
        np.testing.assert_allclose(turn_camera(turned, 1).distortion, camera.distortion)


def test_a_sensor_that_is_tilted_twice_is_refused() -> None:
    tilted = Camera(100, 100, 80, 60, 160, 120, (0.1,) + 11 * (0.0,) + (0.01, 0.02), "rational_polynomial")
    with pytest.raises(CameraError, match=r"D\[12\] = 0.01"):
        turn_camera(tilted, 1)


@pytest.mark.parametrize(
    ("up", "quarters"),
    [((0, -1, 0), 0), ((0.3, -1, 0.2), 0), ((0, 1, 0), 2), ((0.2, 0.9, -0.3), 2), ((1, 0, 0), 3), ((-1, 0.2, 0), 1),
     ((0, 0, 1), None), ((0.05, 0.05, -1), None)],
)  # fmt: skip
def test_gravity_tells_the_mounting(up: tuple[float, ...], quarters: int | None) -> None:
    # Up to the right in the image: it is to be turned counterclockwise, three quarters clockwise.
    assert mounting_of(np.array(up), None) == quarters


def test_a_camera_that_rolls_keeps_its_mounting_until_it_is_clear() -> None:
    angles = [40, 50, 60]  # up turns to the right
    ups = [np.array([np.sin(np.radians(a)), -np.cos(np.radians(a)), 0]) for a in angles]
    assert [mounting_of(up, 0) for up in ups] == [0, 0, 3]
    assert [mounting_of(up, 3) for up in ups] == [3, 3, 3]


def people(count: int, confidence: float) -> Skeletons:
    return Skeletons(1, "f", "points", np.zeros((count, 15, 3), np.float32),
                     np.full((count, 15), confidence, np.float32), np.full((count, 15), 2, np.uint8),
                     np.ones(count, np.float32))  # fmt: skip


@pytest.mark.parametrize(
    ("found", "better"),
    [
        ([(2, 0.9), (0, 0.0), (2, 0.5), (0, 0.0)], 0),  # upright, as measured with modality points
        ([(2, 0.5), (0, 0.0), (2, 0.9), (0, 0.0)], 2),  # upside down
        ([(0, 0.0), (2, 0.9), (0, 0.0), (1, 0.5)], 1),  # on its side
        ([(0, 0.0), (0, 0.0), (1, 0.5), (2, 0.9)], 3),
        ([(1, 0.6), (1, 0.5), (1, 0.5), (0, 0.0)], None),  # nothing is clear
        ([(0, 0.0)] * 4, None),
    ],
)
def test_the_mounting_under_which_people_are_seen_best(found: list[tuple[int, float]], better: int | None) -> None:
    check, looks = MountingCheck(), 0
    for _ in range(600):
        as_is = people(*found[0])
        turn = check.due(as_is)
        if turn:
            looks += 1
            check.judge(as_is, people(*found[turn]))
    assert check.better == better
    # Whoever stands in an empty room all day must not pay for it.
    assert looks <= 12


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_the_pose_of_the_camera_turns_with_its_frame(quarters: int) -> None:
    pose, point = np.eye(4), np.array([0.3, -0.2, 2.0])
    pose[:3, 3] = (1.0, 2.0, 3.0)
    camera = Camera(50.0, 50.0, 15.5, 11.5, 32, 24)
    frame = RgbdFrame(1, "camera", camera, np.ones((24, 32), np.float32), camera_pose=pose)
    turned = turn_frame(frame, quarters)
    empty = Skeletons.empty(1, "camera", "points")
    one = replace(
        empty,
        positions=np.tile(point, (1, len(empty.joint_set), 1)).astype(np.float32),
        confidences=np.ones((1, len(empty.joint_set)), np.float32),
        status=np.full((1, len(empty.joint_set)), 2, np.uint8),
        scores=np.ones(1, np.float32),
    )
    seen = turn_skeletons(one, quarters).positions[0, 0]
    assert turned.camera_pose is not None
    assert turned.camera_pose @ [*seen, 1.0] == pytest.approx(pose @ [*point, 1.0], abs=1e-5)


@pytest.mark.parametrize(
    ("seen", "better"),
    [
        ((9.0, 0.0, 5.0, 0.0), 0),
        ((5.0, 0.0, 9.0, 0.0), 2),
        ((0.0, 0.0, 0.0, 4.0), 3),
        ((8.1, 6.0, 11.0, 14.4), 3),
        ((8.0, 9.0, 9.5, 7.0), 0),
        ((0.0, 0.0, 0.2, 0.0), 0),
        ((0.0, 0.0, 0.0, 0.0), 0),
    ],
)
def test_the_turn_in_which_people_are_clearly_seen_better(seen: tuple[float, ...], better: int) -> None:
    assert clearly_better(np.array(seen)) == better
