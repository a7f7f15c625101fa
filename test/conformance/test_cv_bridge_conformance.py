"""What unipose_ros expects of cv_bridge: true of the real package and of the stand-in."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("sensor_msgs")
cv_bridge = pytest.importorskip("cv_bridge")
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

pytestmark = pytest.mark.ros
SIZE = (4, 6)
ENCODINGS = {
    "rgb8": (np.uint8, 3),
    "bgr8": (np.uint8, 3),
    "rgba8": (np.uint8, 4),
    "bgra8": (np.uint8, 4),
    "mono8": (np.uint8, 1),
    "mono16": (np.uint16, 1),
    "16UC1": (np.uint16, 1),
    "32FC1": (np.float32, 1),
    "8UC1": (np.uint8, 1),
    "8UC3": (np.uint8, 3),
    "bayer_rggb8": (np.uint8, 1),
    "bayer_grbg16": (np.uint16, 1),
    "yuv422": (np.uint8, 2),
    "yuv422_yuy2": (np.uint8, 2),
    "64FC2": (np.float64, 2),
}


@pytest.fixture
def bridge() -> Any:
    return cv_bridge.CvBridge()


def image(encoding: str) -> NDArray[Any]:
    dtype, channels = ENCODINGS[encoding]
    values = np.random.default_rng(7).integers(0, 250, (*SIZE, channels)).astype(dtype)
    return values[..., 0] if channels == 1 else values


def message(encoding: str, pixels: NDArray[Any], padding: int = 0, is_bigendian: bool = False) -> Image:
    stored = pixels.astype(pixels.dtype.newbyteorder(">" if is_bigendian else "<"))
    rows = [row.tobytes() + b"\xee" * padding for row in stored]
    return Image(
        encoding=encoding,
        height=pixels.shape[0],
        width=pixels.shape[1],
        step=len(rows[0]),
        is_bigendian=is_bigendian,
        data=b"".join(rows),
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_pixels_there_and_back(bridge: Any, encoding: str) -> None:
    pixels = image(encoding)
    sent = bridge.cv2_to_imgmsg(pixels, encoding)
    assert (sent.encoding, sent.height, sent.width) == (encoding, *SIZE)
    assert sent.step * sent.height == len(sent.data) == pixels.nbytes
    received = bridge.imgmsg_to_cv2(sent)
    assert received.dtype == pixels.dtype
    np.testing.assert_array_equal(received, pixels)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_padded_rows(bridge: Any, encoding: str) -> None:
    pixels = image(encoding)
    padding = 2 * pixels[0, 0].nbytes
    np.testing.assert_array_equal(bridge.imgmsg_to_cv2(message(encoding, pixels, padding)), pixels)


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1", "mono16"])
def test_big_endian_values_come_out_right(bridge: Any, encoding: str) -> None:
    # The real one of 2024 does this with NumPy 1 only, for which Jazzy builds it.
    pixels = image(encoding)
    received = bridge.imgmsg_to_cv2(message(encoding, pixels, is_bigendian=True))
    assert received.dtype.isnative
    np.testing.assert_array_equal(received, pixels)


def test_passthrough_names_the_plain_type(bridge: Any) -> None:
    assert bridge.cv2_to_imgmsg(image("bgr8")).encoding == "8UC3"
    assert bridge.cv2_to_imgmsg(image("16UC1")).encoding == "16UC1"
    assert bridge.cv2_to_imgmsg(np.zeros((2, 2), np.float32)).encoding == "32FC1"


def test_the_header_is_taken_over(bridge: Any) -> None:
    assert bridge.cv2_to_imgmsg(image("bgr8"), "bgr8", header=Header(frame_id="camera")).header.frame_id == "camera"


@pytest.mark.parametrize(
    ("source", "target", "code"),
    [
        ("rgb8", "bgr8", cv2.COLOR_RGB2BGR),
        ("bgr8", "rgb8", cv2.COLOR_BGR2RGB),
        ("rgb8", "mono8", cv2.COLOR_RGB2GRAY),
        ("bgra8", "rgb8", cv2.COLOR_BGRA2RGB),
        ("rgba8", "bgr8", cv2.COLOR_RGBA2BGR),
        ("bgr8", "bgra8", cv2.COLOR_BGR2BGRA),
        ("mono8", "rgb8", cv2.COLOR_GRAY2RGB),
        ("bayer_rggb8", "bgr8", cv2.COLOR_BayerBG2BGR),
        ("bayer_rggb8", "rgb8", cv2.COLOR_BayerBG2RGB),
        ("yuv422", "rgb8", cv2.COLOR_YUV2RGB_UYVY),
        ("yuv422_yuy2", "bgr8", cv2.COLOR_YUV2BGR_YUY2),
        ("yuv422_yuy2", "mono8", cv2.COLOR_YUV2GRAY_YUY2),
    ],
)
def test_colors_convert(bridge: Any, source: str, target: str, code: int) -> None:
    pixels = image(source)
    received = bridge.imgmsg_to_cv2(message(source, pixels), desired_encoding=target)
    np.testing.assert_array_equal(received, cv2.cvtColor(pixels, code))


def test_bayer_corner_pixel_has_the_color_its_name_says(bridge: Any) -> None:
    mosaic = np.zeros((8, 8), np.uint8)
    mosaic[0::2, 0::2] = 200  # the first of "rggb": red
    color = bridge.imgmsg_to_cv2(message("bayer_rggb8", mosaic), "rgb8")
    assert color[4, 4].tolist() == [200, 0, 0]


def test_white_stays_white_between_8_and_16_bits(bridge: Any) -> None:
    wide = bridge.imgmsg_to_cv2(message("mono8", np.array([[0, 1, 255]], np.uint8)), "mono16")
    assert wide.dtype == np.uint16
    assert wide.tolist() == [[0, 257, 65535]]
    narrow = bridge.imgmsg_to_cv2(message("mono16", np.array([[0, 128, 129, 65535]], np.uint16)), "mono8")
    assert narrow.tolist() == [[0, 0, 1, 255]]


def test_color_and_depth_of_bits_change_together(bridge: Any) -> None:
    white = np.full((2, 2, 3), 255, np.uint8)
    assert np.all(bridge.imgmsg_to_cv2(message("bgr8", white), "mono16") == 65535)


def test_plain_numbers_are_rounded_and_saturated(bridge: Any) -> None:
    meters = np.array([[1.4, 2.5, 70000.0, -3.0]], np.float32)
    assert bridge.imgmsg_to_cv2(message("32FC1", meters), "16UC1").tolist() == [[1, 2, 65535, 0]]
    millimeters = np.array([[1500]], np.uint16)
    assert bridge.imgmsg_to_cv2(message("16UC1", millimeters), "32FC1").tolist() == [[1500.0]]


@pytest.mark.parametrize(
    ("source", "target"),
    [("16UC1", "mono16"), ("32FC1", "bgr8"), ("bgr8", "8UC1"), ("8UC3", "bgr8"), ("mono8", "bayer_rggb8")],
)
def test_conversions_without_sense_are_refused(bridge: Any, source: str, target: str) -> None:
    with pytest.raises(cv_bridge.CvBridgeError):
        bridge.imgmsg_to_cv2(message(source, image(source)), target)


def test_an_unknown_encoding_is_refused(bridge: Any) -> None:
    with pytest.raises(cv_bridge.CvBridgeError):
        bridge.imgmsg_to_cv2(Image(encoding="cmyk8", height=1, width=1, step=4, data=bytes(4)))
    with pytest.raises(cv_bridge.CvBridgeError):
        bridge.imgmsg_to_cv2(message("rgb8", image("rgb8")), "cmyk8")


def test_an_encoding_must_fit_the_array(bridge: Any) -> None:
    with pytest.raises(cv_bridge.CvBridgeError):
        bridge.cv2_to_imgmsg(image("mono8"), "bgr8")
    with pytest.raises(TypeError):
        bridge.cv2_to_imgmsg([[1, 2]], "mono8")
    assert issubclass(cv_bridge.CvBridgeError, TypeError)


def test_png_is_lossless_in_8_and_16_bits(bridge: Any) -> None:
    for encoding in ("bgr8", "16UC1"):
        sent = bridge.cv2_to_compressed_imgmsg(image(encoding), dst_format="png")
        assert sent.format == "png"
        np.testing.assert_array_equal(bridge.compressed_imgmsg_to_cv2(sent), image(encoding))


def test_jpeg_comes_in_opencv_order_unless_another_is_desired(bridge: Any) -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 2] = 250
    sent = bridge.cv2_to_compressed_imgmsg(red)
    assert (type(sent), sent.format) == (CompressedImage, "jpg")
    blue_first = bridge.compressed_imgmsg_to_cv2(sent)
    np.testing.assert_allclose(blue_first[8, 8], [0, 0, 250], atol=6)
    np.testing.assert_allclose(bridge.compressed_imgmsg_to_cv2(sent, "rgb8"), blue_first[..., ::-1])
    assert bridge.compressed_imgmsg_to_cv2(sent, "mono8").shape == (16, 16)


def test_types_by_name(bridge: Any) -> None:
    assert bridge.encoding_to_dtype_with_channels("bgr8") == ("uint8", 3)
    assert bridge.encoding_to_dtype_with_channels("32FC1") == ("float32", 1)
    assert bridge.dtype_with_channels_to_cvtype2(np.dtype(np.uint16), 1) == "16UC1"
