"""Image buffers as they stand in ``sensor_msgs`` -> arrays, and back. No ROS is needed.

Depth comes out in float32 meters with 0 for "no reading": the unit follows from the encoding
(REP-118: 32FC1 is meters, 16UC1 is millimeters), never from looking at the values.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import MOST_PIXELS
from unipose_ros.files import write_atomic
from unipose_ros.image_formats import ImageHeader, RvlError, decode_rvl, png16_pixels, read_header, rvl_size

_DEPTH_TYPES = {"16UC1": np.uint16, "mono16": np.uint16, "32FC1": np.float32}
#: Color encodings: channels as they lie in the buffer, their type, and OpenCV's conversion to RGB. OpenCV names a
#: Bayer pattern by its second row and column, ROS by its first.
_COLOR_TO_RGB: dict[str, tuple[int, type, int | None]] = {
    "rgb8": (3, np.uint8, None),
    "bgr8": (3, np.uint8, cv2.COLOR_BGR2RGB),
    "rgba8": (4, np.uint8, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, np.uint8, cv2.COLOR_BGRA2RGB),
    "mono8": (1, np.uint8, cv2.COLOR_GRAY2RGB),
    "rgb16": (3, np.uint16, None),
    "bgr16": (3, np.uint16, cv2.COLOR_BGR2RGB),
    "rgba16": (4, np.uint16, cv2.COLOR_RGBA2RGB),
    "bgra16": (4, np.uint16, cv2.COLOR_BGRA2RGB),
    "mono16": (1, np.uint16, cv2.COLOR_GRAY2RGB),
    **{
        f"bayer_{ours}{bits}": (1, kind, code)
        for bits, kind in ((8, np.uint8), (16, np.uint16))
        for ours, code in (
            ("rggb", cv2.COLOR_BAYER_BG2RGB),
            ("bggr", cv2.COLOR_BAYER_RG2RGB),
            ("gbrg", cv2.COLOR_BAYER_GR2RGB),
            ("grbg", cv2.COLOR_BAYER_GB2RGB),
        )
    },
    "yuv422": (2, np.uint8, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": (2, np.uint8, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": (2, np.uint8, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": (2, np.uint8, cv2.COLOR_YUV2RGB_YUY2),
}
#: Brightness in full size, then color at half of it in both directions.
_TWO_PLANES = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}
#: What :func:`decode_color` reads.
COLOR_ENCODINGS = (*_COLOR_TO_RGB, *_TWO_PLANES)
#: Scans of a JPEG: each goes through the whole image, however few bytes it has.
_MOST_SCANS = 100
#: Bytes by which the pixels of a small PNG may be larger than they are.
_SLACK = 1 << 16
_MILLIMETER = np.float32(0.001)
#: 16-bit images of which one pixel in two hundred at most is brighter than this use a part of their range only, as
#: infrared cameras and 12-bit sensors do: they are stretched, for dark images show no person.
_DIM, _BRIGHT_FRACTION = 65535 / 4, 99.5

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
    if encoding in _TWO_PLANES:
        return _from_two_planes(encoding, height, width, step, data)
    if encoding not in _COLOR_TO_RGB:
        raise ImageError(f"color encoding '{encoding}' is not understood; use one of {', '.join(COLOR_ENCODINGS)}")
    channels, kind, code = _COLOR_TO_RGB[encoding]
    pixels = np.ascontiguousarray(_pixels(np.dtype(kind), channels, height, width, step, is_bigendian, data))
    return _eight_bits(pixels if code is None else _converted(pixels, code, encoding))


def _converted(pixels: NDArray[Any], code: int, encoding: str) -> NDArray[Any]:
    try:
        return np.asarray(cv2.cvtColor(pixels, code))
    except cv2.error as error:
        raise ImageError(
            f"an image of {pixels.shape[1]}x{pixels.shape[0]} cannot be '{encoding}': {error.err}"
        ) from error


def _eight_bits(color: NDArray[Any]) -> NDArray[np.uint8]:
    """8 bits as they are; of 16 the upper ones, or those that are in use in a dim image."""
    if color.dtype == np.uint8:
        return color
    bright = float(np.percentile(color[::4, ::4], _BRIGHT_FRACTION))
    white = bright if 0 < bright < _DIM else 65535.0
    return np.asarray(cv2.convertScaleAbs(color.astype(np.float32), alpha=255.0 / white), np.uint8)


def _from_two_planes(
    encoding: str, height: int, width: int, step: int, data: bytes | NDArray[np.uint8]
) -> NDArray[np.uint8]:
    if height % 2 or width % 2:
        raise ImageError(f"size {width}x{height}: '{encoding}' has even sides")
    pixels = _pixels(np.dtype(np.uint8), 1, height * 3 // 2, width, step, False, data)[..., 0]
    return np.asarray(_converted(np.ascontiguousarray(pixels), _TWO_PLANES[encoding], encoding), np.uint8)


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
    _check_size("image", width, height)
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


def compressed_size(data: bytes | NDArray[np.uint8]) -> tuple[int, int]:
    """Width and height that the header of a JPEG or PNG claims, without decoding it.

    Raises:
        ImageError: the buffer is no complete such image, or claims more pixels than any camera has.
    """
    header = _header(np.frombuffer(data, np.uint8))
    return header.width, header.height


def decode_compressed_color(data: bytes | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """JPEG or PNG -> (H, W, 3) uint8 RGB, as the sensor has the pixels: an orientation in EXIF is not applied.

    Raises:
        ImageError: the buffer is no such image.
    """
    buffer = np.frombuffer(data, np.uint8)
    _header(buffer)
    image = _imdecode(buffer, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION)
    return _eight_bits(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def compressed_depth_size(image_format: str, data: bytes | NDArray[np.uint8]) -> tuple[int, int]:
    """Width and height that compressed depth claims, as :func:`compressed_size`."""
    payload = _depth_payload(image_format, np.frombuffer(data, np.uint8))[0]
    return _rvl_size(payload) if _is_rvl(image_format) else compressed_size(payload)


def decode_compressed_depth(image_format: str, data: bytes | NDArray[np.uint8]) -> NDArray[np.float32]:
    """``compressedDepth`` of PNG or RVL (or a plain 16-bit PNG) -> (H, W) float32 meters, 0 for no reading.

    Args:
        image_format: the message's ``format``, e.g. ``16UC1; compressedDepth png``.

    Raises:
        ImageError: another codec, or the buffer is cut short.
    """
    payload, quantization = _depth_payload(image_format, np.frombuffer(data, np.uint8))
    stored = _decode_rvl(payload) if _is_rvl(image_format) else decode_png16(payload)
    return to_meters(stored) if quantization is None else _from_inverse_depth(stored, *quantization)


def _depth_payload(
    image_format: str, buffer: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], tuple[float, float] | None]:
    """What is compressed, and the quantization of meters where there is one."""
    if "compressedDepth" not in image_format:
        return buffer, None
    if buffer.size <= _COMPRESSED_DEPTH_HEADER.size:
        raise ImageError(f"compressedDepth: {buffer.size} bytes is shorter than its header")
    kind, quantizer_a, quantizer_b = _COMPRESSED_DEPTH_HEADER.unpack_from(buffer)
    payload = buffer[_COMPRESSED_DEPTH_HEADER.size :]
    if not image_format.strip().startswith("32FC1"):
        return payload, None
    if kind != _INVERSE_DEPTH:
        raise ImageError(f"compressedDepth of 32FC1 has quantization {kind}; only inverse depth (1) is defined")
    return payload, (quantizer_a, quantizer_b)


def _is_rvl(image_format: str) -> bool:
    return "rvl" in image_format.lower()


def _rvl_size(payload: NDArray[np.uint8]) -> tuple[int, int]:
    try:
        width, height = rvl_size(payload)
    except RvlError as error:
        raise ImageError(str(error)) from error
    _check_size("RVL", width, height)
    return width, height


def _decode_rvl(payload: NDArray[np.uint8]) -> NDArray[np.uint16]:
    _rvl_size(payload)
    try:
        return decode_rvl(payload)
    except RvlError as error:
        raise ImageError(str(error)) from error


def decode_png16(data: bytes | NDArray[np.uint8]) -> NDArray[np.uint16]:
    """PNG of one channel with 16 bits -> (H, W) uint16 as stored.

    Raises:
        ImageError: it is something else, or cut short.
    """
    payload = np.frombuffer(data, np.uint8)
    header = _header(payload)
    if header.kind != "PNG" or header.channels != 1 or header.bits != 16:
        raise ImageError(
            f"depth is stored as {header.kind} with {header.channels} channels of {header.bits} bits; use PNG of "
            "one channel with 16 bits"
        )
    pixels = png16_pixels(payload, header)
    return np.asarray(_imdecode(payload, cv2.IMREAD_UNCHANGED), np.uint16) if pixels is None else pixels


def _from_inverse_depth(stored: NDArray[Any], quantizer_a: float, quantizer_b: float) -> NDArray[np.float32]:
    """Undo compressed_depth_image_transport's quantization: depth = A / (value - B), value 0 = none."""
    values = stored.astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        depth = np.float32(quantizer_a) / (values - np.float32(quantizer_b))
    return to_meters(np.where(stored > 0, depth, 0).astype(np.float32))


