from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unipose_ros.geometry.crop import Letterbox

sizes = st.integers(2, 3000)


@pytest.mark.parametrize(
    ("size", "content", "padded"),
    [
        ((640, 480), (384, 288), (384, 288)),
        ((480, 640), (288, 384), (288, 384)),
        ((1280, 720), (384, 216), (384, 224)),
        ((640, 425), (384, 255), (384, 256)),
        ((320, 240), (384, 288), (384, 288)),
        ((100, 100), (384, 384), (384, 384)),
    ],
)
def test_sizes(size: tuple[int, int], content: tuple[int, int], padded: tuple[int, int]) -> None:
    box = Letterbox.fit(*size, long_side=384, multiple=32)
    assert (box.image, box.content, box.padded) == (size, content, padded)


@given(sizes, sizes)
def test_points_come_back(width: int, height: int) -> None:
    box = Letterbox.fit(width, height, 384, 32)
    corners = np.array([[-0.5, -0.5], [0, 0], [width - 0.5, height - 0.5]], np.float32)
    np.testing.assert_allclose(box.to_image(box.to_padded(corners)), corners, atol=1e-2, rtol=1e-5)


@given(sizes, sizes)
def test_edges_meet_edges(width: int, height: int) -> None:
    box = Letterbox.fit(width, height, 384, 32)
    edges = box.to_padded(np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]]))
    np.testing.assert_allclose(edges, [[-0.5, -0.5], np.array(box.content) - 0.5], atol=1e-3)


def centroid(image: np.ndarray) -> np.ndarray:
    """Brightness-weighted mean (u, v)."""
    weights = image[..., 0].astype(float)
    rows, columns = np.mgrid[: weights.shape[0], : weights.shape[1]]
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


@pytest.mark.parametrize("size", [(640, 480), (500, 333), (200, 120), (1280, 720)])
def test_content_is_where_the_coordinates_say(size: tuple[int, int]) -> None:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[30:70, 50:110] = 200
    box = Letterbox.fit(*size, long_side=384, multiple=32)
    np.testing.assert_allclose(box.to_image(centroid(box.apply(image))), centroid(image), atol=0.1)


def test_padding_is_black() -> None:
    box = Letterbox.fit(640, 425, 384, 32)
    padded = box.apply(np.full((425, 640, 3), 255, np.uint8))
    assert padded.shape == (256, 384, 3)
    assert (padded[:255] == 255).all()
    assert not padded[255:].any()


def test_empty_image() -> None:
    with pytest.raises(ValueError, match="positive"):
        Letterbox.fit(0, 480, 384, 32)


@pytest.mark.parametrize("size", [(640, 480), (848, 480), (641, 479), (300, 200), (384, 288), (100, 384), (480, 640)])
def test_columns_are_those_of_the_whole(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(size[0])
    image = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    box = Letterbox.fit(*size, long_side=384, multiple=32)
    whole = box.apply(image)
    for _ in range(10):
        left, right = sorted(rng.choice(box.padded[0] + 1, 2, replace=False).tolist())
        np.testing.assert_array_equal(box.apply_columns(image, left, right), whole[:, left:right])
