from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unipose_training.synthetic.variety.cameras import KINDS, CameraPlan, draw_camera
from unipose_training.synthetic.variety.furniture import Place
from unipose_training.synthetic.variety.plans import SUBSETS, ClipPlan, Posed, Role, Stroll, digest
from unipose_training.synthetic.variety.split import BENCHMARK, TRAINING
from unipose_training.synthetic.variety.staging import WISHES, draw_clip


@pytest.fixture(scope="module")
def plans() -> list[ClipPlan]:
    return [draw_clip(TRAINING, 5, number, SUBSETS[number % len(SUBSETS)], 20, 10.0) for number in range(90)]


def of(plans: list[ClipPlan], subset: str) -> list[ClipPlan]:
    return [plan for plan in plans if plan.subset == subset]


def test_a_clip_depends_on_seed_and_number_only(plans: list[ClipPlan]) -> None:
    assert draw_clip(TRAINING, 5, 7, "crowd", 20, 10.0) == plans[7]
    assert draw_clip(TRAINING, 6, 7, "crowd", 20, 10.0) != plans[7]
    assert len({plan.seed for plan in plans}) == len(plans)


def test_every_subset_keeps_its_promise(plans: list[ClipPlan]) -> None:
    for subset, wish in WISHES.items():
        for plan in of(plans, subset):
            assert 1 <= len(plan.roles) <= wish.people[1]
            assert all(wish.distance[0] <= role.y <= wish.distance[1] for role in plan.roles)
    assert min(len(plan.roles) for plan in of(plans, "crowd")) >= 2
    assert all(isinstance(r.act, Posed) and r.act.seat for plan in of(plans, "sitting") for r in plan.roles)
    assert max(plan.brightness for plan in of(plans, "dark")) < min(plan.brightness for plan in of(plans, "single"))
    assert all(max(r.person.outfit.top.color) < 0.25 for plan in of(plans, "dark") for r in plan.roles)


def test_occluders_stand_between_camera_and_people(plans: list[ClipPlan]) -> None:
    clips = of(plans, "occluded")
    between = [any(_hides(place, role) for place in plan.room.furniture for role in plan.roles) for plan in clips]
    assert np.mean(between) > 0.9


def _hides(place: Place, role: Role) -> bool:
    """Within half a meter of the line from the camera to the person."""
    return place.y < role.y and abs(place.x - role.x * place.y / role.y) < 0.5


def reach(role: Role) -> float:
    return max(role.act.path.radii) + 0.4 if isinstance(role.act, Stroll) else 0.5


def test_people_and_furniture_do_not_stand_in_each_other(plans: list[ClipPlan]) -> None:
    for plan in plans:
        places = [(role.x, role.y, reach(role)) for role in plan.roles]
        for i, (x, y, r) in enumerate(places):
            for a, b, s in places[i + 1 :]:
                assert np.hypot(x - a, y - b) >= r + s
            assert -plan.room.left < x - r
            assert x + r < plan.room.right
            assert y + r < plan.room.back
            assert all(np.hypot(x - p.x, y - p.y) > 0.5 for p in plan.room.furniture)


def test_people_stand_where_the_camera_looks(plans: list[ClipPlan]) -> None:
    for plan in plans:
        camera, view = plan.camera.camera(), plan.camera.view(0.0)
        for role in plan.roles:
            x, _, z = view.to_camera(np.array([role.x, role.y, 1.0]))
            assert z > 0
            assert 0 < camera.fx * x / z + camera.cx < camera.width


def test_all_that_varies_varies(plans: list[ClipPlan]) -> None:
    assert {plan.camera.kind for plan in plans} == set(TRAINING.cameras)
    assert {plan.room.style for plan in plans} == set(TRAINING.styles)
    roles = [role for plan in plans for role in plan.roles]
    assert {type(role.act).__name__ for role in roles} == {"Stroll", "Captured", "Posed"}
    assert {role.person.shape.gender > 0.5 for role in roles} == {True, False}
    heights = [plan.camera.height for plan in plans]
    assert min(heights) < 0.5
    assert max(heights) > 1.6
    facing_away = np.mean([abs(role.heading) > np.pi / 2 for role in roles])
    assert 0.3 < facing_away < 0.7


def test_the_digest_sees_every_change(plans: list[ClipPlan]) -> None:
    plan = plans[0]
    changed = [
        replace(plan, rate_hz=11.0),
        replace(plan, camera=replace(plan.camera, tilt=plan.camera.tilt + 1e-6)),
        replace(plan, roles=(replace(plan.roles[0], heading=0.5),)),
        replace(plan, room=replace(plan.room, furniture=())),
    ]
    assert len({digest([p]) for p in [plan, *changed]}) == 1 + len(changed)
    assert digest(plans) == digest(list(plans))


def test_nothing_with_a_name_is_on_both_sides() -> None:
    for kind in ("suits", "shoes", "hair"):
        ours, theirs = (getattr(split.wardrobe, kind) for split in (TRAINING, BENCHMARK))
        assert ours
        assert theirs
        assert not set(ours) & set(theirs)
    for kind in ("clips", "styles", "cameras"):
        assert not set(getattr(TRAINING, kind)) & set(getattr(BENCHMARK, kind))
    assert set(TRAINING.cameras) | set(BENCHMARK.cameras) == set(KINDS)


def test_a_level_camera() -> None:
    plan = CameraPlan("kinect_v1", (525.0, 525.0, 320.0, 240.0), 1.2, yaw=0.0, tilt=0.0, drift=(0.5, 0.0, 0.1))
    view = plan.view(2.0)
    np.testing.assert_allclose(view.position, [1.0, 0.0, 1.2])
    # It has turned 0.2 radians to the right: what lies ahead has moved to the left.
    ahead = view.to_camera(np.array([1.0, 4.0, 1.2]))
    np.testing.assert_allclose(ahead, [-4 * np.sin(0.2), 0, 4 * np.cos(0.2)], atol=1e-12)


def test_cameras_look_down_from_above_and_up_from_below() -> None:
    cameras = [draw_camera(np.random.default_rng(n), "d435", 2.5, 0.5) for n in range(60)]
    tilt, height = np.array([[c.tilt, c.height] for c in cameras]).T
    assert np.corrcoef(tilt, height)[0, 1] > 0.9
    assert 0.2 < np.mean([c.moves for c in cameras]) < 0.8
    for camera in cameras:
        rotation = camera.view(0.0).rotation
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)