def _header(buffer: NDArray[np.uint8]) -> ImageHeader:
    """What a JPEG or PNG says of itself.

    Raises:
        ImageError: it is neither, or not complete, or claims more pixels than any camera has, or would take many times
            as long as its size needs.
    """
    header = read_header(buffer)
    if header is None:
        raise ImageError(f"{buffer.size} bytes are not a complete JPEG or PNG image")
    _check_size(header.kind, header.width, header.height)
    if header.scans > _MOST_SCANS:
        raise ImageError(f"JPEG of {header.scans} scans; cameras send one, progressive ones some ten")
    if header.packed > 2 * header.pixel_bytes + _SLACK:
        raise ImageError(f"PNG of {header.width}x{header.height} whose pixels take {header.packed} bytes")
    return header


def _check_size(what: str, width: int, height: int) -> None:
    """Refuse to make arrays that no camera's image needs."""
    if width * height > MOST_PIXELS:
        raise ImageError(f"{what} of size {width}x{height}: more than {MOST_PIXELS} pixels")


def _imdecode(buffer: NDArray[np.uint8], flags: int) -> NDArray[Any]:
    try:
        image = cv2.imdecode(buffer, flags)
    except cv2.error as error:
        raise ImageError(f"{buffer.size} bytes cannot be decoded: {error.err}") from error
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


# Images from and to files, whatever their names, with errors that name them.


def write_image(path: Path, image: NDArray[Any], *options: int) -> None:
    """Write an image at once or not at all; its folder is made.

    OpenCV's own writing meets a full disk, a missing folder and a name that is no UTF-8 with a ``False`` that is
    easily ignored.

    Args:
        path: its suffix is the format.
        image: (H, W) or (H, W, 3) RGB.
        options: pairs of OpenCV's ``IMWRITE_*`` and their values.

    Raises:
        OSError: it cannot be written; the error names the file.
        ValueError: there is no such format, or it does not take such an image.
    """
    stored = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    try:
        good, buffer = cv2.imencode(path.suffix, stored, options)
    except cv2.error as error:
        raise ValueError(f"{path}: an image cannot be written as '{path.suffix}'; use .png or .jpg") from error
    if not good:
        raise ValueError(f"{path}: an image of {image.dtype}{list(image.shape)} cannot be written as '{path.suffix}'")
    write_atomic(path, np.asarray(buffer).tobytes())
