"""No label lies on another: in images, and in the scene as the camera and those near it see it."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unipose_ros.camera import Camera, project
from unipose_ros.visualization.labels import Box, place_boxes, raise_labels

UP = np.array([0.0, -1.0, 0.0])
WIDTH, HEIGHT = 0.45, 0.14
CAMERA = Camera(500.0, 500.0, 319.5, 239.5, 640, 480)
boxes = st.builds(Box, st.floats(0, 500), st.floats(0, 300), st.floats(20, 120), st.just(20.0))
anchors = st.lists(st.tuples(st.floats(-2, 2), st.floats(-1, 0.5), st.floats(1, 6)), min_size=2, max_size=6)


@given(st.lists(boxes, min_size=1, max_size=8))
def test_boxes_lie_apart_within_the_image_and_keep_their_column(wanted: list[Box]) -> None:
    placed = place_boxes(wanted, 480)
    assert not any(a.overlaps(b) for a, b in combinations(placed, 2))
    for before, after in zip(wanted, placed, strict=True):
        assert (before.x, before.width, before.height) == (after.x, after.width, after.height)
        assert 0 <= after.y <= 460


def test_a_box_that_is_alone_stays_and_one_at_the_upper_edge_goes_down() -> None:
    first, second, free = Box(0, 5, 50, 20), Box(10, 5, 50, 20), Box(200, 5, 50, 20)
    placed = place_boxes([first, second, free], 480)
    assert (placed[0], placed[2]) == (first, free)
    assert placed[1].y > 25
    assert place_boxes([Box(0, 105, 50, 20), Box(10, 105, 50, 20)], 480)[1].y < 85


@given(anchors)
def test_labels_in_the_scene_lie_apart_as_the_camera_sees_them_and_from_near(places: list[tuple[float, ...]]) -> None:
    placed = raise_labels(np.array(places), UP, WIDTH, HEIGHT)
    raised = np.array(places) - placed
    np.testing.assert_allclose(raised[:, [0, 2]], 0, atol=1e-9)
    assert (raised[:, 1] >= -1e-9).all()  # upward only
    for a, b in combinations(placed, 2):
        if np.hypot(*(a - b)[[0, 2]]) < WIDTH:
            assert abs(a[1] - b[1]) > HEIGHT


def test_who_stands_behind_another_has_a_label_above_that_ones() -> None:
    placed = raise_labels(np.array([[0.0, -1.0, 2.0], [0.0, -1.5, 3.0], [2.0, -1.0, 2.0]]), UP, WIDTH, HEIGHT)
    rows = project(CAMERA, placed)[:, 1]
    half = CAMERA.fy * HEIGHT / 2 / placed[:, 2]
    assert rows[0] - half[0] > rows[1] + half[1]
    assert placed[2, 1] == -1.0  # far aside
