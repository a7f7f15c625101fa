"""Lenses: bent as OpenCV bends them, undone to the edge of the image, and refused beyond it."""

from __future__ import annotations

import warnings

import cv2
import numpy as np
import pytest

from unipose_ros.camera import (
    Camera,
    CameraError,
    depth_to_points,
    pixels_with_rays,
    points_to_depth,
    project,
    rays,
    unproject,
)
from unipose_ros.lens import LensError, fitting_coefficients, lens_of

#: Like an Azure Kinect's wide depth camera, a wide color camera, a webcam, and a sensor with all 14 coefficients.
WIDE = {
    "rational 120 degrees": Camera(
        252, 252, 256.8, 254.5, 512, 512, (4.7, 3.2, 1e-4, 6e-6, 0.17, 5.06, 4.78, 0.89), "rational_polynomial"
    ),
    "plumb_bob 110 degrees": Camera(285, 285, 319.5, 199.5, 640, 400, (-0.35, 0.14, 5e-4, -3e-4, -0.03)),
    "plumb_bob pincushion": Camera(400, 410, 300, 250, 640, 480, (0.3, 0.1, -2e-3, 1e-3, 0.05)),
    "thin prism and tilt": Camera(
        *(500, 505, 322, 239, 640, 480),
        (0.51, -2.66, 8e-4, -3e-4, 1.53, 0.39, -2.48, 1.46, 1e-3, 2e-4, -1e-3, 1e-4, 0.01, -0.02),
        "rational_polynomial",
    ),
    "twelve coefficients": Camera(
        *(420, 420, 320, 240, 640, 480),
        (-0.2, 0.05, 1e-3, -1e-3, 0, 0, 0, 0, 2e-3, 0, -1e-3, 5e-4),
        "rational_polynomial",
    ),
    "equidistant": Camera(230, 230, 320, 320, 640, 640, (-0.02, 0.01, -0.003, 0.0005), "equidistant"),
}
lenses = pytest.mark.parametrize("camera", WIDE.values(), ids=WIDE)


def by_opencv(camera: Camera, points: np.ndarray) -> np.ndarray:
    project_points = cv2.fisheye.projectPoints if camera.model == "equidistant" else cv2.projectPoints
    args = points.reshape(-1, 1, 3), np.zeros(3), np.zeros(3), camera.K, np.array(camera.distortion)
    return project_points(*args)[0].reshape(-1, 2)


def directions_in(camera: Camera) -> np.ndarray:
    """(N, 3) that the lens shows inside of the image, to its border."""
    x, y = np.meshgrid(np.linspace(-6, 6, 301), np.linspace(-6, 6, 301))
    points = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)
    pixels = project(camera, points)
    size = np.array([camera.width, camera.height])
    return points[((pixels > -0.5) & (pixels < size - 0.5)).all(axis=1)]  # False for NaN


@lenses
def test_directions_are_shown_where_opencv_shows_them(camera: Camera) -> None:
    points = directions_in(camera)
    assert len(points) > 500
    np.testing.assert_allclose(project(camera, points), by_opencv(camera, points), atol=1e-6)


@lenses
def test_a_ray_is_the_inverse_to_the_edge_of_the_image(camera: Camera) -> None:
    points = directions_in(camera)
    pixels = project(camera, points)
    back = unproject(camera, pixels, points[:, 2])
    np.testing.assert_allclose(project(camera, back), pixels, atol=0.01)
    # Where the lens magnifies, a tenth of a pixel is a tenth of a pixel: compare in meters at 3 m elsewhere.
    close = np.hypot(points[:, 0], points[:, 1]) < 0.9 * camera.lens.limit  # type: ignore[union-attr]
    assert np.linalg.norm(3 * (back - points)[close], axis=1).max() < 1e-3


@lenses
def test_every_ray_that_is_given_hits_its_pixel(camera: Camera) -> None:
    v, u = np.mgrid[: camera.height : 7, : camera.width : 7]
    pixels = np.stack([u, v], axis=-1)
    directions = rays(camera, pixels)
    known = np.isfinite(directions).all(axis=-1)
    assert known.any()
    assert np.abs(by_opencv(camera, directions[known]) - pixels[known]).max() < 0.1


def test_pixels_that_no_direction_is_shown_at_have_no_ray() -> None:
    turning = Camera(200, 200, 319.5, 239.5, 640, 480, (-0.3, 0.0, 0.0, 0.0))
    assert turning.lens is not None
    # 1 - 0.9 r^2 = 0: the widest direction is r = 1.054, shown 200 * 1.054 * 2 / 3 = 140.5 pixels off the middle.
    assert turning.lens.limit == pytest.approx(np.sqrt(1 / 0.9), rel=1e-6)
    assert np.isfinite(rays(turning, [319.5 + 139, 239.5])).all()
    assert np.isnan(rays(turning, [319.5 + 142, 239.5])[:2]).any()
    mask = pixels_with_rays(turning)
    assert mask is not None
    v, u = np.mgrid[:480, :640]
    radius = np.hypot(u - 319.5, v - 239.5)
    assert mask[radius < 136].all()
    assert not mask[radius > 142].any()
    points = depth_to_points(turning, np.full((480, 640), 2.0, np.float32))
    assert np.isfinite(points).all(axis=-1)[mask].all()
    assert not np.isfinite(points).all(axis=-1)[radius > 142].any()


