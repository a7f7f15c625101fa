"""MoveNet on the columns of an image around people, with a network that shows what it was given."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from unipose_ros.detection.movenet import MoveNet, columns_around
from unipose_ros.geometry.crop import Letterbox
from unipose_ros.networks.movenet.decode import STRIDE, Heads

VGA = Letterbox.fit(640, 480, 384, 32)


class Brightness:
    """Every map is the mean of the pixels of its cells; keeps the sizes that it was given."""

    description = "a mean"

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    def __call__(self, *inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        image = inputs[0][0].mean(axis=-1)
        height, width = image.shape
        self.sizes.append((width, height))
        cells = image.reshape(height // STRIDE, STRIDE, width // STRIDE, STRIDE).mean(axis=(1, 3)) / 255
        return tuple(
            np.repeat(cells[None, None], count, axis=1).astype(np.float32) for count in Heads.CHANNELS.values()
        )


_edges = st.lists(st.tuples(st.floats(-700, 1400), st.floats(0, 900)), max_size=6)


@given(_edges)
def test_spans_hold_the_boxes_are_even_and_do_not_overlap(edges: list[tuple[float, float]]) -> None:
    boxes = np.array([[left, 0, left + width, 100] for left, width in edges], np.float32).reshape(-1, 4)
    spans = columns_around(boxes, VGA)
    assert all(0 <= left < right <= VGA.padded[0] for left, right in spans)
    assert all(left % STRIDE == 0 and (right - left) % 32 == 0 for left, right in spans)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
    for u0, _, u1, _ in boxes:
        low, high = (VGA.to_padded(np.array([[u, 0.0]]))[0, 0] for u in (u0, u1))
        low, high = max(low, 0), min(high, VGA.padded[0] - 1)
        if low <= high:
            assert any(left - STRIDE <= low and high <= right + STRIDE for left, right in spans)


def test_the_network_sees_columns_and_their_maps_come_where_they_belong() -> None:
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3)).astype(np.uint8)
    run = Brightness()
    movenet = MoveNet(run)
    movenet.within(image, np.array([[100.0, 50, 150, 400]]))
    assert run.sizes == [(128, 288)]
    ((left, right),) = columns_around(np.array([[100.0, 50, 150, 400]]), VGA)
    assert movenet._seen is not None
    part = movenet._seen[0]
    movenet(image)
    whole = movenet._seen[0]
    inside = slice(left // STRIDE, right // STRIDE)
    np.testing.assert_array_equal(part[..., inside], whole[..., inside])
    assert not part[..., : left // STRIDE].any()
    assert not part[..., right // STRIDE :].any()


def test_where_people_are_everywhere_and_in_a_glance_the_image_is_seen_as_a_whole() -> None:
    image = np.full((480, 640, 3), 200, np.uint8)
    run = Brightness()
    movenet = MoveNet(run)
    movenet.within(image, np.array([[10.0, 0, 60, 400], [560, 0, 620, 400], [200, 0, 420, 400]]))
    movenet.glance(np.zeros_like(image))
    assert run.sizes == [(384, 288)] * 2
    # A glance is not the last image.
    assert movenet._seen is not None
    assert movenet._seen[0].all()


def test_a_twin_remembers_its_own_last_image() -> None:
    bright, dark = (np.full((480, 640, 3), shade, np.uint8) for shade in (200, 10))
    run = Brightness()
    movenet = MoveNet(run)
    movenet(bright)
    twin = movenet.twin()
    assert twin.run is run
    assert twin._seen is None
    twin(dark)
    pixels = np.full((1, 17, 2), 240.0)
    assert movenet.heat_near(pixels, 5.0).min() > 10 * twin.heat_near(pixels, 5.0).max()
