from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from unipose_ros.camera import Camera, CameraError, rays

K = [600.0, 0.0, 320.0, 0.0, 610.0, 240.0, 0.0, 0.0, 1.0]
P = [580.0, 0.0, 318.0, -29.0, 0.0, 585.0, 238.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def info(**fields: object) -> SimpleNamespace:
    """As ``sensor_msgs/CameraInfo``; the real message has NumPy arrays for k and p, and array.array for d."""
    values = {"k": np.array(K), "p": np.array(P), "d": [], "width": 640, "height": 480, "distortion_model": "plumb_bob"}
    return SimpleNamespace(**(values | fields))


def test_a_raw_image_takes_k_and_d() -> None:
    camera = Camera.from_camera_info(info(d=[0.1, -0.2, 0.001, 0.002, 0.05]))
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (600, 610, 320, 240)
    assert camera.distortion == (0.1, -0.2, 0.001, 0.002, 0.05)
    assert (camera.width, camera.height) == (640, 480)


def test_a_rectified_image_takes_p_and_has_no_distortion() -> None:
    camera = Camera.from_camera_info(info(d=[0.1, -0.2, 0.001, 0.002, 0.05]), rectified=True)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (580, 585, 318, 238)
    assert camera.distortion == ()


@pytest.mark.parametrize("d", [[], [0.0] * 5, [0.0] * 8])
@pytest.mark.parametrize("model", ["plumb_bob", "", "none", "anything"])
def test_no_distortion_needs_no_model(d: list[float], model: str) -> None:
    assert Camera.from_camera_info(info(d=d, distortion_model=model)).distortion == ()


@pytest.mark.parametrize(
    ("model", "count"), [("plumb_bob", 4), ("plumb_bob", 5), ("rational_polynomial", 8), ("equidistant", 4)]
)
def test_models_are_read(model: str, count: int) -> None:
    camera = Camera.from_camera_info(info(d=[0.01] * count, distortion_model=model))
    assert (camera.model, len(camera.distortion)) == (model, count)


def test_an_unknown_model_with_distortion_is_refused() -> None:
    with pytest.raises(CameraError, match="distortion_model = 'kannala'"):
        Camera.from_camera_info(info(d=[0.1] * 4, distortion_model="kannala"))


@pytest.mark.parametrize("rectified", [False, True])
def test_an_uncalibrated_camera_is_refused(rectified: bool) -> None:
    with pytest.raises(CameraError, match=r"fx = 0\.0.*calibrate"):
        Camera.from_camera_info(info(k=np.zeros(9), p=np.zeros(12)), rectified=rectified)


def test_nan_distortion_is_not_taken_for_none() -> None:
    with pytest.raises(CameraError, match="not finite"):
        Camera.from_camera_info(info(d=[float("nan"), 0.0, 0.0, 0.0]))


def test_the_real_message_is_read() -> None:
    messages = pytest.importorskip("sensor_msgs.msg")
    message = messages.CameraInfo(width=640, height=480, distortion_model="plumb_bob", d=[0.1, 0.0, 0.0, 0.0, 0.0])
    message.k, message.p = K, P
    assert Camera.from_camera_info(message) == Camera(600, 610, 320, 240, 640, 480, (0.1, 0, 0, 0, 0))
    assert Camera.from_camera_info(message, rectified=True) == Camera(580, 585, 318, 238, 640, 480)


def region(x: int = 0, y: int = 0, width: int = 0, height: int = 0) -> SimpleNamespace:
    return SimpleNamespace(x_offset=x, y_offset=y, width=width, height=height, do_rectify=False)


@pytest.mark.parametrize("binning", [0, 1])
def test_no_binning_and_no_region_change_nothing(binning: int) -> None:
    whole = info(binning_x=binning, binning_y=binning, roi=region())
    assert Camera.from_camera_info(whole) == Camera.from_camera_info(info())


@pytest.mark.parametrize("rectified", [False, True])
def test_a_binned_image_of_a_region_sees_the_same_rays(rectified: bool) -> None:
    whole = Camera.from_camera_info(info(), rectified)
    part = Camera.from_camera_info(info(binning_x=2, binning_y=4, roi=region(100, 80, 400, 320)), rectified)
    assert (part.width, part.height) == (200, 80)
    # The first binned pixel is made of sensor pixels 100 and 101, 80 to 83: its center lies between them.
    assert rays(part, [0.0, 0.0]) == pytest.approx(rays(whole, [100.5, 81.5]))
    assert rays(part, [199.0, 79.0]) == pytest.approx(rays(whole, [498.5, 397.5]))


def test_distortion_is_that_of_the_lens() -> None:
    coefficients = [0.1, -0.2, 0.001, 0.002, 0.05]
    whole = Camera.from_camera_info(info(d=coefficients))
    half = Camera.from_camera_info(info(d=coefficients, binning_x=2, binning_y=2))
    assert rays(half, [10.0, 20.0]) == pytest.approx(rays(whole, [20.5, 40.5]), abs=1e-9)


@pytest.mark.parametrize(
    "fields", [{"roi": region(600, 0, 100, 480)}, {"roi": region(0, 480)}, {"binning_x": 641, "roi": region()}]
)
def test_a_region_beyond_the_sensor_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(CameraError, match="roi"):
        Camera.from_camera_info(info(**fields))


def test_the_real_message_with_binning_is_read() -> None:
    messages = pytest.importorskip("sensor_msgs.msg")
    message = messages.CameraInfo(width=640, height=480, binning_x=2, binning_y=2)
    message.k, message.p = K, P
    assert Camera.from_camera_info(message) == Camera(300, 305, 159.75, 119.75, 320, 240)
