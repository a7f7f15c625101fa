from __future__ import annotations

import contextlib
import resource
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unipose_ros.image_formats import encode_rvl
from unipose_ros.images import (
    ImageError,
    compressed_size,
    decode_color,
    decode_compressed_color,
    decode_compressed_depth,
    encode_compressed_color,
    encode_compressed_depth,
)

PNG16 = "16UC1; compressedDepth png"
PNG32 = "32FC1; compressedDepth png"


def ramp() -> np.ndarray:
    depth = np.linspace(400, 8000, 48 * 64).reshape(48, 64).astype(np.uint16)
    depth[10:20, 10:20] = 0
    return depth


def smooth_color() -> np.ndarray:
    v, u = np.mgrid[:48, :64]
    return np.stack([u * 3 + 20, v * 4 + 10, 200 - u - v], axis=-1).astype(np.uint8)


def png(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", image)[1])


@pytest.mark.parametrize("image_format", [PNG16, "16UC1; compressedDepth", "mono16; compressedDepth png"])
def test_depth_there_and_back(image_format: str) -> None:
    depth = decode_compressed_depth(image_format, encode_compressed_depth(ramp()))
    assert depth.dtype == np.float32
    np.testing.assert_array_equal(np.rint(depth * 1000), ramp())


def test_a_plain_png_of_16_bits_is_read() -> None:
    np.testing.assert_array_equal(np.rint(decode_compressed_depth("16UC1; png compressed", png(ramp())) * 1000), ramp())


def quantized(depth: np.ndarray, quantization: float = 100.0, largest: float = 10.0) -> bytes:
    """As compressed_depth_image_transport writes 32FC1: value = A / depth + B with A = q (q + 1), B = 1 - A / max."""
    a = quantization * (quantization + 1)
    b = 1 - a / largest
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where((depth > 0) & (depth < largest), a / depth + b, 0)
    return struct.pack("<iff", 1, a, b) + png(values.astype(np.uint16))


def test_quantized_depth_is_read() -> None:
    depth = np.linspace(0.4, 9.9, 48 * 64).reshape(48, 64).astype(np.float32)
    depth[:4], depth[4:8] = 0, np.nan
    decoded = decode_compressed_depth(PNG32, quantized(depth))
    assert not decoded[:8].any()
    # One step of the inverse is depth^2 / A.
    error = np.abs(decoded[8:] - depth[8:])
    assert (error <= depth[8:] ** 2 / (100 * 101) * 1.01 + 1e-4).all()
    assert decoded[8:].min() > 0.39


def test_quantized_depth_by_hand() -> None:
    values = np.array([[0, 1, 102, 5]], np.uint16)
    data = struct.pack("<iff", 1, 202.0, 1.0) + png(values)
    # 0 is no reading; 1 - B = 0 is infinitely far, no reading either; 202 / 101 = 2; 202 / 4 = 50.5.
    np.testing.assert_allclose(decode_compressed_depth(PNG32, data), [[0, 0, 2.0, 50.5]])


def test_other_quantizations_are_refused() -> None:
    data = struct.pack("<iff", 0, 1.0, 1.0) + png(ramp())
    with pytest.raises(ImageError, match=r"has quantization 0; only inverse depth \(1\)"):
        decode_compressed_depth(PNG32, data)


def rvl(stream: bytes, image_format: str = "16UC1; compressedDepth rvl") -> np.ndarray:
    return decode_compressed_depth(image_format, bytes(12) + stream)


def test_rvl_by_hand() -> None:
    # Two zeros, two values: 5, and 2 more. Zigzag makes 10 and 4 of them; 10 takes two nibbles, low one first.
    stream = struct.pack("<II", 4, 1) + struct.pack("<I", 0x22A14000)
    np.testing.assert_allclose(rvl(stream), [[0, 0, 0.005, 0.007]])


@given(
    arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 1, 2, 900, 65535]))
)
def test_rvl_there_and_back(depth: np.ndarray) -> None:
    np.testing.assert_array_equal(np.rint(rvl(encode_rvl(depth)) * 1000), depth)