@pytest.mark.parametrize("camera", [WIDE["plumb_bob pincushion"], WIDE["rational 120 degrees"]])
def test_most_lenses_have_a_ray_everywhere(camera: Camera) -> None:
    assert pixels_with_rays(camera) is None


def test_a_fisheye_of_more_than_half_the_world_has_rays_in_its_middle() -> None:
    mask = pixels_with_rays(WIDE["equidistant"])
    assert mask is not None
    assert mask[320, 320]
    assert not mask[0, 0]  # 452 pixels off the middle are 113 degrees


def test_a_person_at_the_side_of_a_wide_image_stays_in_place() -> None:
    camera = WIDE["rational 120 degrees"]
    for degrees in (45, 50, 55):
        there = np.array([np.tan(np.radians(degrees)), 0.2, 1.0]) * 3
        pixel = project(camera, there)
        assert np.linalg.norm(unproject(camera, pixel, 3.0) - there) < 1e-3
        depth = points_to_depth(camera, there[None].astype(np.float32))
        v, u = np.argwhere(depth > 0)[0]
        np.testing.assert_allclose([u, v], pixel, atol=0.5)


@pytest.mark.parametrize(
    ("model", "values", "expected"),
    [
        ("plumb_bob", (0.1, 0.2, 0.0, 0.0, 0.3, 0.0, 0.0, 0.0), ("plumb_bob", (0.1, 0.2, 0.0, 0.0, 0.3))),
        ("plumb_bob", (0.1,) + 13 * (0.0,), ("plumb_bob", (0.1, 0.0, 0.0, 0.0))),
        ("plumb_bob", 8 * (0.1,), ("rational_polynomial", 8 * (0.1,))),
        ("rational_polynomial", 5 * (0.1,), ("rational_polynomial", 5 * (0.1,))),
        ("rational_polynomial", 9 * (0.1,) + 3 * (0.0,), ("rational_polynomial", 9 * (0.1,) + 3 * (0.0,))),
        ("equidistant", 4 * (0.1,) + (0.0,), ("equidistant", 4 * (0.1,))),
        ("equidistant", 14 * (0.0,), ("equidistant", ())),
        ("", 5 * (0.0,), ("", ())),
    ],
)
def test_surplus_zeros_change_nothing(model: str, values: tuple, expected: tuple) -> None:
    assert fitting_coefficients(model, values) == expected


@pytest.mark.parametrize(
    ("model", "values"),
    [("equidistant", 5 * (0.1,)), ("plumb_bob", 6 * (0.1,)), ("plumb_bob", (0.1,)), ("", 5 * (0.1,)), ("none", (0.1,))],
)
def test_coefficients_without_a_meaning_are_refused(model: str, values: tuple) -> None:
    with pytest.raises(LensError, match=f"{len(values)} coefficients.*'{model}'.*input.rectified"):
        fitting_coefficients(model, values)


@pytest.mark.parametrize("last", [1e-300, 5e-324, -1e-200])
def test_a_coefficient_next_to_nothing_changes_nothing(last: float) -> None:
    plain = lens_of("rational_polynomial", (0.1, 0.02, 0.0, 0.0, 0.01, 0.1, 0.0, 0.0))
    other = lens_of("rational_polynomial", (0.1, 0.02, 0.0, 0.0, 0.01, 0.1, 0.0, last))
    points = np.array([[0.3, -0.2], [1.0, 0.5]])
    np.testing.assert_allclose(other.distort(points), plain.distort(points))


@pytest.mark.parametrize("value", [1e300, -1e7])
def test_coefficients_that_no_lens_has_are_refused(value: float) -> None:
    with pytest.raises(CameraError, match="no lens has coefficients"):
        Camera(525.0, 525.0, 319.5, 239.5, 640, 480, (value, 0.0, 0.0, 0.0, 0.0))


def test_the_wildest_lens_is_undone_without_a_warning() -> None:
    # Both polynomials have roots within the image.
    coefficients = (-1.0, 1.3, 0.002, 0.0003, 0.2, -4.2, 1.5, -0.29, -0.007, 0.001, 0.003, -0.002, -0.03, 0.0008)
    camera = Camera(150.0, 150.0, 255.5, 255.5, 512, 512, coefficients, "rational_polynomial")
    v, u = np.mgrid[0:512:8, 0:512:8]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = project(camera, rays(camera, np.stack([u, v], axis=-1)))
    known = np.isfinite(back).all(axis=-1)
    assert known.any()
    assert not known.all()
    np.testing.assert_allclose(back[known], np.stack([u, v], axis=-1)[known], atol=0.1)
