"""The bridge itself."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from . import encodings


class CvBridgeError(TypeError):
    """An image cannot be converted."""


class CvBridge:
    """Converts between ``sensor_msgs`` images and arrays; one-channel images are (H, W)."""

    def dtype_with_channels_to_cvtype2(self, dtype: np.dtype[Any], n_channels: int) -> str:
        """``uint8``, 3 -> ``8UC3``."""
        return encodings.generic_name(dtype, n_channels)

    def encoding_to_dtype_with_channels(self, encoding: str) -> tuple[str, int]:
        """``bgr8`` -> ``uint8``, 3.

        Raises:
            CvBridgeError: the encoding is unknown.
        """
        parsed = self._parse(encoding)
        return parsed.dtype.name, parsed.channels

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = "passthrough") -> NDArray[Any]:
        """Pixels of a message in native byte order, converted if another encoding is desired.

        Raises:
            CvBridgeError: an encoding is unknown, or there is no way from one to the other.
        """
        parsed = self._parse(img_msg.encoding)
        stored = parsed.dtype.newbyteorder(">" if img_msg.is_bigendian else "<")
        pixels_a_row = img_msg.step // stored.itemsize // parsed.channels
        shape = (img_msg.height, pixels_a_row, parsed.channels)[: 2 if parsed.channels == 1 else 3]
        padded = np.ndarray(shape, stored, buffer=img_msg.data)
        image = np.ascontiguousarray(padded[:, : img_msg.width], dtype=parsed.dtype)
        return self._convert(image, img_msg.encoding, desired_encoding)

    def cv2_to_imgmsg(self, cvim: NDArray[Any], encoding: str = "passthrough", header: Header | None = None) -> Image:
        """A message of these pixels.

        Raises:
            CvBridgeError: the array is not of the type that the encoding has.
            TypeError: not an array.
        """
        _require_array(cvim)
        actual = encodings.generic_name(cvim.dtype, 1 if cvim.ndim < 3 else cvim.shape[2])
        message = Image()
        message.height, message.width = cvim.shape[:2]
        message.encoding = actual if encoding == "passthrough" else encoding
        if header is not None:
            message.header = header
        parsed = self._parse(message.encoding)
        if encodings.generic_name(parsed.dtype, parsed.channels) != actual:
            raise CvBridgeError(f"encoding specified as {encoding}, but image has incompatible type {actual}")
        message.is_bigendian = cvim.dtype.byteorder == ">"
        message.data.frombytes(cvim.tobytes())
        message.step = len(message.data) // message.height
        return message

    def compressed_imgmsg_to_cv2(
        self, cmprs_img_msg: CompressedImage, desired_encoding: str = "passthrough"
    ) -> NDArray[Any]:
        """Pixels of a JPEG or PNG in OpenCV's order (BGR), or in the desired encoding.

        As upstream, it knows nothing of ``compressedDepth``.
        """
        image: Any = cv2.imdecode(np.frombuffer(cmprs_img_msg.data, np.uint8), cv2.IMREAD_UNCHANGED)
        return self._convert(image, "bgr8", desired_encoding)

    def cv2_to_compressed_imgmsg(self, cvim: NDArray[Any], dst_format: str = "jpg") -> CompressedImage:
        """A message with the pixels as a file of this format (``jpg``, ``png``, ...).

        Raises:
            TypeError: not an array.
        """
        _require_array(cvim)
        message = CompressedImage()
        message.format = dst_format
        message.data.frombytes(cv2.imencode(f".{dst_format}", cvim)[1].tobytes())
        return message

    def _parse(self, encoding: str) -> encodings.Encoding:
        try:
            return encodings.parse(encoding)
        except encodings.EncodingError as error:
            raise CvBridgeError(error) from error

    def _convert(self, image: NDArray[Any], source: str, target: str) -> NDArray[Any]:
        if target == "passthrough":
            return image
        try:
            return encodings.convert(image, source, target)
        except encodings.EncodingError as error:
            raise CvBridgeError(error) from error


def _require_array(image: object) -> None:
    if not isinstance(image, (np.ndarray, np.generic)):
        raise TypeError("Your input type is not a numpy array")
