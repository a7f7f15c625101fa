"""PNG of depth that is decoded here against OpenCV's decoder; zlib, of the same interface, is ISA-L."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from unipose_ros import image_formats
from unipose_ros.compiled import ENABLED
from unipose_ros.image_formats import png16_pixels, read_header
from unipose_ros.images import ImageError, decode_png16

pytestmark = pytest.mark.skipif(not ENABLED, reason="without Numba OpenCV decodes everything")


@pytest.fixture(autouse=True)
def unpacker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_formats, "isal_zlib", zlib)


def noisy(height: int = 60, width: int = 80) -> NDArray[np.uint16]:
    """A wall that a depth camera reads, millimeters."""
    rng = np.random.default_rng(0)
    return (3000 + 200 * rng.normal(size=(height, width)).cumsum(axis=1) / 10).astype(np.uint16)


def png(image: NDArray[np.uint16], *flags: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.imencode(".png", image, list(flags))[1], np.uint8)


def pixels_of(data: bytes | bytearray | NDArray[np.uint8]) -> NDArray[np.uint16] | None:
    """As they are decoded here; ``None`` where they are left to OpenCV or, being no whole image, refused before."""
    buffer = np.frombuffer(data, np.uint8)
    header = read_header(buffer)
    return None if header is None else png16_pixels(buffer, header)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def written(image: NDArray[np.uint16], kind: int = 0, before: bytes = b"", interlaced: int = 0) -> bytearray:
    """A PNG in two IDAT chunks, its rows with a filter of one kind, whose pixels are not packed well."""
    height, width = image.shape
    rows = image.astype(">u2").view(np.uint8).reshape(height, 2 * width)
    around = np.pad(rows.astype(int), ((1, 0), (2, 0)))
    left, up, corner = around[1:, :-2], around[:-1, 2:], around[:-1, :-2]
    neighbors = np.stack([left, up, corner])
    nearest = np.abs(neighbors - (left + up - corner)).argmin(axis=0)  # of equals the first
    paeth = np.take_along_axis(neighbors, nearest[None], 0)[0]
    predicted = (0 * left, left, up, (left + up) // 2, paeth, 0 * left)[kind]
    filtered = (rows - predicted).astype(np.uint8)
    packed = zlib.compress(np.insert(filtered, 0, kind, axis=1).tobytes(), 1)
    size = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, interlaced)
    parts = (chunk(b"IDAT", packed[:50]), chunk(b"IDAT", packed[50:]))
    return bytearray(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + before + b"".join(parts) + chunk(b"IEND", b""))


@pytest.mark.parametrize("level", [0, 1, 3, 9])
@pytest.mark.parametrize("shape", [(60, 80), (480, 640), (1, 33), (7, 1)])
def test_pixels_are_the_same_bit_by_bit(shape: tuple[int, int], level: int) -> None:
    image = noisy(*shape)
    data = png(image, cv2.IMWRITE_PNG_COMPRESSION, level)
    assert pixels_of(data) is not None
    np.testing.assert_array_equal(decode_png16(data), image)


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4])
def test_filters_and_other_chunks_are_kept_or_left_out(kind: int) -> None:
    data = np.frombuffer(written(noisy(), kind, before=chunk(b"tEXt", b"a\0b")), np.uint8)
    assert pixels_of(data) is not None
    np.testing.assert_array_equal(decode_png16(data), noisy())
    np.testing.assert_array_equal(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), noisy())


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(written(noisy(), interlaced=1), id="interlaced"),
        pytest.param(written(noisy(), kind=5), id="no such filter"),
        pytest.param(written(noisy(), before=chunk(b"PLTE", b"abc")), id="critical chunk"),
        pytest.param(written(noisy())[:-20], id="cut short"),
        pytest.param(png(np.full((60, 80), 3000, np.uint16)), id="nothing to gain"),
    ],
)
def test_what_is_not_in_order_is_left_to_the_decoder(data: bytes | NDArray[np.uint8]) -> None:
    assert pixels_of(data) is None


@pytest.mark.parametrize("place", [20, 60, 500, -30])
def test_a_byte_that_changed_is_not_covered_up_by_new_checksums(place: int) -> None:
    data = written(noisy())
    data[place] ^= 1
    assert pixels_of(data) is None
    before = None
    try:
        before = decode_png16(bytes(data))
    except ImageError:
        return
    # OpenCV may forgive a checksum: then it is its image that is used.
    np.testing.assert_array_equal(before, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))


def test_without_the_unpacker_images_are_decoded_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_formats, "isal_zlib", None)
    assert pixels_of(png(noisy())) is None
    np.testing.assert_array_equal(decode_png16(png(noisy())), noisy())


@pytest.mark.parametrize("rows", [59, 61])
def test_more_or_fewer_rows_than_claimed_are_left_to_the_decoder(rows: int) -> None:
    data = written(noisy(rows, 80))
    struct.pack_into(">I", data, 20, 60)
    struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    assert pixels_of(data) is None
