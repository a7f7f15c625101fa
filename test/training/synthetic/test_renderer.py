"""Rendered depth against geometry on paper; light, materials and the sensor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unipose_ros.camera import Camera, rays
from unipose_training.errors import SyntheticError
from unipose_training.synthetic.lighting import Lamp, Lighting, render_color
from unipose_training.synthetic.materials import Mark, Material, Surface, box, merge, noise, shade, vertex_normals
from unipose_training.synthetic.renderer import Scene, look_at, render_depth
from unipose_training.synthetic.walk import DepthSensor, living_room, measure

CAMERA = Camera(fx=80.0, fy=82.0, cx=31.0, cy=23.5, width=64, height=48)
GRAY = Material((0.5, 0.5, 0.5), grain=0.0)
#: From the origin along +y.
AHEAD = look_at((0, 0, 0), (0, 1, 0))


def sphere(center: tuple[float, float, float], radius: float, owner: int = 0, rings: int = 160) -> Surface:
    """Triangles between rings of latitude; fine enough that flatness stays below half a millimeter."""
    polar, around = np.meshgrid(
        np.linspace(0, np.pi, rings + 1), np.linspace(0, 2 * np.pi, 2 * rings + 1), indexing="ij"
    )
    points = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], -1).reshape(
        -1, 3
    )
    a = (np.arange(rings)[:, None] * (2 * rings + 1) + np.arange(2 * rings)).ravel()
    b = a + 2 * rings + 1
    faces = np.concatenate([np.stack([a, b, b + 1], 1), np.stack([a, b + 1, a + 1], 1)])
    return Surface(points * radius + center, faces, points, (GRAY,), np.zeros(len(faces), np.int64), owner)


def camera_rays() -> np.ndarray:
    v, u = np.mgrid[: CAMERA.height, : CAMERA.width]
    return rays(CAMERA, np.stack([u, v], -1))


@pytest.mark.usefixtures("open3d_works")
class TestDepth:
    def test_wall_is_at_its_distance_along_the_axis(self) -> None:
        wall = box((0, 3.05, 0), (20, 0.1, 20), GRAY)
        depth, owner = render_depth(Scene([wall]), CAMERA, AHEAD)
        np.testing.assert_allclose(depth, 3.0, atol=1e-5)
        assert (owner == 0).all()

    def test_floor_falls_off_as_it_must(self) -> None:
        """A plane 1.5 m below the camera: depth = 1.5 / (y of the ray with z = 1)."""
        floor = box((0, 0, -1.55), (400, 400, 0.1), GRAY)
        depth, owner = render_depth(Scene([floor]), CAMERA, AHEAD)
        slope = camera_rays()[..., 1]
        below = slope > 0.05
        np.testing.assert_allclose(depth[below], 1.5 / slope[below], rtol=1e-4)
        assert (depth[slope < 0] == 0).all()
        assert (owner[slope < 0] == -1).all()

    def test_sphere(self) -> None:
        center, radius = np.array([0.3, -0.2, 2.5]), 0.6  # in the optical frame
        world = center @ AHEAD.rotation
        depth, owner = render_depth(Scene([sphere(tuple(world), radius, owner=3)]), CAMERA, AHEAD)
        direction = camera_rays()
        a, b = (direction**2).sum(-1), (direction * center).sum(-1)
        root = b**2 - a * (center @ center - radius**2)
        expected = (b - np.sqrt(np.maximum(root, 0))) / a
        inside = root > 0.02
        np.testing.assert_allclose(depth[inside], expected[inside], atol=1e-3)
        assert (owner[inside] == 3).all()
        assert (depth[root < -0.02] == 0).all()

    def test_the_nearer_owner_wins(self) -> None:
        scene = Scene([sphere((0, 2, 0), 0.5, owner=1), sphere((0.2, 3, 0), 0.8, owner=2)])
        _, owner = render_depth(scene, CAMERA, AHEAD)
        assert owner[24, 31] == 1
        assert set(np.unique(owner)) == {-1, 1, 2}

    def test_a_shadow_falls_on_the_side_away_from_the_lamp(self) -> None:
        scene = Scene([box((0, 4.05, 0), (20, 0.1, 20), GRAY), box((0, 3, 0), (0.6, 0.02, 0.6), GRAY)])
        lamp = Lamp((-3.0, 0.0, 0.0), 0.01, 8.0)
        image = render_color(scene, CAMERA, AHEAD, Lighting(lamps=(lamp,), noise=0.0), np.random.default_rng(0))
        brightness = image[24].mean(axis=1)
        plate = slice(24, 39)
        left, right = brightness[: plate.start - 2], brightness[plate.stop + 2 :]
        assert right.min() < 0.75 * left.min()

    def test_the_same_seed_gives_the_same_image(self) -> None:
        scene = Scene(living_room(np.random.default_rng(5)))
        again = Scene(living_room(np.random.default_rng(5)))
        view = look_at((0, 0, 1.3), (0, 4, 1))
        first, second, other = (
            render_color(s, CAMERA, view, Lighting(), np.random.default_rng(seed))
            for s, seed in ((scene, 1), (again, 1), (scene, 2))
        )
        np.testing.assert_array_equal(first, second)
        assert (first != other).any()


def test_view_is_a_right_handed_optical_frame() -> None:
    view = look_at((1, 2, 3), (1, 5, 3))
    np.testing.assert_allclose(view.rotation @ view.rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(view.rotation) == pytest.approx(1)
    np.testing.assert_allclose(view.to_camera(np.array([2.0, 5.0, 3.0])), [1, 0, 3], atol=1e-12)  # x right
    np.testing.assert_allclose(view.to_camera(np.array([1.0, 5.0, 4.0])), [0, -1, 3], atol=1e-12)  # y down


def test_box_normals_point_outwards() -> None:
    cube = box((1, 2, 3), (1, 2, 3), GRAY, yaw=0.3)
    outwards = cube.vertices - [1, 2, 3]
    assert ((vertex_normals(cube) * outwards).sum(axis=1) > 0).all()
    assert np.ptp(cube.vertices[:, 2]) == pytest.approx(3)


def test_merging_keeps_looks_and_owners() -> None:
    red, blue = Material((1, 0, 0)), Material((0, 0, 1))
    whole, owners = merge([box((0, 0, 0), (1, 1, 1), red), replace(box((5, 0, 0), (1, 1, 1), blue), owner=2)])
    assert [whole.materials[look] for look in whole.look] == [red] * 12 + [blue] * 12
    assert owners.tolist() == [0] * 12 + [2] * 12
    assert whole.vertices[whole.faces[12:]][..., 0].min() == pytest.approx(4.5)


def test_stripes_and_marks() -> None:
    material = Material(
        (1, 1, 1), (0, 0, 0), "stripes", 0.1, grain=0.0, marks=(Mark((0, 0, 1), (0.1, 0.1, 0.1), (0, 1, 0)),)
    )
    points = np.array([[0, 0, 0.02], [0, 0, 0.07], [0.05, 0, 1]])
    np.testing.assert_allclose(shade(material, points), [[0, 0, 0], [1, 1, 1], [0, 1, 0]], atol=1e-12)
    with pytest.raises(SyntheticError, match="pattern = 'dots'"):
        Material((1, 1, 1), pattern="dots")


def test_noise_is_smooth_bounded_and_repeatable() -> None:
    points = np.random.default_rng(0).uniform(-100, 100, (1000, 3))
    values = noise(points)
    assert np.abs(values).max() <= 1
    assert values.std() > 0.2
    assert np.abs(noise(points + 1e-4) - values).max() < 1e-3
    np.testing.assert_array_equal(values, noise(points))


SHARP = DepthSensor(noise=0.0, edge_loss=1e-9, step=1e-6)


class TestSensor:
    def test_without_faults_depth_is_kept(self) -> None:
        depth = np.full((48, 64), 2.5, np.float32)
        np.testing.assert_allclose(measure(depth, CAMERA, SHARP, np.random.default_rng(0)), depth, rtol=1e-5)

    def test_no_depth_and_out_of_range_give_nothing(self) -> None:
        depth = np.array([[0.0, 0.3, 9.0, 2.0]], np.float32).repeat(3, axis=0)
        camera = replace(CAMERA, width=4, height=3)
        blind = replace(SHARP, baseline=1e-6, step=1e-12)
        measured = measure(depth, camera, blind, np.random.default_rng(0))
        assert (measured[:, :3] == 0).all()
        np.testing.assert_allclose(measured[:, 3], 2.0, rtol=1e-5)

    def test_noise_grows_with_the_square_of_the_distance(self) -> None:
        camera = Camera(525, 525, 319.5, 239.5, 640, 480)
        sensor = replace(SHARP, noise=0.01, noise_size=1.0)
        noise_std = {}
        for meters in (1.0, 3.0):
            depth = np.full((480, 640), meters, np.float32)
            noise_std[meters] = measure(depth, camera, sensor, np.random.default_rng(0)).std()
        # dz = z^2 / (f b) * dd
        assert noise_std[1.0] == pytest.approx(0.01 / (525 * 0.05), rel=0.05)
        assert noise_std[3.0] / noise_std[1.0] == pytest.approx(9, rel=0.05)

    def test_steps_are_steps_of_disparity(self) -> None:
        camera = Camera(525, 525, 319.5, 239.5, 640, 480)
        depth = np.tile(np.linspace(2, 4, 640, dtype=np.float32), (480, 1))
        sensor = replace(SHARP, step=0.25, baseline=0.05)
        values = np.unique(measure(depth, camera, sensor, np.random.default_rng(0)))
        disparity = 525 * 0.05 / values[values > 0]
        np.testing.assert_allclose(disparity / 0.25, np.rint(disparity / 0.25), atol=1e-3)

    def test_the_shadow_of_the_second_eye_is_left_of_what_is_near(self) -> None:
        camera = Camera(525, 525, 319.5, 239.5, 640, 480)
        depth = np.full((480, 640), 4.0, np.float32)
        depth[:, 300:400] = 1.0
        lost = measure(depth, camera, SHARP, np.random.default_rng(0))[240] == 0
        # f b (1/near - 1/far) = 19.7 pixels
        assert lost[281:300].all()
        assert not lost[:279].any()
        assert not lost[300:].any()

    def test_edges_lose_pixels_but_flat_surfaces_do_not(self) -> None:
        depth = np.full((48, 64), 2.0, np.float32)
        depth[:, 32:] = 3.0
        sensor = replace(SHARP, edge_loss=0.9, baseline=1e-6, step=1e-12)
        lost = measure(depth, CAMERA, sensor, np.random.default_rng(0)) == 0
        assert lost[:, 31:33].mean() > 0.7
        assert not lost[:, :30].any()
        assert not lost[:, 34:].any()

    def test_seed_decides(self) -> None:
        depth = np.full((48, 64), 2.0, np.float32)
        first, again, other = (measure(depth, CAMERA, DepthSensor(), np.random.default_rng(s)) for s in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()
