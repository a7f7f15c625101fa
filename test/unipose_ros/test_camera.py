from __future__ import annotations

import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unipose_ros.camera import (
    Camera,
    CameraError,
    depth_to_points,
    points_to_depth,
    project,
    rays,
    rectify_pixels,
    require_plausible,
    unproject,
    unproject_pixels,
)

PINHOLE = Camera(525.0, 520.0, 319.5, 239.5, 640, 480)
DISTORTED = {
    "plumb_bob": Camera(615, 615, 325, 238, 640, 480, (-0.055, 0.066, -0.0007, 0.0005, -0.021)),
    "rational_polynomial": Camera(
        612, 612, 321, 242, 640, 480, (0.51, -2.66, 0.0008, -0.0003, 1.53, 0.39, -2.48, 1.46), "rational_polynomial"
    ),
    "equidistant": Camera(300, 300, 320, 240, 640, 480, (-0.02, 0.01, -0.003, 0.0005), "equidistant"),
}
lenses = pytest.mark.parametrize("camera", DISTORTED.values(), ids=DISTORTED)
u = st.floats(0, 639)
v = st.floats(0, 479)
z = st.floats(0.1, 20)


@given(u, v, z)
def test_project_undoes_unproject(u: float, v: float, z: float) -> None:
    point = unproject(PINHOLE, [u, v], z)
    assert point[2] == pytest.approx(z)
    np.testing.assert_allclose(project(PINHOLE, point), [u, v], atol=1e-9)


@lenses
@given(u=u, v=v, z=z)
def test_project_undoes_unproject_through_a_lens(camera: Camera, u: float, v: float, z: float) -> None:
    np.testing.assert_allclose(project(camera, unproject(camera, [u, v], z)), [u, v], atol=1e-3)


@pytest.mark.parametrize(
    ("k", "text"),
    [
        ((525, 0, 0, 0, 525, 0, 320, 240, 1), "transposed"),
        ((525, 0, 0, 0, 525, 0, 0, 0, 1), r"principal point \(0, 0\)"),
    ],
)
@pytest.mark.parametrize("rectified", [False, True])
def test_a_matrix_that_is_no_calibration_is_refused(k: tuple[float, ...], text: str, rectified: bool) -> None:
    p = tuple(value for row in np.reshape(k, (3, 3)) for value in (*row, 0.0))
    info = SimpleNamespace(width=640, height=480, k=k, p=p, d=(), distortion_model="")
    with pytest.raises(CameraError, match=text):
        Camera.from_camera_info(info, rectified)


def test_projection_by_hand() -> None:
    assert project(PINHOLE, [0.5, -0.25, 2.0]).tolist() == [319.5 + 131.25, 239.5 - 65.0]
    assert unproject(PINHOLE, [319.5, 239.5], 3.0).tolist() == [0.0, 0.0, 3.0]
    assert rays(PINHOLE, [319.5 + 525.0, 239.5]).tolist() == [1.0, 0.0, 1.0]


def test_plumb_bob_by_hand() -> None:
    # Brown's model: at x = 0.2, y = 0 the radial factor is 1 + k1 r^2 + k2 r^4 with r^2 = 0.04.
    camera = Camera(500, 500, 320, 240, 640, 480, (0.1, 0.5, 0.0, 0.0))
    factor = 1 + 0.1 * 0.04 + 0.5 * 0.04**2
    np.testing.assert_allclose(project(camera, [0.4, 0.0, 2.0]), [320 + 500 * 0.2 * factor, 240])


def test_equidistant_by_hand() -> None:
    # Fisheye: the radius is the angle, here 45 degrees, not its tangent.
    camera = Camera(300, 300, 320, 240, 640, 480, (1e-12, 0.0, 0.0, 0.0), "equidistant")
    np.testing.assert_allclose(project(camera, [1.0, 0.0, 1.0]), [320 + 300 * math.pi / 4, 240])


@lenses
def test_a_lens_moves_pixels_unless_they_are_in_the_middle(camera: Camera) -> None:
    corner, middle = rectify_pixels(camera, [[0.0, 0.0], [camera.cx, camera.cy]])
    assert np.linalg.norm(corner) > 1
    np.testing.assert_allclose(middle, [camera.cx, camera.cy])


