"""Two person_detectors: a network in every frame, and shapes that it overlooks now and then."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.detection import Proposals
from unipose_ros.detection.hybrid import HybridDetector, SearchWithinFrames
from unipose_ros.frame import RgbdFrame

CAMERA = Camera(100, 100, 160, 120, 320, 240)
Person = tuple[float, float, float]


def proposals(*people: Person) -> Proposals:
    """Of column, distance and score; boxes 40 pixels wide."""
    boxes = [[column - 20, 50, column + 20, 150] for column, _, _ in people]
    return Proposals(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([person[1] for person in people], np.float32),
        np.array([person[2] for person in people], np.float32),
    )


class FixedDetector:
    """A person detector that says the same of every frame, and counts."""

    def __init__(self, name: str, *people: Person) -> None:
        self.runtime, self.found_before = name, proposals(*people)
        self.asked = self.resets = self.closed = 0
        self.on_planes = 0.6

    def __call__(self, frame: RgbdFrame) -> Proposals:
        self.asked += 1
        return self.found_before

    def look(self, frame: RgbdFrame) -> tuple[Proposals, float]:
        return self(frame), self.on_planes

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        self.closed += 1


def frame(seconds: float) -> RgbdFrame:
    return RgbdFrame(int(seconds * 1e9), "camera", CAMERA, np.ones((240, 320), np.float32))


def test_who_covers_whom() -> None:
    there = proposals((100, 2.0, 0.5), (200, 3.0, 0.5))
    asked = proposals((105, 2.2, 0.9), (105, 2.8, 0.9), (150, 2.0, 0.9), (200, np.nan, 0.9))
    assert asked.overlaps(there).tolist() == [[True, False], [False, False], [False, False], [False, False]]
    assert there.overlaps(Proposals.empty()).shape == (2, 0)
    # A small box in a large one: the network has seen all of the person, shapes a part.
    part = Proposals(
        np.array([[90, 60, 110, 90]], np.float32), *(np.array([value], np.float32) for value in (2.0, 0.5))
    )
    assert part.overlaps(there).tolist() == [[True, False]]


def test_shapes_are_added_where_the_network_sees_no_person() -> None:
    network = FixedDetector("network", (100, 2.0, 0.5), (200, 3.0, 0.1), (30, 2.0, 0.15))
    shapes = FixedDetector("shapes", (250, 2.0, 0.9), (104, 2.1, 0.6), (205, 3.1, 0.4))
    person_detector = HybridDetector(network, SearchWithinFrames(shapes))
    found = person_detector(frame(1.0))
    # What the network hardly believes in is proposed only where there is a shape, whose score it then is.
    np.testing.assert_allclose(found.boxes[:, 0], [80, 185, 230])
    np.testing.assert_allclose(found.scores, [0.5, 0.1, 0.05])
    # Where there is no room around, the network's silence says nothing.
    shapes.on_planes = 0.1
    person_detector.reset()
    np.testing.assert_allclose(person_detector(frame(2.0)).scores, [0.9, 0.5, 0.4])
    assert person_detector.runtime == "network, and shapes"


@pytest.mark.parametrize(
    ("rate", "frames", "asked"),
    [
        (30, 90, 10),  # every 0.3 s
        (15, 30, 5),  # every sixth frame: 0.4 s
        (2, 30, 5),  # a machine that replies twice a second pays in every sixth frame, too
    ],
)
def test_a_fraction_of_the_frames_pays_for_shapes(rate: float, frames: int, asked: int) -> None:
    shapes = FixedDetector("shapes", (250, 2.0, 0.9))
    person_detector = HybridDetector(FixedDetector("network"), SearchWithinFrames(shapes))
    for number in range(frames):
        person_detector(frame(1 + number / rate))
    assert shapes.asked == asked


@pytest.mark.parametrize(("seconds", "asked"), [([1.0, 1.1, 1.29], 1), ([1.0, 0.5], 1), ([1.0, *range(2, 8)], 2)])
def test_shapes_are_looked_for_now_and_then(seconds: list[float], asked: int) -> None:
    network, shapes = FixedDetector("network"), FixedDetector("shapes", (250, 2.0, 0.9))
    person_detector = HybridDetector(network, SearchWithinFrames(shapes))
    found = [len(person_detector(frame(each))) for each in seconds]
    assert network.asked == len(seconds)
    assert shapes.asked == sum(found) == asked


def test_reset_and_close_reach_both() -> None:
    network, shapes = FixedDetector("network"), FixedDetector("shapes")
    person_detector = HybridDetector(network, SearchWithinFrames(shapes))
    person_detector(frame(1.0))
    person_detector.reset()
    person_detector(frame(1.1))
    person_detector.close()
    assert shapes.asked == 2
    assert (network.resets, shapes.resets, network.closed, shapes.closed) == (1, 1, 1, 1)
