"""Four people outdoors, cut out of a recorded frame; skipped without the recording."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.codecs.points import PointCloudConfig, encode_person
from unipose_ros.codecs.windows import DepthImageConfig, encode_depth
from unipose_ros.frame import RgbdFrame
from unipose_ros.images import to_meters

#: Around the joints, by eye: u0, v0, u1, v1 and the distance in meters.
PEOPLE = [
    (1242, 316, 1435, 903, 2.7),
    (576, 337, 690, 785, 3.8),
    (867, 365, 989, 783, 3.7),
    (974, 399, 1081, 761, 4.3),
]


@pytest.fixture(scope="module")
def frame(shared_data: Path) -> RgbdFrame:
    depth = cv2.imread(str(shared_data / "lmb_rgbd_pose3d" / "depth.png"), cv2.IMREAD_UNCHANGED)
    return RgbdFrame(0, "camera", Camera(1392.5, 944.9, 944.5, 546.7, 1920, 1080), depth=to_meters(depth))


@pytest.mark.parametrize("person", PEOPLE)
def test_a_person_is_whole_and_alone(frame: RgbdFrame, person: tuple[float, ...]) -> None:
    sample = encode_person(frame, np.array(person[:4]), person[4], PointCloudConfig())
    assert sample is not None
    size = np.ptp(sample.features, axis=0)
    assert 1.7 < size[1] < 2.1
    # Neither the ground behind nor the next person: those would be half a meter and more away.
    assert size[2] < 0.6
    assert len(np.unique(sample.features, axis=0)) > 1000


@pytest.mark.parametrize("person", PEOPLE)
def test_the_depth_window_shows_the_person_at_its_own_distance(frame: RgbdFrame, person: tuple[float, ...]) -> None:
    image = encode_depth(frame, np.array(person[:4]), person[4], DepthImageConfig()).image[0]
    body = np.abs(image[30:170, 75:117]) < 1
    assert 0.1 < body.mean() < 0.9
