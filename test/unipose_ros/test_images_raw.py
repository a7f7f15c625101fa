from __future__ import annotations

import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unipose_ros.images import ImageError, decode_color, decode_depth, to_meters, to_millimeters


def padded(pixels: np.ndarray, padding: int, *, last: bool = True) -> tuple[bytes, int]:
    """Rows followed by ``padding`` bytes of rubbish, the last row only if asked; and the step."""
    rows = [row.tobytes() + b"\xee" * padding for row in pixels]
    data = b"".join(rows)
    return (data if last else data[: len(data) - padding]), len(rows[0])


MILLIMETERS = np.array([[0, 1, 1500], [65535, 256, 2]], np.uint16)
METERS = np.array([[0, 0.001, 1.5], [65.535, 0.256, 0.002]], np.float32)


@pytest.mark.parametrize("encoding", ["16UC1", "mono16"])
@pytest.mark.parametrize("padding", [0, 2, 5])
@pytest.mark.parametrize("big_endian", [False, True])
def test_depth_in_millimeters(encoding: str, padding: int, big_endian: bool) -> None:
    data, step = padded(MILLIMETERS.astype(">u2" if big_endian else "<u2"), padding)
    depth = decode_depth(encoding, 2, 3, step, big_endian, data)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, METERS, rtol=1e-6)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("big_endian", [False, True])
def test_depth_in_meters_has_one_way_to_say_nothing(padding: int, big_endian: bool) -> None:
    values = np.array([[0, np.nan, 1.5], [np.inf, -np.inf, -1.0]], np.float32)
    data, step = padded(values.astype(">f4" if big_endian else "<f4"), padding)
    depth = decode_depth("32FC1", 2, 3, step, big_endian, data)
    assert (depth.dtype, depth.dtype.isnative) == (np.float32, True)
    assert depth.tolist() == [[0, 0, 1.5], [0, 0, 0]]


def test_units_follow_the_encoding_not_the_values() -> None:
    big = np.full((1, 1), 1500.0, np.float32)
    assert decode_depth("32FC1", 1, 1, 4, False, big.tobytes())[0, 0] == 1500.0
    small = np.full((1, 1), 2, np.uint16)
    assert decode_depth("16UC1", 1, 1, 2, False, small.tobytes())[0, 0] == np.float32(0.002)


def test_the_last_row_may_lack_its_padding() -> None:
    data, step = padded(MILLIMETERS, 4, last=False)
    np.testing.assert_allclose(decode_depth("16UC1", 2, 3, step, False, data), METERS, rtol=1e-6)
    with pytest.raises(ImageError, match=r"data holds 15 bytes, 2 rows of step 10 need 20"):
        decode_depth("16UC1", 2, 3, step, False, data[:-1])


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: array.array("B", data)])
def test_buffers_of_all_kinds_are_read(kind: type) -> None:
    buffer = kind(MILLIMETERS.tobytes())
    np.testing.assert_allclose(decode_depth("16UC1", 2, 3, 6, False, buffer), METERS, rtol=1e-6)


RGB = np.array([[[1, 2, 3], [250, 128, 0]]], np.uint8)
ALPHA = np.full((1, 2, 1), 77, np.uint8)
COLORS = {
    "rgb8": RGB,
    "bgr8": RGB[..., ::-1],
    "rgba8": np.concatenate([RGB, ALPHA], axis=-1),
    "bgra8": np.concatenate([RGB[..., ::-1], ALPHA], axis=-1),
}


@pytest.mark.parametrize("encoding", COLORS)
@pytest.mark.parametrize("padding", [0, 1, 6])
@pytest.mark.parametrize("big_endian", [False, True])
def test_color_becomes_rgb(encoding: str, padding: int, big_endian: bool) -> None:
    data, step = padded(COLORS[encoding], padding)
    color = decode_color(encoding, 1, 2, step, big_endian, data)
    assert (color.dtype, color.flags.c_contiguous) == (np.uint8, True)
    np.testing.assert_array_equal(color, RGB)


def test_gray_becomes_rgb() -> None:
    gray = np.array([[7, 8, 9], [10, 11, 12]], np.uint8)
    data, step = padded(gray, 2)
    decoded = decode_color("mono8", 2, 3, step, False, data)
    np.testing.assert_array_equal(decoded, np.repeat(gray[..., None], 3, axis=2))


@pytest.mark.parametrize("encoding", ["", "rgb8", "8UC1", "64FC1", "16SC1"])
def test_other_depth_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(ImageError, match=f"depth encoding '{encoding}' is not understood; use one of 16UC1, mono16"):
        decode_depth(encoding, 1, 1, 8, False, bytes(8))


@pytest.mark.parametrize("encoding", ["", "16UC1", "yuv422_yuy2", "bayer_rggb8"])
def test_other_color_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(ImageError, match=f"color encoding '{encoding}' is not understood; use one of rgb8"):
        decode_color(encoding, 1, 1, 8, False, bytes(8))


@pytest.mark.parametrize(("height", "width", "step"), [(0, 3, 6), (2, 0, 6), (-1, 3, 6), (2, 3, 5), (2, 3, 0)])
def test_impossible_sizes_are_refused(height: int, width: int, step: int) -> None:
    with pytest.raises(ImageError, match=f"size {width}x{height} with step {step}"):
        decode_depth("16UC1", height, width, step, False, bytes(12))


@pytest.mark.parametrize("size", [0, 1, 11])
def test_short_buffers_are_refused(size: int) -> None:
    with pytest.raises(ImageError, match=f"data holds {size} bytes, 2 rows of step 6 need 12"):
        decode_depth("16UC1", 2, 3, 6, False, bytes(size))


@pytest.mark.parametrize("dtype", [np.uint8, np.float64, np.int16])
def test_other_depth_types_are_refused(dtype: type) -> None:
    with pytest.raises(ImageError, match=r"uint16 millimeters \(16UC1\) or float32 meters"):
        to_meters(np.zeros((2, 2), dtype))


@given(arrays(np.uint16, (3, 4)))
def test_millimeters_there_and_back(depth: np.ndarray) -> None:
    np.testing.assert_array_equal(to_millimeters(to_meters(depth)), depth)


@given(arrays(np.float32, (4,), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)))
def test_what_does_not_fit_millimeters_is_nothing(depth: np.ndarray) -> None:
    millimeters = to_millimeters(depth)
    with np.errstate(invalid="ignore"):
        fits = np.isfinite(depth) & (depth > 0) & (np.rint(depth.astype(float) * 1000) <= 65535)
    assert (millimeters[~fits] == 0).all()
    np.testing.assert_allclose(millimeters[fits] / 1000, depth[fits], atol=0.000501, rtol=1e-6)
