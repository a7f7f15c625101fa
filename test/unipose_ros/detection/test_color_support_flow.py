"""Keypoints between two runs of the 2D network follow the image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from unipose_ros.detection.color_support import KeypointFlow
from unipose_ros.keypoints import Keypoints2D

#: Pixels (u, v) of the keypoints in the first image.
START = np.stack(np.meshgrid(np.linspace(80, 240, 17), [120.0]), axis=-1)[0].astype(np.float32)


def texture(shift: tuple[int, int] = (0, 0), size: tuple[int, int] = (320, 240)) -> NDArray[np.uint8]:
    """Smooth noise, moved by whole pixels."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.integers(0, 256, (300, 400), np.uint8), (0, 0), 2.0)
    wide = cv2.normalize(noise, np.empty(0), 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    u, v = 40 - shift[0], 30 - shift[1]
    image = np.repeat(wide[v : v + 240, u : u + 320, None], 3, axis=2)
    return np.asarray(cv2.resize(image, size), np.uint8)


class Network:
    """One person at :data:`START`; counts its runs."""

    runtime = "a list"

    def __init__(self, confidence: float = 0.8) -> None:
        self.runs, self.confidence = 0, confidence

    def __call__(self, image: NDArray[np.uint8]) -> Keypoints2D:
        self.runs += 1
        box = np.array([[80, 110, 240, 130]], np.float32)
        confidences = np.full((1, 17), self.confidence, np.float32)
        return Keypoints2D(START[None].copy(), confidences, np.ones(1, np.float32), box)


def test_keypoints_move_with_the_image_and_the_box_with_them() -> None:
    network = Network()
    flow = KeypointFlow(network, every=4)
    flow(texture())
    for step in (1, 2, 3):
        seen = flow(texture((3 * step, -2 * step)))
        np.testing.assert_allclose(seen.pixels[0], START + [3 * step, -2 * step], atol=0.5)
        assert seen.confidences.min() > 0.7
        np.testing.assert_allclose(seen.boxes[0], np.array([80, 110, 240, 130]) + [3 * step, -2 * step] * 2, atol=0.5)
    assert network.runs == 1
    np.testing.assert_array_equal(flow(texture((12, -8))).pixels[0], START)
    assert network.runs == 2


def test_what_does_not_come_back_loses_its_confidence() -> None:
    flow = KeypointFlow(Network(), every=2)
    first = texture()
    flow(first)
    covered = first.copy()
    covered[:, 160:] = np.random.default_rng(1).integers(0, 256, covered[:, 160:].shape, np.uint8)
    seen = flow(covered)
    hidden = START[:, 0] > 175
    assert np.median(seen.confidences[0, hidden]) < 0.3
    assert seen.confidences[0, START[:, 0] < 145].min() > 0.7


def test_keypoints_that_the_network_does_not_believe_in_stay() -> None:
    flow = KeypointFlow(Network(confidence=0.05), every=2)
    flow(texture())
    np.testing.assert_array_equal(flow(texture((6, 0))).pixels[0], START)


def test_another_size_a_reset_and_no_person_run_the_network() -> None:
    network = Network()
    flow = KeypointFlow(network, every=10)
    flow(texture())
    flow(texture(size=(160, 120)))
    assert network.runs == 2
    flow.reset()
    flow(texture(size=(160, 120)))
    assert network.runs == 3
    empty = KeypointFlow(lambda image: Keypoints2D.empty(), every=10)
    assert len(empty(texture())) == len(empty(texture())) == 0


def test_every_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="every = 0"):
        KeypointFlow(Network(), every=0)
