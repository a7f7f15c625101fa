"""Image buffers as they stand in ``sensor_msgs`` -> arrays, and back. No ROS is needed.

Depth comes out in float32 meters with 0 for "no reading": the unit follows from the encoding
(REP-118: 32FC1 is meters, 16UC1 is millimeters), never from looking at the values.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_DEPTH_TYPES = {"16UC1": np.uint16, "mono16": np.uint16, "32FC1": np.float32}
_COLOR_TO_RGB = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
}
#: What :func:`decode_color` reads.
COLOR_ENCODINGS = tuple(_COLOR_TO_RGB)
_MILLIMETER = np.float32(0.001)

#: ``compressedDepth`` puts this before the image: int32 format (1 = inverse depth), float32 quantizers A and B.
_COMPRESSED_DEPTH_HEADER = struct.Struct("<iff")
_INVERSE_DEPTH = 1


class ImageError(ValueError):
    """An image message cannot be read; the text names the field, its value and what is accepted."""


def decode_depth(
    encoding: str, height: int, width: int, step: int, is_bigendian: bool, data: bytes | NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Raw depth image -> (H, W) float32 meters, 0 where there is no reading (0, NaN, inf, negative).

    Raises:
        ImageError: another encoding, or a buffer shorter than the sizes say.
    """
    if encoding not in _DEPTH_TYPES:
        raise ImageError(f"depth encoding '{encoding}' is not understood; use one of {', '.join(_DEPTH_TYPES)}")
    return to_meters(_pixels(np.dtype(_DEPTH_TYPES[encoding]), 1, height, width, step, is_bigendian, data)[..., 0])


def decode_color(
    encoding: str, height: int, width: int, step: int, is_bigendian: bool, data: bytes | NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Raw color image -> (H, W, 3) uint8 RGB.

    Raises:
        ImageError: another encoding, or a buffer shorter than the sizes say.
    """
    if encoding not in _COLOR_TO_RGB:
        raise ImageError(f"color encoding '{encoding}' is not understood; use one of {', '.join(_COLOR_TO_RGB)}")
    channels, code = _COLOR_TO_RGB[encoding]
    pixels = _pixels(np.dtype(np.uint8), channels, height, width, step, is_bigendian, data)
    packed = np.ascontiguousarray(pixels)
    return packed if code is None else np.asarray(cv2.cvtColor(packed, code), np.uint8)


def _pixels(
    dtype: np.dtype[Any],
    channels: int,
    height: int,
    width: int,
    step: int,
    is_bigendian: bool,
    data: bytes | NDArray[Any],
) -> NDArray[Any]:
    """View a row-padded buffer as (H, W, C) in native byte order."""
    row = width * channels * dtype.itemsize
    if height <= 0 or width <= 0 or step < row:
        raise ImageError(f"size {width}x{height} with step {step}: a row needs {row} bytes")
    buffer = np.frombuffer(data, np.uint8)
    # Some drivers leave the padding off the last row.
    if buffer.size < step * (height - 1) + row:
        raise ImageError(f"data holds {buffer.size} bytes, {height} rows of step {step} need {step * height}")
    stored = dtype.newbyteorder(">" if is_bigendian else "<")
    view = np.ndarray(
        (height, width, channels), stored, buffer, strides=(step, channels * dtype.itemsize, dtype.itemsize)
    )
    return view.astype(dtype, copy=False)


def to_meters(depth: NDArray[Any]) -> NDArray[np.float32]:
    """Depth values -> meters with 0 for no reading: uint16 is millimeters, float32 is meters.

    Raises:
        ImageError: another type.
    """
    if depth.dtype == np.uint16:
        return depth.astype(np.float32) * _MILLIMETER
    if depth.dtype == np.float32:
        return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))
    raise ImageError(f"depth of type {depth.dtype}: use uint16 millimeters (16UC1) or float32 meters (32FC1)")


def to_millimeters(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Meters -> uint16 millimeters; what is absent or beyond 65.535 m becomes 0."""
    millimeters = np.rint(np.nan_to_num(depth, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float64) * 1000)
    return np.where((millimeters > 0) & (millimeters <= 65535), millimeters, 0).astype(np.uint16)


def decode_compressed_color(data: bytes | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """JPEG or PNG -> (H, W, 3) uint8 RGB.

    Raises:
        ImageError: the buffer is no such image.
    """
    image = _imdecode(data, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def decode_compressed_depth(image_format: str, data: bytes | NDArray[np.uint8]) -> NDArray[np.float32]:
    """``compressedDepth`` (or a plain 16-bit PNG) -> (H, W) float32 meters, 0 for no reading.

    Args:
        image_format: the message's ``format``, e.g. ``16UC1; compressedDepth png``.

    Raises:
        ImageError: RVL or another codec, or the buffer is cut short.
    """
    buffer = np.frombuffer(data, np.uint8)
    if "rvl" in image_format.lower():
        raise ImageError(f"format '{image_format}': RVL is not supported; set the publisher's format to png")
    if "compressedDepth" not in image_format:
        return to_meters(_imdecode(buffer, cv2.IMREAD_UNCHANGED))
    if buffer.size <= _COMPRESSED_DEPTH_HEADER.size:
        raise ImageError(f"compressedDepth: {buffer.size} bytes is shorter than its header")
    kind, quantizer_a, quantizer_b = _COMPRESSED_DEPTH_HEADER.unpack_from(buffer)
    image = _imdecode(buffer[_COMPRESSED_DEPTH_HEADER.size :], cv2.IMREAD_UNCHANGED)
    if not image_format.strip().startswith("32FC1"):
        return to_meters(image)
    if kind != _INVERSE_DEPTH:
        raise ImageError(f"compressedDepth of 32FC1 has quantization {kind}; only inverse depth (1) is defined")
    return _from_inverse_depth(image, quantizer_a, quantizer_b)


def _from_inverse_depth(image: NDArray[Any], quantizer_a: float, quantizer_b: float) -> NDArray[np.float32]:
    """Undo compressed_depth_image_transport's quantization: depth = A / (value - B), value 0 = none."""
    values = image.astype(np.float32)
    with np.errstate(divide="ignore"):
        depth = quantizer_a / (values - quantizer_b)
    return to_meters(np.where(image > 0, depth, 0).astype(np.float32))


def _imdecode(data: bytes | NDArray[np.uint8], flags: int) -> NDArray[Any]:
    buffer = np.frombuffer(data, np.uint8)
    image = cv2.imdecode(buffer, flags) if buffer.size else None
    if image is None:
        raise ImageError(f"{buffer.size} bytes are not a complete JPEG or PNG image")
    return image


def encode_compressed_color(color: NDArray[np.uint8], quality: int = 90) -> bytes:
    """(H, W, 3) uint8 RGB -> JPEG bytes for a ``CompressedImage`` of format ``rgb8; jpeg compressed bgr8``."""
    _, buffer = cv2.imencode(".jpg", cv2.cvtColor(color, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(buffer)


def encode_compressed_depth(depth: NDArray[np.uint16], effort: int = 9) -> bytes:
    """(H, W) uint16 millimeters -> ``compressedDepth`` bytes of format ``16UC1; compressedDepth png``.

    Args:
        effort: PNG compression, 0 to 9; 1 takes a thirtieth of the time of 9 and a third more bytes.
    """
    _, buffer = cv2.imencode(".png", depth, [cv2.IMWRITE_PNG_COMPRESSION, effort])
    return _COMPRESSED_DEPTH_HEADER.pack(0, 0.0, 0.0) + bytes(buffer)