@pytest.mark.parametrize(
    "stream",
    [
        struct.pack("<II", 2**31, 2**31),
        struct.pack("<II", 4, 4),
        struct.pack("<II", 4, 1) + struct.pack("<I", 0x27000000),  # more values than pixels
        struct.pack("<II", 4, 1) + struct.pack("<I", 0x00000000),  # runs of nothing
        struct.pack("<II", 4, 1) + 4 * struct.pack("<I", 0xFFFFFFFF),  # a number without an end
        struct.pack("<II", 4, 1) + 2 * struct.pack("<I", 0x9999999F) + struct.pack("<I", 0x10000000),
        encode_rvl(ramp())[:-400],
        b"abc",
    ],
)
def test_broken_rvl_is_refused(stream: bytes) -> None:
    with pytest.raises(ImageError, match="RVL"):
        rvl(stream)


@pytest.mark.parametrize("size", [0, 4, 12])
def test_depth_shorter_than_its_header_is_refused(size: int) -> None:
    with pytest.raises(ImageError, match=f"{size} bytes is shorter than its header"):
        decode_compressed_depth(PNG16, encode_compressed_depth(ramp())[:size])


def test_a_depth_image_of_8_bits_is_refused() -> None:
    with pytest.raises(ImageError, match="PNG with 1 channels of 8 bits"):
        decode_compressed_depth(PNG16, bytes(12) + png(np.zeros((4, 4), np.uint8)))


def test_jpeg_there_and_back() -> None:
    decoded = decode_compressed_color(encode_compressed_color(smooth_color(), quality=95))
    assert (decoded.dtype, decoded.shape) == (np.uint8, (48, 64, 3))
    # A mix-up of red and blue would be off by up to 180.
    assert np.abs(decoded.astype(int) - smooth_color()).mean() < 4


def test_a_png_color_image_is_exact() -> None:
    data = png(smooth_color()[..., ::-1])
    np.testing.assert_array_equal(decode_compressed_color(data), smooth_color())


def test_a_gray_jpeg_becomes_rgb() -> None:
    gray = bytes(cv2.imencode(".jpg", np.full((8, 8), 100, np.uint8))[1])
    np.testing.assert_array_equal(decode_compressed_color(gray), np.full((8, 8, 3), 100))


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.99])
def test_cut_images_are_refused(keep: float) -> None:
    jpeg, depth = encode_compressed_color(smooth_color()), encode_compressed_depth(ramp())
    with pytest.raises(ImageError, match="not a complete JPEG or PNG"):
        decode_compressed_color(jpeg[: int(keep * len(jpeg))])
    with pytest.raises(ImageError, match="not a complete JPEG or PNG"):
        decode_compressed_depth(PNG16, depth[: 13 + int(keep * (len(depth) - 13))])


@pytest.mark.parametrize("data", [b"", b"hello", bytes(1000), np.zeros(100, np.uint8)])
def test_rubbish_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match="not a complete JPEG or PNG"):
        decode_compressed_color(data)


def test_real_photographs_survive_compression(shared_data: Path) -> None:
    photos = sorted((shared_data / "coco_photos").rglob("*.jpg"))
    if not photos:
        pytest.skip("no photographs in coco_photos")
    original = decode_compressed_color(photos[0].read_bytes())
    again = decode_compressed_color(encode_compressed_color(original, quality=95))
    assert again.shape == original.shape
    assert np.abs(again.astype(int) - original).mean() < 5


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """The same image with an EXIF segment that says how it is to be turned."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    segment = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_stay_where_the_sensor_has_them(orientation: int) -> None:
    jpeg = encode_compressed_color(smooth_color(), quality=95)
    turned = with_orientation(jpeg, orientation)
    np.testing.assert_array_equal(decode_compressed_color(turned), decode_compressed_color(jpeg))


def progressive(color: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".jpg", color, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1])


@pytest.mark.parametrize(
    "data",
    [
        png(smooth_color()),
        png(ramp()),
        progressive(smooth_color()),
        encode_compressed_color(smooth_color()) + bytes(50),
        with_orientation(encode_compressed_color(smooth_color()), 6),
    ],
)
def test_the_size_is_read_from_the_header(data: bytes) -> None:
    assert compressed_size(data) == (64, 48)


def png_claiming(width: int, height: int, bits: int = 16, colors: int = 0) -> bytes:
    """A PNG whose header says so, with hardly anything in it."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colors, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1000))),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def jpeg_claiming(width: int, height: int) -> bytes:
    jpeg = bytearray(encode_compressed_color(smooth_color()))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(jpeg)


