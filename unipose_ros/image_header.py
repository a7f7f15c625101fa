"""What a JPEG or PNG says of its size, before anything is decoded or allocated for it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    """

    kind: str
    width: int
    height: int
    channels: int
    bits: int


def read_header(data: NDArray[np.uint8]) -> ImageHeader | None:
    """The header; ``None`` where the bytes are no complete JPEG or PNG."""
    raw = data.tobytes()
    if raw.startswith(_PNG):
        return _png(raw)
    return _jpeg(raw) if raw.startswith(_JPEG) else None


def _png(raw: bytes) -> ImageHeader | None:
    """Chunks of length, type, content and checksum; the first is IHDR, and IEND has to be reached."""
    header, at = None, len(_PNG)
    while at + 12 <= len(raw):
        length, kind = struct.unpack_from(">I4s", raw, at)
        if at + 12 + length > len(raw):
            return None
        if kind == b"IHDR" and length == 13:
            width, height, bits, colors = struct.unpack_from(">IIBB", raw, at + 8)
            header = ImageHeader("PNG", width, height, _PNG_CHANNELS.get(colors, 0), bits)
        if header is None:
            return None
        if kind == b"IEND":
            return header if min(header.width, header.height, header.channels) > 0 else None
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
            complete = raw.rfind(_END_OF_JPEG) > at
            return header if complete and header and min(header.width, header.height, header.channels) > 0 else None
        at += 2 + length
    return None
