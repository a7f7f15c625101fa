"""What color says about people who were found in depth alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.detection.color_support import color_support, is_dark
from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_ros.keypoints import Keypoints2D

CAMERA = Camera(525, 525, 319.5, 239.5, 640, 480)


def person(x: float = 0.0, z: float = 3.0) -> NDArray[np.float64]:
    """(15, 3) limbs spread out, each joint in a place of its own."""
    joints = np.zeros((15, 3))
    joints[:, 0] = x + np.where([side == "left" for side in ITOP15.sides], 0.25, -0.25)
    joints[:, 1] = np.linspace(-0.7, 0.7, 15)
    joints[:, 2] = z
    return joints


def keypoints_on(joints: NDArray[np.float64], confidence: float, mirrored: bool = False) -> Keypoints2D:
    """Keypoints of an unsure network in the places of a person's joints."""
    pixels = np.full((1, 17, 2), np.nan, np.float32)
    for joint, place in enumerate(ITOP15.landmarks):
        if ITOP15.sides[joint] != "middle":
            other = ITOP15.landmarks[ITOP15.mirror[joint]] if mirrored else place
            pixels[0, COCO17.landmarks.index(other)] = project(CAMERA, joints[joint])
    confidences = np.full((1, 17), confidence, np.float32)
    return Keypoints2D(pixels, confidences, np.zeros(1, np.float32), np.zeros((1, 4), np.float32))


class NoHeat:
    """A detector that has nothing to show but its people."""

    def __call__(self, image: NDArray[np.uint8]) -> Keypoints2D:
        raise AssertionError("the image has been seen")


class Heat(NoHeat):
    """A detector that is sure of whatever is in the left half of the image."""

    def heat_near(self, pixels: NDArray[np.floating], radius: float) -> NDArray[np.float32]:
        assert radius == 0.12 * 525 / 3.0
        return np.where(pixels[..., 0] < 320, 0.6, 0.1).astype(np.float32)


def test_support_is_the_mean_confidence_near_the_joints() -> None:
    joints = person()
    for confidence in (0.1, 0.5):
        support = color_support(NoHeat(), keypoints_on(joints, confidence), CAMERA, joints[None])
        np.testing.assert_allclose(support, [confidence], atol=1e-6)


def test_the_side_does_not_matter() -> None:
    joints = person()
    mirrored = keypoints_on(joints, 0.5, mirrored=True)
    np.testing.assert_allclose(color_support(NoHeat(), mirrored, CAMERA, joints[None]), [0.5], atol=1e-6)


def test_keypoints_elsewhere_are_no_support() -> None:
    elsewhere = keypoints_on(person(x=1.0), 0.9)
    people = np.stack([person(), person(x=1.0), person(x=40.0)])
    support = color_support(NoHeat(), elsewhere, CAMERA, people)
    assert support[0] == 0
    assert support[1] > 0.8
    assert support[2] == 0, "out of the image"


def test_heat_counts_where_a_network_shows_it() -> None:
    empty = Keypoints2D.empty()
    left, right = person(x=-0.8), person(x=0.8)
    np.testing.assert_allclose(color_support(Heat(), empty, CAMERA, np.stack([left, right])), [0.6, 0.1], atol=1e-6)


def test_dark_images() -> None:
    black = np.zeros((48, 64, 3), np.uint8)
    lamp = black.copy()
    lamp[:8, :16, 1] = 200
    assert is_dark(black)
    assert not is_dark(lamp)
    assert not is_dark(black + np.uint8(30))


def test_darkness_is_that_of_a_percentile() -> None:
    rng = np.random.default_rng(0)
    answers = set()
    for most in range(12, 30):
        image = rng.integers(0, most, (int(rng.integers(1, 99)), int(rng.integers(1, 99)), 3), dtype=np.uint8)
        image[rng.random(image.shape) < 0.005] = 255
        expected = bool(np.percentile(image[::8, ::8].max(axis=-1), 99) < 20)
        assert is_dark(image) == expected
        answers.add(expected)
    assert len(answers) == 2