@pytest.mark.parametrize("data", [png_claiming(16000, 16000), png_claiming(2**31 - 1, 5), jpeg_claiming(65500, 65500)])
def test_no_memory_is_taken_for_what_an_image_claims(data: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (compressed_size, decode_compressed_color, lambda d: decode_compressed_depth(PNG16, bytes(12) + d)):
        with pytest.raises(ImageError, match="more than 33554432 pixels"):
            read(data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kilobytes


@pytest.mark.parametrize(
    "data", [png_claiming(0, 5), png_claiming(5, 5, colors=9), b"\xff\xd8\xff\xda", b"\xff\xd8" * 40]
)
def test_headers_that_cannot_be_are_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match="not a complete JPEG or PNG"):
        compressed_size(data)


@pytest.mark.parametrize("kind", [".bmp", ".tiff", ".pgm", ".hdr"])
def test_other_formats_of_opencv_are_refused(kind: str) -> None:
    gray = np.zeros((8, 8), np.float32 if kind == ".hdr" else np.uint8)
    good, data = cv2.imencode(kind, cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR) if kind == ".hdr" else gray)
    assert good
    with pytest.raises(ImageError, match="not a complete JPEG or PNG"):
        decode_compressed_color(bytes(data))


def test_an_image_that_takes_a_decoder_many_times_as_long_as_its_size_is_refused() -> None:
    good, buffer = cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert good
    data = bytes(buffer)
    assert decode_compressed_color(data).shape == (64, 64, 3)
    last = data[data.rindex(b"\xff\xda") : -2]
    assert len(last) < 100
    with pytest.raises(ImageError, match="scans"):
        decode_compressed_color(data[:-2] + 200 * last + data[-2:])
    plain = bytes(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1])
    at = plain.index(b"IDAT") - 4
    pixels = zlib.compress(bytes(100_000_000), 9)
    chunk = struct.pack(">I", len(pixels)) + b"IDAT" + pixels + struct.pack(">I", zlib.crc32(b"IDAT" + pixels))
    with pytest.raises(ImageError, match="pixels take"):
        decode_compressed_color(plain[:at] + chunk + plain[-12:])


def test_an_animation_is_refused() -> None:
    plain = bytes(cv2.imencode(".png", np.full((8, 8, 3), 200, np.uint8))[1])
    content = b"acTL" + struct.pack(">II", 2, 0)
    chunk = struct.pack(">I", 8) + content + struct.pack(">I", zlib.crc32(content))
    with pytest.raises(ImageError, match="not a complete"):
        decode_compressed_color(plain[:33] + chunk + plain[33:])


def test_dim_images_of_sixteen_bits_are_stretched_as_raw_ones_are() -> None:
    shades = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) // 4
    seen = decode_compressed_color(bytes(cv2.imencode(".png", shades)[1]))
    np.testing.assert_array_equal(seen, decode_color("mono16", 64, 64, 128, False, shades.tobytes()))
    assert seen.max() == 255


def test_depth_of_several_channels_is_refused() -> None:
    data = png(np.zeros((4, 4, 3), np.uint16))
    for image_format, payload in ((PNG16, bytes(12) + data), ("16UC1; png compressed", data)):
        with pytest.raises(ImageError, match="PNG with 3 channels of 16 bits"):
            decode_compressed_depth(image_format, payload)


@given(st.binary(max_size=200), st.sampled_from([PNG16, PNG32, "16UC1; compressedDepth rvl", "", "jpeg"]))
def test_rubbish_is_an_image_error(data: bytes, image_format: str) -> None:
    for head in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"):
        for read in (decode_compressed_color, lambda d: decode_compressed_depth(image_format, d)):
            with contextlib.suppress(ImageError):
                read(head + data)
