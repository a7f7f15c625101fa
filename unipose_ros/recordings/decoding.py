"""Messages -> arrays. The messages may be ROS ones or those of a recording: only the fields count."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.images import (
    ImageError,
    decode_colour,
    decode_compressed_colour,
    decode_compressed_depth,
    decode_depth,
)

#: sensor_msgs/PointField datatypes that a coordinate may have.
_COORDINATES = {7: "f4", 8: "f8"}


def stamp_of(message: Any) -> int:
    """Acquisition time of a message with a header, in nanoseconds."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def read_colour(message: Any) -> NDArray[np.uint8]:
    """``Image`` or ``CompressedImage`` -> (H, W, 3) uint8 RGB.

    Raises:
        ImageError: the encoding is not understood or the buffer is incomplete.
    """
    if hasattr(message, "format"):
        return decode_compressed_colour(message.data)
    return decode_colour(
        message.encoding, message.height, message.width, message.step, bool(message.is_bigendian), message.data
    )


def read_depth(message: Any) -> NDArray[np.float32]:
    """``Image`` or ``CompressedImage`` -> (H, W) float32 metres, 0 for no reading.

    Raises:
        ImageError: the encoding is not understood or the buffer is incomplete.
    """
    if hasattr(message, "format"):
        return decode_compressed_depth(message.format, message.data)
    return decode_depth(
        message.encoding, message.height, message.width, message.step, bool(message.is_bigendian), message.data
    )


def read_points(message: Any) -> NDArray[np.float32]:
    """``PointCloud2`` -> (H, W, 3) float32 metres; H is 1 for an unorganised cloud.

    Raises:
        ImageError: there is no x, y or z of a float type, or the buffer is incomplete.
    """
    order = ">" if message.is_bigendian else "<"
    offsets = {field.name: (field.offset, field.datatype) for field in message.fields}
    for name in "xyz":
        if name not in offsets or offsets[name][1] not in _COORDINATES:
            raise ImageError(f"PointCloud2 has no float field '{name}'; its fields are {', '.join(offsets) or 'none'}")
    step, rows, row_step = message.point_step, message.height, message.row_step
    buffer = np.frombuffer(message.data, np.uint8)
    if buffer.size < rows * row_step or row_step < message.width * step:
        raise ImageError(f"PointCloud2 holds {buffer.size} bytes, {rows} rows of {row_step} need {rows * row_step}")
    columns = [
        np.ndarray((rows, message.width), order + _COORDINATES[kind], buffer, offset, (row_step, step))
        for offset, kind in (offsets[name] for name in "xyz")
    ]
    return np.stack(columns, axis=-1).astype(np.float32)
