"""The batched renderer against formulas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.bank import BodyBank
from unipose_training.synthetic.batch.scenes import Cameras, SceneBatch
from unipose_training.synthetic.batch.torch_renderer import TorchRenderer
from unipose_training.synthetic.batch.triangles import ZBuffer, draw_people, pack, tiles
from unipose_training.synthetic.materials import ROOM

MakeScene = Callable[..., SceneBatch]


def _draw(cameras: Cameras, vertices: torch.Tensor, faces: torch.Tensor, budget: int = 1 << 14) -> torch.Tensor:
    """(H, W) depth of one mesh, inf beside it."""
    empty = torch.full((1, cameras.height, cameras.width), torch.inf)
    buffer = ZBuffer(pack(empty, torch.full_like(empty, 999_999, dtype=torch.int64)))
    draw_people(buffer, cameras, vertices[None], faces[None], torch.zeros(1, dtype=torch.int64), budget)
    return buffer.read()[0][0]


def _rays(cameras: Cameras) -> torch.Tensor:
    """(H, W, 3) in the optical frame with z = 1."""
    fx, fy, cx, cy = cameras.intrinsics[0]
    v, u = torch.meshgrid(torch.arange(cameras.height), torch.arange(cameras.width), indexing="ij")
    return torch.stack([(u - cx) / fx, (v - cy) / fy, torch.ones(u.shape)], dim=-1)


def _ball(center: torch.Tensor, radius: float, fine: int) -> tuple[torch.Tensor, torch.Tensor]:
    polar, azimuth = torch.meshgrid(
        torch.linspace(0, torch.pi, fine), torch.linspace(0, 2 * torch.pi, fine), indexing="ij"
    )
    normals = torch.stack([polar.sin() * azimuth.cos(), polar.sin() * azimuth.sin(), polar.cos()], dim=-1)
    corner = torch.arange(fine * fine).view(fine, fine)
    a, b, c, d = corner[:-1, :-1], corner[1:, :-1], corner[1:, 1:], corner[:-1, 1:]
    faces = torch.cat([torch.stack([a, b, c], -1).flatten(0, 1), torch.stack([a, c, d], -1).flatten(0, 1)])
    return center + radius * normals.flatten(0, 1), faces


def test_a_ball_is_where_rays_meet_it(level_cameras: Cameras) -> None:
    center, radius = torch.tensor([0.2, 3.0, 1.1]), 0.6
    found = _draw(level_cameras, *_ball(center, radius, 200))
    rays = _rays(level_cameras)
    middle = level_cameras.to_optical(center[None], torch.zeros(1, dtype=torch.int64))[0]
    square, along = (rays * rays).sum(-1), (rays * middle).sum(-1)
    inside = along**2 - square * (middle @ middle - radius**2)
    expected = (along - inside.clamp(min=0).sqrt()) / square
    well_inside = inside > 0.02
    assert int(well_inside.sum()) > 2000
    # The facets of a ball of 200 x 200 lie up to 0.15 mm below it.
    assert float((found - expected)[well_inside].abs().max()) < 0.5e-3
    assert bool((found[inside < -0.02] == torch.inf).all())


@pytest.mark.parametrize("budget", [64, 1 << 20])
def test_a_tilted_triangle_has_the_depth_of_its_plane_without_cracks(level_cameras: Cameras, budget: int) -> None:
    corners = torch.tensor([[-1.5, 2.0, 0.0], [1.8, 4.0, 0.2], [0.1, 3.0, 2.4]])
    normal = torch.linalg.cross(corners[1] - corners[0], corners[2] - corners[0])
    eye, rays = level_cameras.positions[0], _rays(level_cameras) @ level_cameras.rotations[0]
    expected = (corners[0] - eye) @ normal / (rays @ normal)
    fan = torch.cat([corners, corners.mean(dim=0, keepdim=True)])
    whole = _draw(level_cameras, corners, torch.tensor([[0, 1, 2]]), budget)
    split = _draw(level_cameras, fan, torch.tensor([[0, 1, 3], [1, 2, 3], [2, 0, 3]]), budget)
    covered = whole < torch.inf
    assert int(covered.sum()) > 3000
    torch.testing.assert_close(whole[covered], expected[covered], atol=2e-6, rtol=0)
    assert torch.equal(covered, split < torch.inf)
    torch.testing.assert_close(split[covered], expected[covered], atol=5e-6, rtol=0)


def test_the_nearer_of_two_wins_whatever_the_order(level_cameras: Cameras) -> None:
    near = torch.tensor([[-1.0, 2, 0.5], [1, 2, 0.5], [0, 2, 2]])
    vertices = torch.cat([near, near + torch.tensor([0.0, 1, 0])])
    faces = torch.tensor([[0, 1, 2], [3, 4, 5]])
    one, other = _draw(level_cameras, vertices, faces), _draw(level_cameras, vertices, faces.flip(0))
    assert torch.equal(one, other)
    assert float(one.min()) == pytest.approx(2.0)


def test_floor_and_walls_are_planes(bank: BodyBank, scene: MakeScene, device: str) -> None:
    scenes = scene([], bounds=((-2.0, -1.0, 0.0), (2.0, 5.0, torch.inf)))
    depth = TorchRenderer(bank, device).render(scenes).depth[0].cpu()
    rays = _rays(scenes.cameras)
    # Optical x, y, z are world x, -z, y: side walls at 2 m, the floor 1 m below, the back wall at 5 m, no ceiling.
    expected = torch.stack([2 / rays[..., 0].abs(), torch.where(rays[..., 1] > 0, 1 / rays[..., 1], torch.inf)])
    torch.testing.assert_close(depth, expected.amin(dim=0).clamp(max=5.0), atol=1e-5, rtol=1e-6)


def test_a_turned_box_shows_its_sides(bank: BodyBank, scene: MakeScene, device: str) -> None:
    size, yaw = (0.8, 0.6, 1.6), 0.5
    depth = TorchRenderer(bank, device).render(scene([], [((0.3, 3.0, 0.8), size, yaw)])).depth[0].cpu()
    rays = _rays(scene([]).cameras).double().numpy()
    world = np.stack([rays[..., 0], rays[..., 2], -rays[..., 1]], axis=-1)
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    eye, local = (np.array([0, 0, 1.0]) - [0.3, 3.0, 0.8]) @ turn, world @ turn
    with np.errstate(divide="ignore"):
        ends = np.stack([(np.array(size) / 2 - eye) / local, (-np.array(size) / 2 - eye) / local])
    enter, leave = ends.min(axis=0).max(axis=-1), ends.max(axis=0).min(axis=-1)
    clear = np.abs(leave - enter) > 1e-4
    expected = np.where(enter <= leave, enter, 0)
    assert (expected > 0).sum() > 2000
    np.testing.assert_allclose(depth.numpy()[clear], expected[clear], atol=1e-5)


def test_a_image_without_anything_is_empty(bank: BodyBank, scene: MakeScene, device: str) -> None:
    made = TorchRenderer(bank, device).render(scene([]), color=True)
    assert not made.depth.any()
    assert bool((made.owner == -1).all())
    assert made.color is not None
    assert not made.color.any()


def test_a_person_is_seen_at_its_place_before_the_room(bank: BodyBank, scene: MakeScene, device: str) -> None:
    bounds = ((-3.0, -1.0, 0.0), (3.0, 6.0, 2.8))
    made = TorchRenderer(bank, device).render(scene([(0.0, 3.0), (1.0, 4.0)], bounds=bounds))
    depth, owner = made.depth[0].cpu(), made.owner[0].cpu()
    assert set(owner.unique().tolist()) == {ROOM, 1, 2}
    for number, distance in ((1, 3.0), (2, 4.0)):
        assert float(depth[owner == number].median()) == pytest.approx(distance, abs=0.25)
    assert float(depth[owner == ROOM].max()) > 4.5


def test_people_who_cannot_be_seen_do_no_harm(bank: BodyBank, scene: MakeScene, device: str) -> None:
    renderer = TorchRenderer(bank, device)
    bounds = ((-9.0, -9.0, 0.0), (9.0, 9.0, 3.0))
    alone = renderer.render(scene([(0.0, 3.0)], bounds=bounds), color=True)
    # Behind the camera, far beside the image, and around the camera.
    crowd = renderer.render(scene([(0.0, 3.0), (0.2, -2.0), (8.0, 0.5), (0.0, -0.1)], bounds=bounds), color=True)
    hidden = crowd.owner == 4
    assert float(hidden.float().mean()) < 0.5
    assert torch.equal(alone.depth[~hidden], crowd.depth[~hidden])
    assert torch.equal(alone.owner[~hidden], crowd.owner[~hidden])
    assert crowd.depth.isfinite().all()


def test_a_mirrored_world_gives_the_mirrored_image(level_cameras: Cameras, bank: BodyBank) -> None:
    from unipose_training.synthetic.bank.posing import pose_people, to_tensors

    one = torch.zeros(1, dtype=torch.int64)
    tensors = to_tensors(bank)
    vertices = pose_people(tensors, one, one, torch.tensor([[0.3, 2.5, 0.0]]), torch.tensor([0.4])).vertices[0]
    faces = tensors.faces[0]
    image = _draw(level_cameras, vertices, faces)
    mirrored = _draw(level_cameras, vertices * torch.tensor([-1.0, 1, 1]), faces).flip(1)
    both = (image < torch.inf) & (mirrored < torch.inf)
    assert int(both.sum()) > 1000
    # A pixel whose center lies on an outline may fall to either side.
    assert int(((image < torch.inf) != (mirrored < torch.inf)).sum()) <= 3
    assert float((image - mirrored)[both].abs().quantile(0.999)) < 1e-5


def test_tiles_cover_every_rectangle_once() -> None:
    low = torch.tensor([[3, 4], [0, 0], [10, 2], [7, 7], [5, 5]])
    high = torch.tensor([[3, 4], [40, 18], [12, 3], [6, 9], [20, 20]])
    count = torch.zeros(5, 64, 64, dtype=torch.int64)
    for side, rectangle, origin in tiles(low, high, budget=300):
        assert len(rectangle) * side**2 <= 300
        for number, (u, v) in zip(rectangle.tolist(), origin.tolist(), strict=True):
            count[number, v : v + side, u : u + side] += 1
    assert int(count.max()) == 1
    for number, ((u0, v0), (u1, v1)) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        assert bool((count[number, v0 : v1 + 1, u0 : u1 + 1] == 1).all())
    assert not count[3].any(), "an empty rectangle has no tile"


def test_who_is_not_in_the_bank_is_refused(bank: BodyBank, scene: MakeScene) -> None:
    good = scene([(0.0, 3.0)])
    renderer = TorchRenderer(bank)
    for field, name in (("bodies", "body"), ("poses", "pose")):
        people = replace(good.people, **{field: torch.tensor([10_000])})
        with pytest.raises(SyntheticError, match=f"{name} 10000 is not in the bank"):
            renderer.render(replace(good, people=people))
    with pytest.raises(SyntheticError, match="frames that are not there"):
        replace(good, people=replace(good.people, frames=torch.tensor([1])))
    with pytest.raises(SyntheticError, match="samples = 0"):
        TorchRenderer(bank, samples=0)