@pytest.mark.parametrize("camera", [PINHOLE, *DISTORTED.values()])
def test_whole_pixels_are_unprojected_through_a_table_of_rays(camera: Camera) -> None:
    rng = np.random.default_rng(0)
    u, v = rng.integers(0, 640, 500), rng.integers(0, 480, 500)
    depth = rng.uniform(0.3, 8, 500).astype(np.float32)
    wanted = unproject(camera, np.stack([u, v], axis=-1), depth).astype(np.float32)
    np.testing.assert_allclose(unproject_pixels(camera, u, v, depth), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("camera", [PINHOLE, *DISTORTED.values()])
def test_missing_stays_missing(camera: Camera) -> None:
    pixels = np.array([[np.nan, np.nan], [100.0, 50.0]])
    assert np.isnan(rectify_pixels(camera, pixels)[0]).all()
    assert np.isnan(unproject(camera, pixels, [2.0, np.nan])).any(axis=-1).tolist() == [True, True]
    assert np.isnan(project(camera, [[np.nan, np.nan, np.nan], [0.0, 0.0, 1.0]])).any(axis=-1).tolist() == [True, False]


@pytest.mark.parametrize("camera", [PINHOLE, *DISTORTED.values()])
@pytest.mark.parametrize("depth", [0.0, -1.0])
def test_behind_the_camera_is_no_pixel(camera: Camera, depth: float) -> None:
    assert np.isnan(project(camera, [[0.1, 0.1, depth]])).all()


@pytest.mark.parametrize("camera", [PINHOLE, *DISTORTED.values()])
@pytest.mark.parametrize("shape", [(0,), (3,), (2, 3), (2, 0, 3)])
def test_shapes_are_kept(camera: Camera, shape: tuple[int, ...]) -> None:
    points = np.ones((*shape, 3))
    assert project(camera, points).shape == (*shape, 2)
    assert unproject(camera, np.ones((*shape, 2)), np.ones(shape)).shape == (*shape, 3)


def test_rectifying_does_not_touch_its_input() -> None:
    pixels = np.array([[1.0, 2.0]])
    rectify_pixels(PINHOLE, pixels)[:] = 0
    assert pixels.tolist() == [[1.0, 2.0]]


@given(st.integers(1, 2000), st.integers(1, 2000), u, v)
def test_scaling_keeps_rays(width: int, height: int, u: float, v: float) -> None:
    scaled = PINHOLE.scaled(width, height)
    pixel = [(u + 0.5) * width / 640 - 0.5, (v + 0.5) * height / 480 - 0.5]
    np.testing.assert_allclose(rays(scaled, pixel), rays(PINHOLE, [u, v]), atol=1e-9)


def test_halving_by_hand() -> None:
    half = PINHOLE.scaled(320, 240)
    # The middle of a 640 wide image is 319.5; that of a 320 wide one 159.5.
    assert (half.fx, half.fy, half.cx, half.cy) == (262.5, 260.0, 159.5, 119.5)
    assert DISTORTED["equidistant"].scaled(320, 240).model == "equidistant"


def test_the_matrix() -> None:
    assert PINHOLE.K.tolist() == [[525, 0, 319.5], [0, 520, 239.5], [0, 0, 1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fx": 0.0}, "fx = 0.0: a focal length must be positive"),
        ({"fy": math.nan}, "fy = nan"),
        ({"fx": -1.0}, "fx = -1.0"),
        ({"fy": math.inf}, "fy = inf"),
        ({"cx": math.nan}, r"principal point \(nan"),
        ({"width": 0}, "size 0x480"),
        ({"height": -1}, "size 640x-1"),
        ({"model": "banana"}, "distortion_model = 'banana': use one of"),
        ({"distortion": (0.1, 0.2)}, "D has 2 coefficients.*'plumb_bob'"),
        ({"distortion": (0.1,) * 5, "model": "equidistant"}, "D has 5 coefficients.*'equidistant' takes 4 "),
        ({"distortion": (0.1,) * 5, "model": "none"}, "D has 5 coefficients.*'none' takes none"),
        ({"distortion": (math.nan, 0.0, 0.0, 0.0)}, r"D = \(nan.* is not finite"),
    ],
)
def test_useless_calibrations_are_refused(change: dict, message: str) -> None:
    fields = {"fx": 525.0, "fy": 525.0, "cx": 320.0, "cy": 240.0, "width": 640, "height": 480}
    with pytest.raises(CameraError, match=message):
        Camera(**(fields | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fx": 1.0, "fy": 1.0}, "fx = 1: with 640 pixels a focal length is 80 to 12800"),
        ({"fx": 10.0}, "fx = 10"),
        ({"fy": 1e9}, r"fy = 1e\+09"),
        ({"fy": 100.0}, "no pixels are so oblong"),
        ({"cx": 1e9}, r"principal point cx = 1e\+09: with 640 pixels"),
        ({"cy": -9000.0}, "principal point cy = -9000"),
        ({"width": 65536, "height": 4096}, "size 65536x4096"),
    ],
)
def test_implausible_calibrations_are_named(change: dict, message: str) -> None:
    fields = {"fx": 525.0, "fy": 525.0, "cx": 320.0, "cy": 240.0, "width": 640, "height": 480}
    with pytest.raises(CameraError, match=message):
        require_plausible(Camera(**(fields | change)))


@pytest.mark.parametrize(
    "camera",
    [
        PINHOLE,
        Camera(100.0, 100.0, 319.5, 239.5, 640, 480, (0.01, 0.0, 0.0, 0.0), "equidistant"),  # 183 degrees wide
        Camera(6000.0, 6000.0, 1000.0, 700.0, 1920, 1080),  # a tele lens
        Camera(500.0, 500.0, -100.0, 500.0, 320, 240),  # a region beside the middle of the sensor
        Camera(250.0, 500.0, 159.5, 239.5, 320, 480),  # binned in one direction
        Camera(4000.0, 4000.0, 3840.0, 2160.0, 7680, 4320),
    ],
)
def test_unusual_cameras_are_no_fault(camera: Camera) -> None:
    require_plausible(camera)


# Depth images and clouds

SMALL = Camera(20.0, 20.0, 3.5, 2.5, 8, 6)


def test_depth_becomes_points_and_depth_again() -> None:
    depth = np.random.default_rng(0).uniform(0.5, 4.0, (6, 8)).astype(np.float32)
    depth[0, 0], depth[1, 1], depth[2, 2] = 0.0, np.nan, np.inf
    points = depth_to_points(SMALL, depth)
    assert (points.shape, points.dtype) == ((6, 8, 3), np.float32)
    assert np.isnan(points[[0, 1, 2], [0, 1, 2]]).all()
    np.testing.assert_allclose(points[3, 4], [(4 - 3.5) / 20 * depth[3, 4], (3 - 2.5) / 20 * depth[3, 4], depth[3, 4]])
    expected = np.where(np.isfinite(depth), depth, 0)
    np.testing.assert_allclose(points_to_depth(SMALL, points), expected)


def test_the_nearest_point_wins_and_others_do_not_count() -> None:
    cloud = np.array(
        [[0, 0, 3], [0, 0, 2], [0, 0, 5], [0, 0, -1], [0, 0, 0], [50, 0, 1], [np.nan, 0, 1], [-0.175, -0.125, 1]],
        np.float32,
    )
    depth = points_to_depth(SMALL, cloud)
    expected = np.zeros((6, 8), np.float32)
    expected[2, 4] = 2  # (3.5, 2.5) goes to the even neighbors
    expected[0, 0] = 1
    np.testing.assert_array_equal(depth, expected)


@pytest.mark.parametrize("camera", [SMALL, Camera(20, 20, 3.5, 2.5, 8, 6, (0.1, 0.0, 0.0, 0.0))])
def test_an_empty_cloud_is_an_empty_image(camera: Camera) -> None:
    assert not points_to_depth(camera, np.zeros((0, 3), np.float32)).any()
    assert not points_to_depth(camera, np.full((2, 2, 3), np.nan, np.float32)).any()


def test_points_far_outside_the_lens_do_not_come_back_into_the_image() -> None:
    camera = DISTORTED["plumb_bob"]
    far = np.array([[2.15, 0.0, 1.0]], np.float32)  # 65 degrees off the axis; the image ends at 34
    folded, _ = cv2.projectPoints(far, np.zeros(3), np.zeros(3), camera.K, np.array(camera.distortion))
    assert 0 < folded[0, 0, 0] < 640
    assert np.isnan(project(camera, far)).all()
    assert not points_to_depth(camera, far).any()


@lenses
def test_every_pixel_of_a_lens_is_reached(camera: Camera) -> None:
    small = camera.scaled(32, 24)
    depth = np.full((24, 32), 2.0, np.float32)
    np.testing.assert_allclose(points_to_depth(small, depth_to_points(small, depth)), depth, rtol=1e-6)
