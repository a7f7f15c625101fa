from __future__ import annotations

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_training.synthetic.lighting import Lamp, Lighting
from unipose_training.synthetic.materials import Material, Surface, box
from unipose_training.synthetic.photograph import Snapshot, StillRoom, boxes_of, infrared
from unipose_training.synthetic.renderer import Scene, look_at, render_depth
from unipose_training.synthetic.variety.furniture import (
    PIECES,
    STYLES,
    Place,
    RoomPlan,
    ball,
    build,
    build_room,
    cylinder,
    placed,
)

pytestmark = pytest.mark.usefixtures("open3d_works")

CAMERA = Camera(fx=120.0, fy=120.0, cx=79.5, cy=59.5, width=160, height=120)
VIEW = look_at((0.0, 0.0, 1.2), (0.0, 3.0, 0.9))
GRAY = Material((0.5, 0.5, 0.5), grain=0.0)
LIGHTING = Lighting(lamps=(Lamp((0.5, 1.5, 2.3), 0.1, 4.0),), noise=0.0, samples=1)


def room() -> list[Surface]:
    return build_room(RoomPlan("office", 2.0, 2.0, 4.0, 2.5, 3, (Place("table", 1.0, 2.0, 0.3, 5),)))


def person(owner: int, x: float, y: float) -> Surface:
    from dataclasses import replace

    return replace(box((x, y, 0.85), (0.4, 0.3, 1.7), GRAY), owner=owner)


def snapshot(people: list[Surface]) -> Snapshot:
    return StillRoom(room(), CAMERA, VIEW, LIGHTING, 0.5).snapshot(people, np.random.default_rng(0))


def test_the_room_is_what_ray_casting_sees() -> None:
    depth, owners = render_depth(Scene(room()), CAMERA, VIEW)
    shot = snapshot([])
    np.testing.assert_allclose(shot.ideal.depth, depth, rtol=1e-5)
    np.testing.assert_array_equal(shot.owners, owners)


def test_people_are_put_in_as_if_cast_with_the_room() -> None:
    people = [person(1, -0.3, 2.5), person(2, 0.1, 3.2), person(3, 1.0, 2.6)]
    depth, owners = render_depth(Scene([*room(), *people]), CAMERA, VIEW)
    shot = snapshot(people)
    # The table hides part of the third person, the first one part of the second.
    assert {1, 2, 3} <= set(np.unique(owners))
    agree = shot.owners == owners
    assert agree.mean() > 0.999
    np.testing.assert_allclose(shot.ideal.depth[agree], depth[agree], rtol=1e-4)


def test_a_person_beside_the_camera_is_seen_in_part() -> None:
    close = [person(1, 0.3, 0.2)]
    depth, owners = render_depth(Scene([*room(), *close]), CAMERA, VIEW)
    shot = snapshot(close)
    assert (owners == 1).any()
    np.testing.assert_array_equal(shot.owners, owners)
    np.testing.assert_allclose(shot.ideal.depth, depth, rtol=1e-4)


def test_people_throw_shadows_on_the_room() -> None:
    empty, peopled = snapshot([]), snapshot([person(1, 0.0, 2.5)])
    still_room = peopled.owners == 0
    darker = empty.color.astype(int).mean(axis=2) - peopled.color.astype(int).mean(axis=2)
    assert (darker[still_room] > 10).sum() > 30
    # Nothing gets lighter, but for the soft lens beside the person.
    assert (darker[still_room] < -3).mean() < 0.02


def test_the_middle_pixel_is_as_bright_as_asked() -> None:
    for brightness in (0.2, 0.5):
        shot = StillRoom(room(), CAMERA, VIEW, LIGHTING, brightness).snapshot([], np.random.default_rng(0))
        assert np.median(shot.color) / 255 == pytest.approx(brightness, abs=0.06)


def test_light_comes_at_the_angle_of_the_surface() -> None:
    wall = box((0, 3.0, 1.2), (4, 0.1, 4), GRAY)
    shot = StillRoom([wall], CAMERA, look_at((0, 0, 1.2), (0, 3, 1.2)), LIGHTING, 0.5).snapshot(
        [], np.random.default_rng(0)
    )
    u = 130
    slope = (u - CAMERA.cx) / CAMERA.fx
    assert shot.ideal.cosine[60, u] == pytest.approx(1 / np.sqrt(1 + slope**2), abs=1e-3)
    assert shot.ideal.reflectance[60, u] == pytest.approx(infrared(np.full((1, 3), 0.5**2.2, np.float32))[0], abs=0.01)


def test_infrared_rises_with_brightness_within_its_bounds() -> None:
    gray = infrared(np.repeat(np.linspace(0, 1, 9, dtype=np.float32)[:, None], 3, axis=1))
    assert (np.diff(gray) > 0).all()
    assert 0 < gray[0] < gray[-1] <= 1


def test_boxes_are_round_what_is_seen() -> None:
    owners = np.zeros((10, 12), np.int64)
    owners[2:5, 3:9] = 2
    boxes = boxes_of(owners, 2)
    assert np.isnan(boxes[0]).all()
    np.testing.assert_array_equal(boxes[1], [3, 2, 9, 5])


@pytest.mark.parametrize("kind", sorted(PIECES))
def test_furniture_stands_on_the_floor_about_its_place(kind: str) -> None:
    for seed in range(4):
        surfaces = build(kind, np.random.default_rng(seed))
        points = np.concatenate([surface.vertices for surface in surfaces])
        assert points[:, 2].min() > -0.06
        assert 0.1 < points[:, 2].max() < 2.1
        assert np.abs(points[:, :2]).max() < 1.3
        again = build(kind, np.random.default_rng(seed))
        np.testing.assert_array_equal(points, np.concatenate([surface.vertices for surface in again]))


@pytest.mark.parametrize("style", sorted(STYLES))
def test_a_room_closes_the_view(style: str) -> None:
    plan = RoomPlan(style, 1.5, 2.0, 4.5, 2.6, 7)
    depth, _ = render_depth(Scene(build_room(plan)), CAMERA, VIEW)
    assert depth.min() > 0
    assert depth[50, 80] <= 4.6


def test_round_solids_look_outward() -> None:
    for solid in (ball(0.3, 1.0, GRAY), cylinder(0.3, 0.7, 1.3, GRAY)):
        corners = solid.vertices[solid.faces]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        outward = (across * (corners.mean(axis=1) - [0, 0, 1.0])).sum(axis=1)
        assert (outward >= -1e-12).all()
        volume = (corners[:, 0] * np.cross(corners[:, 1], corners[:, 2])).sum() / 6
        assert 0.07 < volume < 0.18


def test_things_are_turned_and_moved() -> None:
    thing = box((0, 0, 0.5), (2, 0.5, 1), GRAY)
    (moved,) = placed([thing], 3.0, 4.0, np.pi / 2)
    np.testing.assert_allclose(moved.vertices.min(axis=0), [2.75, 3.0, 0.0], atol=1e-12)
    np.testing.assert_array_equal(moved.texture, thing.texture)
