"""What the encodings of ``sensor_msgs/image_encodings`` mean, and the way from one to another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_TYPES = {
    "8U": np.uint8, "8S": np.int8, "16U": np.uint16, "16S": np.int16,
    "32S": np.int32, "32F": np.float32, "64F": np.float64,
}  # fmt: skip
_NAMES = {np.dtype(kind).name: name for name, kind in _TYPES.items()}
_GENERIC = re.compile(r"(8U|8S|16U|16S|32S|32F|64F)(?:C(\d+))?")

#: Named encodings: family of colors and number of channels, 8 or 16 bits by their last digits.
_FAMILIES = {
    "mono": ("GRAY", 1), "rgb": ("RGB", 3), "bgr": ("BGR", 3), "rgba": ("RGBA", 4), "bgra": ("BGRA", 4),
    # OpenCV names a Bayer pattern by its second row, second column; ROS by its first.
    "bayer_rggb": ("BayerBG", 1), "bayer_bggr": ("BayerRG", 1),
    "bayer_gbrg": ("BayerGR", 1), "bayer_grbg": ("BayerGB", 1),
}  # fmt: skip
_YUV = {"yuv422": "UYVY", "yuv422_yuy2": "YUY2"}


class EncodingError(ValueError):
    """An encoding is unknown, or there is no way from one to the other."""


@dataclass(frozen=True)
class Encoding:
    """One encoding.

    Attributes:
        dtype: of one channel.
        channels: per pixel.
        color: OpenCV's name of the color space; empty for plain numbers such as ``16UC1``.
    """

    dtype: np.dtype[Any]
    channels: int
    color: str = ""


def parse(name: str) -> Encoding:
    """Look an encoding up.

    Raises:
        EncodingError: it is unknown.
    """
    generic = _GENERIC.fullmatch(name)
    if generic:
        return Encoding(np.dtype(_TYPES[generic[1]]), int(generic[2] or 1))
    if name in _YUV:
        return Encoding(np.dtype(np.uint8), 2, _YUV[name])
    for bits, kind in (("16", np.uint16), ("8", np.uint8)):
        if name.endswith(bits) and name.removesuffix(bits) in _FAMILIES:
            color, channels = _FAMILIES[name.removesuffix(bits)]
            return Encoding(np.dtype(kind), channels, color)
    raise EncodingError(f"Unrecognized image encoding [{name}]")


def generic_name(dtype: np.dtype[Any], channels: int) -> str:
    """The name of plain numbers, e.g. ``8UC3``.

    Raises:
        KeyError: OpenCV has no such type.
    """
    return f"{_NAMES[dtype.name]}C{channels}"


def convert(image: NDArray[Any], source: str, target: str) -> NDArray[Any]:
    """From one encoding to another.

    8 and 16 bits are scaled so that white stays white; other types are rounded and saturated.

    Raises:
        EncodingError: the conversion makes no sense or OpenCV has none.
    """
    if source == target:
        return image
    old, new = parse(source), parse(target)
    if not (old.color and new.color):
        _require_plain(source, old, target, new)
        return _change_type(image, new.dtype)
    if old.color != new.color:
        image = cv2.cvtColor(image, _conversion_code(old.color, new.color, source, target))
    return _change_type(image, new.dtype) if old.dtype != new.dtype else image


def _require_plain(source: str, old: Encoding, target: str, new: Encoding) -> None:
    if not old.color and new.color:
        raise EncodingError(f"[{source}] is not a color format. but [{target}] is. The conversion does not make sense")
    if old.channels != new.channels:
        raise EncodingError(f"[{source}] and [{target}] do not have the same number of channel")


def _conversion_code(old: str, new: str, source: str, target: str) -> int:
    name = f"COLOR_YUV2{new}_{old}" if old in _YUV.values() else f"COLOR_{old}2{new}"
    code = getattr(cv2, name, None)
    # OpenCV has more Bayer conversions (to BGRA) than cv_bridge offers.
    if code is None or (old.startswith("Bayer") and new.endswith("A")):
        raise EncodingError(f"Unsupported conversion from [{source}] to [{target}]")
    return int(code)


def _change_type(image: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """OpenCV's ``convertTo``: round half to even and saturate."""
    if image.dtype == dtype:
        return image.copy()
    scale = {(8, 16): 65535 / 255, (16, 8): 255 / 65535}.get((image.itemsize * 8, dtype.itemsize * 8), 1.0)
    scaled = image.astype(np.float64) * scale
    if dtype.kind == "f":
        return scaled.astype(dtype)
    limits = np.iinfo(dtype)
    rounded = np.where(np.isfinite(scaled), np.rint(scaled), limits.min)
    return np.clip(rounded, limits.min, limits.max).astype(dtype)
