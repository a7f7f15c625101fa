"""Clusters: which people are present by size and shape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.detection.clusters import ClusterConfig, ClusterDetector
from unipose_ros.errors import EstimatorError
from unipose_ros.frame import RgbdFrame
from unipose_training.datasets.real_frames import read_dih, read_lmb, read_uva

Room = Callable[..., RgbdFrame]


def test_a_person_in_a_room(room: Room) -> None:
    found = ClusterDetector()(room(people=[(0.3, 2.5)]))
    assert len(found) == 1
    # The trunk's surface is 0.13 m before its middle.
    assert found.distances[0] == pytest.approx(2.4, abs=0.06)
    left, top, right, bottom = found.boxes[0]
    assert (left + right) / 2 == pytest.approx(159.5 + 262.5 * 0.3 / 2.5, abs=4)
    assert right - left == pytest.approx(262.5 * 0.45 / 2.5, abs=14)
    assert bottom - top == pytest.approx(262.5 * 1.6 / 2.5, abs=25)


def test_an_empty_room_is_empty(room: Room) -> None:
    assert len(ClusterDetector()(room())) == 0


def test_a_room_is_mostly_flat(room: Room) -> None:
    assert ClusterDetector().look(room(people=[(0.3, 2.5)]))[1] > 0.6
    assert ClusterDetector().look(room(people=[(0.3, 2.5)], scenery=False))[1] == 0


def test_nothing_read_is_no_person(camera: Camera) -> None:
    depth = np.zeros((camera.height, camera.width), np.float32)
    for value in (0, np.nan):
        assert len(ClusterDetector()(RgbdFrame(1, "optical", camera, np.full_like(depth, value)))) == 0


def test_flat_things_of_a_persons_size_are_no_person(room: Room) -> None:
    found = ClusterDetector()(room(people=[(0.6, 2.5)], cupboards=[(-0.6, 2.8)]))
    assert len(found) == 1
    assert found.boxes[0, 0] > 160


@pytest.mark.parametrize("tilt", [-0.25, 0.2])
def test_the_camera_may_look_up_or_down(room: Room, tilt: float) -> None:
    found = ClusterDetector()(room(people=[(-0.5, 3.0), (0.5, 2.2)], tilt=tilt))
    assert len(found) == 2


def test_heads_may_be_above_the_image(room: Room) -> None:
    assert len(ClusterDetector()(room(people=[(-0.5, 3.0), (0.5, 2.2)], tilt=0.35))) == 2


def test_shoulder_to_shoulder(room: Room) -> None:
    found = ClusterDetector()(room(people=[(-0.46, 2.5), (0.0, 2.5), (0.46, 2.5)]))
    middles = np.sort((found.boxes[:, 0] + found.boxes[:, 2]) / 2)
    np.testing.assert_allclose(middles, 159.5 + 262.5 * np.array([-0.46, 0, 0.46]) / 2.5, atol=8)


def test_people_only_without_scenery(room: Room) -> None:
    assert len(ClusterDetector()(room(people=[(-0.5, 3.0), (0.5, 4.5)], scenery=False))) == 2


def test_a_jacket_without_readings_does_not_cut_a_person_in_two(room: Room) -> None:
    frame = room(people=[(0.0, 2.5)])
    assert frame.depth is not None
    depth = frame.depth.copy()
    near = depth < 2.7
    near[:85], near[125:] = False, False
    depth[near] = 0
    found = ClusterDetector()(RgbdFrame(1, "optical", frame.camera, depth))
    assert len(found) == 1
    assert found.boxes[0, 3] - found.boxes[0, 1] > 130


def test_color_alone_is_refused(camera: Camera) -> None:
    color = np.zeros((camera.height, camera.width, 3), np.uint8)
    with pytest.raises(EstimatorError, match="no depth"):
        ClusterDetector()(RgbdFrame(1, "optical", camera, color=color))


@pytest.mark.parametrize(("field", "value"), [("focal", 0.0), ("min_score", 1.0)])
def test_settings_are_checked(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        ClusterConfig(**{field: value})


def test_all_four_of_the_lmb_frame(shared_data: Path) -> None:
    (frame,) = read_lmb(shared_data / "lmb_rgbd_pose3d", 30, 1)
    assert len(ClusterDetector()(frame)) == 4


def test_all_three_of_the_dih_frame(shared_data: Path) -> None:
    (frame,) = read_dih(shared_data / "depth_frames" / "dih_kinect2_3people.npy", 30, 1)
    found = ClusterDetector()(frame)
    assert len(found) == 3
    assert (found.distances < 1.8).all()


def test_half_a_person_before_a_wall(shared_data: Path) -> None:
    for frame in list(read_uva(shared_data / "uva_person", 30, 61))[::30]:
        assert len(ClusterDetector()(frame)) == 1
