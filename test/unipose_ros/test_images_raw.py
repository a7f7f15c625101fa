from __future__ import annotations

import array

import cv2
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


#: Of a gray ramp: OpenCV's pattern names are those of the second row and column, ROS's of the first.
BAYER = {"bayer_rggb8": "BG", "bayer_bggr8": "RG", "bayer_gbrg8": "GR", "bayer_grbg8": "GB"}


@pytest.mark.parametrize("encoding", BAYER)
def test_bayer_patterns_by_hand(encoding: str) -> None:
    # A red scene: only the pixels under red filters have a value.
    pattern = encoding.removeprefix("bayer_")[:4]
    mosaic = np.zeros((8, 8), np.uint8)
    place = pattern.index("r")
    mosaic[place // 2 :: 2, place % 2 :: 2] = 200
    data, step = padded(mosaic, 3)
    color = decode_color(encoding, 8, 8, step, False, data)
    assert (color[2:6, 2:6, 0] > 90).all()
    assert (color[2:6, 2:6, 0] > 2 * color[2:6, 2:6, 1:].max(axis=-1)).all()
    assert BAYER[encoding] in str([name for name in dir(cv2) if name.startswith("COLOR_BAYER")])


@pytest.mark.parametrize("encoding", ["yuv422", "uyvy", "yuv422_yuy2", "yuyv"])
def test_yuv_by_hand(encoding: str) -> None:
    # BT.601: Y = 82, U = 90, V = 240 is pure red.
    order = [90, 82, 240, 82] if encoding in ("yuv422", "uyvy") else [82, 90, 82, 240]
    data, step = padded(np.tile(np.array(order, np.uint8), (2, 2)), 5)
    color = decode_color(encoding, 2, 4, step, False, data)
    np.testing.assert_allclose(color, np.broadcast_to([255, 0, 0], (2, 4, 3)), atol=4)


@pytest.mark.parametrize(("encoding", "pair"), [("nv12", [90, 240]), ("nv21", [240, 90])])
def test_two_planes_by_hand(encoding: str, pair: list[int]) -> None:
    planes = np.concatenate([np.full((4, 4), 82), np.tile(pair, (2, 2))]).astype(np.uint8)
    data, step = padded(planes, 2)
    color = decode_color(encoding, 4, 4, step, False, data)
    np.testing.assert_allclose(color, np.broadcast_to([255, 0, 0], (4, 4, 3)), atol=4)
    with pytest.raises(ImageError, match="size 4x3"):
        decode_color(encoding, 3, 4, step, False, data)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("encoding", ["rgb16", "bgr16", "mono16", "bayer_rggb16"])
def test_sixteen_bits_keep_black_and_white(encoding: str, big_endian: bool) -> None:
    channels = 3 if encoding.endswith(("rgb16", "bgr16")) else 1
    values = np.zeros((8, 8, channels), np.uint16)
    values[4:] = 65535
    data, step = padded(values.astype(">u2" if big_endian else "<u2"), 2)
    color = decode_color(encoding, 8, 8, step, big_endian, data)
    assert (color[:3] == 0).all()
    assert (color[5:] == 255).all()


@pytest.mark.parametrize("encoding", ["mono16", "rgb16"])
def test_dim_images_of_sixteen_bits_are_stretched(encoding: str) -> None:
    # Infrared of 0 to 1000, and the 12 bits of an industrial camera: divided by 257 they would be black.
    for highest in (1000, 4095):
        column = np.linspace(0, highest, 64).astype(np.uint16)
        values = np.tile(column[:, None, None], (1, 64, 3 if encoding == "rgb16" else 1))
        color = decode_color(encoding, 64, 64, values.strides[0], False, values.tobytes())
        assert (int(color.min()), int(color.max())) == (0, 255)
        expected = 255.0 * values[:, 0, 0] / highest
        assert np.abs(color[:, 0, 0] - expected).max() < 16  # the brightest few are white


def test_images_larger_than_any_cameras_are_refused() -> None:
    with pytest.raises(ImageError, match="size 65536x65536: more than"):
        decode_depth("16UC1", 65536, 65536, 131072, False, bytes(12))


@pytest.mark.parametrize("encoding", ["", "rgb8", "8UC1", "64FC1", "16SC1"])
def test_other_depth_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(ImageError, match=f"depth encoding '{encoding}' is not understood; use one of 16UC1, mono16"):
        decode_depth(encoding, 1, 1, 8, False, bytes(8))


@pytest.mark.parametrize("encoding", ["", "16UC1", "8UC3", "nv99", "bayer_rggb12"])
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
