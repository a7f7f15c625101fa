"""Image formats that are read here rather than by OpenCV: headers of PNG and JPEG, and RVL-compressed depth."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.compiled import ENABLED, compiled, compiled_part

try:
    from isal import isal_zlib
except ImportError:  # optional
    isal_zlib = None

# What a JPEG or PNG says of its size, before anything is decoded or allocated for it.

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_JPEG = b"\xff\xd8"
_END_OF_JPEG = b"\xff\xd9"
#: Markers with a frame header: all that begin a frame but those of tables (C4, C8, CC).
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SCAN, _ALONE = 0xDA, {0x01, *range(0xD0, 0xD8)}


@dataclass(frozen=True)
class ImageHeader:
    """Of a compressed image.

    Attributes:
        kind: ``JPEG`` or ``PNG``.
        width, height: in pixels, as the sensor has them.
        channels: per pixel, as stored; a palette counts as its colors.
        bits: per channel, as stored.
        scans: how often a decoder goes through all pixels, at most: a JPEG may have any number of scans.
        packed: bytes that hold the pixels of a PNG; 0 for a JPEG. They may unpack to a thousand times as many.
    """

    kind: str
    width: int
    height: int
    channels: int
    bits: int
    scans: int = 1
    packed: int = 0

    @property
    def pixel_bytes(self) -> int:
        """Of all pixels, not compressed."""
        return self.width * self.height * self.channels * self.bits // 8


def read_header(data: NDArray[np.uint8]) -> ImageHeader | None:
    """The header; ``None`` where the bytes are no complete JPEG or PNG."""
    raw = data.tobytes()
    if raw.startswith(_PNG):
        return _png(raw)
    return _jpeg(raw) if raw.startswith(_JPEG) else None


def _png(raw: bytes) -> ImageHeader | None:
    """Chunks of length, type, content and checksum; the first is IHDR, and IEND has to be reached."""
    header, at, packed = None, len(_PNG), 0
    while at + 12 <= len(raw):
        length, kind = struct.unpack_from(">I4s", raw, at)
        if at + 12 + length > len(raw):
            return None
        if kind == b"IHDR" and length == 13:
            width, height, bits, colors = struct.unpack_from(">IIBB", raw, at + 8)
            header = ImageHeader("PNG", width, height, _PNG_CHANNELS.get(colors, 0), bits)
        if header is None or kind == b"acTL":  # what an animation shows first need not be the image
            return None
        if kind == b"IDAT":
            packed += length
        if kind == b"IEND":
            whole = min(header.width, header.height, header.channels) > 0
            return replace(header, packed=packed) if whole else None
        at += 12 + length
    return None


def _jpeg(raw: bytes) -> ImageHeader | None:
    """Segments of marker and length until the first scan; the end of the image has to follow it somewhere."""
    header, at = None, len(_JPEG)
    while at + 4 <= len(raw):
        if raw[at] != 0xFF:
            return None
        marker = raw[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker in _ALONE:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", raw, at + 2)
        if marker in _FRAMES and at + 10 <= len(raw):
            bits, height, width, channels = struct.unpack_from(">BHHB", raw, at + 4)
            header = ImageHeader("JPEG", width, height, channels, bits)
        if marker == _SCAN:
            if raw.rfind(_END_OF_JPEG) < at or not header or min(header.width, header.height, header.channels) == 0:
                return None
            # In the coded data FF stands before 00 and markers alone; tables between scans hardly ever hold FF DA.
            return replace(header, scans=raw.count(bytes((0xFF, _SCAN)), at))
        at += 2 + length
    return None


# PNG of depth unpacked by Intel's ISA-L, in half of the time that zlib takes, and the filters of its rows undone here.

#: Where packed pixels take less than this fraction of their bytes, zlib is as fast.
_HARDLY_PACKED = 0.25


def png16_pixels(data: NDArray[np.uint8], header: ImageHeader) -> NDArray[np.uint16] | None:
    """(H, W) pixels of a PNG of gray with 16 bits.

    ``None`` where isal or Numba is not installed, where it would gain nothing, and for whatever is not wholly in
    order: OpenCV is given that, and says what is wrong.

    Args:
        header: as :func:`read_header` has read it.
    """
    if isal_zlib is None or not ENABLED or header.packed < _HARDLY_PACKED * header.pixel_bytes:
        return None
    parts = _pixel_chunks(memoryview(data))
    if parts is None:
        return None
    # One byte before each row names its filter.
    size = header.pixel_bytes + header.height
    unpacking = isal_zlib.decompressobj()
    try:
        packed = parts[0] if len(parts) == 1 else b"".join(parts)
        rows = np.frombuffer(unpacking.decompress(packed, size + 1), np.uint8)
    except isal_zlib.error:
        return None
    if len(rows) != size or not unpacking.eof or unpacking.unused_data:
        return None
    pixels = _without_filters(rows.reshape(header.height, -1))
    return pixels if len(pixels) else None


@compiled_part()
def _nearest(left: np.int32, up: np.int32, corner: np.int32) -> np.int32:
    """Paeth's predictor: of equals left comes before up, and up before corner."""
    to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    vertical = up if to_up <= to_corner else corner
    return left if (to_left <= to_up) & (to_left <= to_corner) else vertical


