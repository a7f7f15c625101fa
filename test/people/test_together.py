"""Two finders: a network in every frame, and shapes that it overlooks now and then."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.frame import RgbdFrame
from unipose_ros.people import Proposals
from unipose_ros.people.overlap import covering
from unipose_ros.people.together import Together

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


class Says:
    """A finder that says the same of every frame, and counts."""

    def __init__(self, name: str, *people: Person) -> None:
        self.runtime, self.said = name, proposals(*people)
        self.asked = self.resets = self.closed = 0
        self.on_planes = 0.6

    def __call__(self, frame: RgbdFrame) -> Proposals:
        self.asked += 1
        return self.said

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
    assert covering(asked, there).tolist() == [[True, False], [False, False], [False, False], [False, False]]
    assert covering(there, Proposals.empty()).shape == (2, 0)
    # A small box in a large one: the network has seen all of the person, shapes a part.
    part = Proposals(
        np.array([[90, 60, 110, 90]], np.float32), *(np.array([value], np.float32) for value in (2.0, 0.5))
    )
    assert covering(part, there).tolist() == [[True, False]]


def test_shapes_are_added_where_the_network_sees_nobody() -> None:
    network = Says("network", (100, 2.0, 0.5), (200, 3.0, 0.1), (30, 2.0, 0.2))
    shapes = Says("shapes", (250, 2.0, 0.9), (104, 2.1, 0.6), (205, 3.1, 0.4))
    finder = Together(network, shapes)
    found = finder(frame(1.0))
    # What the network hardly believes in is proposed only where there is a shape, whose score it then is.
    np.testing.assert_allclose(found.boxes[:, 0], [80, 185, 230])
    np.testing.assert_allclose(found.scores, [0.5, 0.1, 0.05])
    # Where there is no room around, the network's silence says nothing.
    shapes.on_planes = 0.1
    np.testing.assert_allclose(finder(frame(2.0)).scores, [0.9, 0.5, 0.4])
    assert finder.runtime == "network, and shapes"


@pytest.mark.parametrize(("seconds", "asked"), [([1.0, 1.1, 1.29], 1), ([1.0, 1.3, 1.6], 3), ([1.0, 0.5], 2)])
def test_shapes_are_looked_for_now_and_then(seconds: list[float], asked: int) -> None:
    network, shapes = Says("network"), Says("shapes", (250, 2.0, 0.9))
    finder = Together(network, shapes)
    found = [len(finder(frame(each))) for each in seconds]
    assert network.asked == len(seconds)
    assert shapes.asked == sum(found) == asked


def test_reset_and_close_reach_both() -> None:
    network, shapes = Says("network"), Says("shapes")
    finder = Together(network, shapes)
    finder(frame(1.0))
    finder.reset()
    finder(frame(1.1))
    finder.close()
    assert shapes.asked == 2
    assert (network.resets, shapes.resets, network.closed, shapes.closed) == (1, 1, 1, 1)
