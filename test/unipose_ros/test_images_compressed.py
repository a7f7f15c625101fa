from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from unipose_ros.images import (
    ImageError,
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


def test_rvl_is_refused_with_the_remedy() -> None:
    with pytest.raises(ImageError, match="RVL is not supported; set the publisher's format to png"):
        decode_compressed_depth("16UC1; compressedDepth rvl", encode_compressed_depth(ramp()))


@pytest.mark.parametrize("size", [0, 4, 12])
def test_depth_shorter_than_its_header_is_refused(size: int) -> None:
    with pytest.raises(ImageError, match=f"{size} bytes is shorter than its header"):
        decode_compressed_depth(PNG16, encode_compressed_depth(ramp())[:size])


def test_a_depth_image_of_8_bits_is_refused() -> None:
    with pytest.raises(ImageError, match="depth of type uint8"):
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
