"""People by a 2D network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.detection.keypoints import KeypointDetectorAdapter
from unipose_ros.errors import EstimatorError
from unipose_ros.frame import RgbdFrame
from unipose_ros.joint_sets import ITOP15
from unipose_ros.keypoints import Keypoints2D

#: (u, v) of the 17 keypoints of a person 100 pixels tall, from the middle of the hips.
SHAPE = np.array([
    [0, -42], [2, -44], [-2, -44], [4, -43], [-4, -43], [10, -32], [-10, -32], [14, -16], [-14, -16], [15, 0],
    [-15, 0], [7, 0], [-7, 0], [7, 25], [-7, 25], [7, 50], [-7, 50],
], np.float32)  # fmt: skip


def detector(*people: tuple[float, float, float]) -> Callable[[NDArray[np.uint8]], Keypoints2D]:
    """People at (u, v) of a score."""
    pixels = np.array([SHAPE + (u, v) for u, v, _ in people], np.float32).reshape(-1, 17, 2)
    scores = np.array([score for *_, score in people], np.float32)
    found = Keypoints2D(
        pixels, np.full((len(people), 17), 0.8, np.float32), scores, np.zeros((len(people), 4), np.float32)
    )
    return lambda image: found


def frame_of(camera: Camera, depth: float | None) -> RgbdFrame:
    size = (camera.height, camera.width)
    image = None if depth is None else np.full(size, depth, np.float32)
    return RgbdFrame(1, "optical", camera, image, np.zeros((*size, 3), np.uint8))


def test_boxes_and_distances(camera: Camera) -> None:
    found = KeypointDetectorAdapter(detector((100, 120, 0.5), (200, 120, 0.9)))(frame_of(camera, 3.0))
    np.testing.assert_allclose(found.boxes, [[185, 76, 215, 170], [85, 76, 115, 170]])
    np.testing.assert_allclose(found.distances, 3.0)
    np.testing.assert_allclose(found.scores, [0.9, 0.5])
    assert found.keypoints is not None
    np.testing.assert_allclose(found.keypoints.pixels[0, 0], [200, 78])


def test_the_box_is_around_what_is_seen(camera: Camera) -> None:
    found = KeypointDetectorAdapter(detector((100, 220, 0.9)))(frame_of(camera, 3.0))
    assert found.boxes[0, 3] <= camera.height - 1


@pytest.mark.parametrize("depth", [None, 0.0, np.nan])
def test_without_depth_there_is_no_distance(camera: Camera, depth: float | None) -> None:
    found = KeypointDetectorAdapter(detector((100, 120, 0.9)))(frame_of(camera, depth))
    assert len(found) == 1
    assert np.isnan(found.distances).all()


def test_no_people_and_ghosts(camera: Camera) -> None:
    assert len(KeypointDetectorAdapter(detector())(frame_of(camera, 3.0))) == 0
    assert (
        len(KeypointDetectorAdapter(detector((100, 120, 0.9), (101, 120, 0.8), (200, 120, 0.1)))(frame_of(camera, 3.0)))
        == 1
    )


def test_what_cannot_be_looked_at_is_refused(camera: Camera) -> None:
    person_detector = KeypointDetectorAdapter(detector((100, 120, 0.9)))
    assert person_detector.runtime == "function"
    with pytest.raises(EstimatorError, match="no color"):
        person_detector(replace(frame_of(camera, 3.0), color=None))
    with pytest.raises(EstimatorError, match="itop15"):
        KeypointDetectorAdapter(lambda image: Keypoints2D.empty(ITOP15))(frame_of(camera, 3.0))
    person_detector.close()
    with pytest.raises(EstimatorError, match="closed"):
        person_detector(frame_of(camera, 3.0))