@compiled(None, "u2[:,::1](u1[:,::1])")
def _without_filters(rows: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """(H, 1 + 2 W) bytes, of which the first names the row's filter -> (H, W) (PNG 3rd edition, section 9).

    Empty where there is no such filter.
    """
    height, size = rows.shape[0], rows.shape[1] - 1
    pixels: NDArray[np.uint16] = np.empty((height, size // 2), np.uint16)
    above, row = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    for number in range(height):
        kind, given = rows[number, 0], rows[number, 1:]
        if kind == 0:
            row[:] = given
        elif kind == 1:
            row[:2] = given[:2]
            for at in range(2, size):
                row[at] = given[at] + row[at - 2]
        elif kind == 2:
            for at in range(size):
                row[at] = given[at] + above[at]
        elif kind == 3:
            for at in range(size):
                left = np.int32(row[at - 2]) if at >= 2 else np.int32(0)
                row[at] = given[at] + ((left + above[at]) >> 1)
        elif kind == 4:
            high, low, high_corner, low_corner = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
            for at in range(0, size, 2):  # two bytes at once: neither waits for the other
                high_up, low_up = np.int32(above[at]), np.int32(above[at + 1])
                high = (given[at] + _nearest(high, high_up, high_corner)) & 255
                low = (given[at + 1] + _nearest(low, low_up, low_corner)) & 255
                high_corner, low_corner = high_up, low_up
                row[at], row[at + 1] = high, low
        else:
            return np.empty((0, 0), np.uint16)
        for at in range(size // 2):
            pixels[number, at] = (np.uint16(row[2 * at]) << 8) | row[2 * at + 1]
        above, row = row, above
    return pixels


def _pixel_chunks(view: memoryview) -> list[memoryview] | None:
    """What the IDAT chunks hold; ``None`` where a checksum is wrong, or a chunk changes what the pixels mean."""
    at, parts = len(_PNG), []
    while True:
        length, kind = struct.unpack_from(">I4s", view, at)
        content = view[at + 8 : at + 8 + length]
        if struct.unpack_from(">I", view, at + 8 + length)[0] != isal_zlib.crc32(content, isal_zlib.crc32(kind)):
            return None
        # The last byte of IHDR: rows that come interlaced. Other chunks than these, and small letters first, matter.
        if (kind == b"IHDR" and content[12]) or (kind not in (b"IHDR", b"IDAT", b"IEND") and not kind[0] & 0x20):
            return None
        if kind == b"IDAT":
            parts.append(content)
        if kind == b"IEND":
            return parts
        at += 12 + length


# RVL, the depth compression of ``compressed_depth_image_transport`` beside PNG.
#
# Run lengths and differences as variable-length integers: Wilson, "Fast Lossless Depth Image Compression", ISS 2017.

#: Before the stream: columns and rows.
_SIZE = struct.Struct("<II")
#: A value has 16 bits and a sign: six groups of three bits; lengths of runs have a few more.
_MOST_NIBBLES = 10


class RvlError(ValueError):
    """The stream does not hold the image that it announces."""


def rvl_size(data: NDArray[np.uint8]) -> tuple[int, int]:
    """Width and height that a stream announces.

    Raises:
        RvlError: it is shorter than that.
    """
    if data.size < _SIZE.size:
        raise RvlError(f"RVL: {data.size} bytes are shorter than the size in front of the stream")
    width, height = _SIZE.unpack_from(data)
    return int(width), int(height)


def decode_rvl(data: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """A stream with its size in front -> (H, W) uint16.

    The caller has checked the size with :func:`rvl_size`.

    Raises:
        RvlError: the stream ends too early, or holds more than its size.
    """
    width, height = rvl_size(data)
    numbers = _numbers(data[_SIZE.size :])
    pixels = np.zeros(width * height, np.uint16)
    placed: list[NDArray[np.intp]] = []
    taken: list[NDArray[np.int64]] = []
    at = read = 0
    while at < pixels.size:
        if read + 2 > numbers.size:
            raise RvlError(f"RVL: the stream ends after {at} of {width}x{height} pixels")
        zeros, values = int(numbers[read]), int(numbers[read + 1])
        at, read = at + zeros, read + 2
        if at + values > pixels.size or read + values > numbers.size or zeros + values == 0:
            raise RvlError(f"RVL: a run of {zeros} zeros and {values} values does not fit {width}x{height} pixels")
        placed.append(np.arange(at, at + values))
        taken.append(numbers[read : read + values])
        at, read = at + values, read + values
    if placed:
        coded = np.concatenate(taken)
        # Zigzag: 0, -1, 1, -2, ... The difference is to the value before, past any zeros between them.
        pixels[np.concatenate(placed)] = np.cumsum((coded >> 1) ^ -(coded & 1)).astype(np.uint16)
    return pixels.reshape(height, width)


def _numbers(stream: NDArray[np.uint8]) -> NDArray[np.int64]:
    """All variable-length integers of a stream: nibbles of three bits, low ones first, the fourth says "more"."""
    bytes_in_order = stream[: stream.size // 4 * 4].reshape(-1, 4)[:, ::-1].reshape(-1)
    nibbles = np.stack([bytes_in_order >> 4, bytes_in_order & 15], axis=1).reshape(-1)
    ends = np.flatnonzero(nibbles < 8)
    starts = np.concatenate([[0], ends[:-1] + 1]) if ends.size else ends
    lengths = ends - starts + 1
    if (lengths > _MOST_NIBBLES).any():
        raise RvlError("RVL: a number has more bits than any pixel or run")
    numbers = np.zeros(ends.size, np.int64)
    for place in range(int(lengths.max(initial=0))):
        longer = np.flatnonzero(lengths > place)
        numbers[longer] |= (nibbles[starts[longer] + place].astype(np.int64) & 7) << (3 * place)
    return numbers


def encode_rvl(depth: NDArray[np.uint16]) -> bytes:
    """(H, W) uint16 -> a stream with its size in front."""
    height, width = depth.shape
    values = depth.reshape(-1).astype(np.int64)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (values > 0).astype(np.int8), [0]])))
    differences = np.diff(np.concatenate([[0], values[values > 0]]))
    coded = (differences << 1) ^ (differences >> 63)
    nibbles: list[int] = []
    at = read = 0
    for start, end in edges.reshape(-1, 2):
        for number in (start - at, end - start, *coded[read : read + end - start]):
            _append(nibbles, int(number))
        at, read = int(end), read + int(end - start)
    if at < values.size:
        _append(nibbles, values.size - at)
        _append(nibbles, 0)
    nibbles += [0] * (-len(nibbles) % 8)
    groups = np.array(nibbles, np.uint32).reshape(-1, 8)
    words: NDArray[Any] = (groups << np.arange(28, -4, -4, dtype=np.uint32)).sum(axis=1, dtype=np.uint64).astype("<u4")
    return _SIZE.pack(width, height) + bytes(words)


def _append(nibbles: list[int], number: int) -> None:
    while True:
        number, low = number >> 3, number & 7
        nibbles.append(low | (8 if number else 0))
        if not number:
            return
