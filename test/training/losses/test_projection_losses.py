"""Ray, pixel, surface and free space terms: values by hand, gradients, what is left out."""

from __future__ import annotations

import math

import pytest
import torch

from unipose_training.losses.projection import (
    free_space_loss,
    pixel_loss,
    project,
    ray_loss,
    sample_depth,
    surface_loss,
    view_rays,
)
from unipose_training.losses.robust import huber

INTRINSICS = torch.tensor([[525.0, 520.0, 319.5, 239.5]], dtype=torch.float64)


@pytest.fixture
def joints() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(1, 15, 3, dtype=torch.float64) * 0.4 + torch.tensor([0.0, 0.0, 3.0], dtype=torch.float64)


@pytest.fixture
def rays() -> torch.Tensor:
    torch.manual_seed(2)
    return view_rays(torch.rand(1, 15, 2, dtype=torch.float64) * 400 + 50, INTRINSICS)


ONES = torch.ones(1, 15, dtype=torch.float64)


def test_robust_has_slope_one_beyond_its_knee() -> None:
    values = huber(torch.tensor([0.0, 0.05, -0.25]), knee=0.05)
    assert values.tolist() == pytest.approx([0.0, 0.025, 0.225])


def test_a_joint_on_its_ray_costs_nothing_at_any_distance(rays: torch.Tensor) -> None:
    for distance in (0.7, 3.0, 9.0):
        assert ray_loss(distance * rays, rays, ONES).item() < 1e-15


def test_ray_loss_is_the_distance_across_the_ray() -> None:
    rays = torch.tensor([[[0.0, 0.0, 1.0]]])
    beyond_the_knee = ray_loss(torch.tensor([[[0.3, 0.4, 5.0]]]), rays, torch.ones(1, 1))
    assert beyond_the_knee.item() == pytest.approx(0.5 - 0.025)
    within = ray_loss(torch.tensor([[[0.0, 0.02, 5.0]]]), rays, torch.ones(1, 1))
    assert within.item() == pytest.approx(0.02**2 / (2 * 0.05))


def test_ray_loss_never_pulls_the_depth(joints: torch.Tensor, rays: torch.Tensor) -> None:
    joints.requires_grad_(True)
    (gradient,) = torch.autograd.grad(ray_loss(joints, rays, ONES), joints)
    assert gradient.norm() > 0.01
    assert (gradient * rays).sum(-1).abs().max() < 1e-15
    moved = ray_loss(joints + 1.7 * rays, rays, ONES)
    assert moved.item() == pytest.approx(ray_loss(joints, rays, ONES).item(), abs=1e-12)


def test_pixel_error_is_focal_over_distance_times_ray_error() -> None:
    camera = torch.tensor([[500.0, 500.0, 320.0, 240.0]], dtype=torch.float64)
    target = torch.tensor([[[0.03, -0.02, 2.5]]], dtype=torch.float64)
    pixels, near = project(target, camera), target + torch.tensor([6e-4, -8e-4, 0.0], dtype=torch.float64)
    one = torch.ones(1, 1, dtype=torch.float64)
    in_pixels = pixel_loss(near, pixels, camera, one, knee=1e-9)
    in_meters = ray_loss(near, view_rays(pixels, camera), one, knee=1e-9)
    assert in_pixels.item() == pytest.approx(500 / 2.5 * in_meters.item(), rel=1e-3)


def test_projection_undoes_the_ray(rays: torch.Tensor) -> None:
    pixels = project(4.2 * rays, INTRINSICS)
    assert torch.allclose(view_rays(pixels, INTRINSICS), rays, atol=1e-12)


def test_a_joint_behind_the_camera_has_a_finite_pixel_loss() -> None:
    joints = torch.tensor([[[0.1, 0.1, -1.0]]], requires_grad=True)
    loss = pixel_loss(joints, torch.zeros(1, 1, 2), INTRINSICS.float(), torch.ones(1, 1))
    loss.backward()
    assert math.isfinite(loss.item())
    assert torch.isfinite(joints.grad).all()


def test_missing_keypoints_add_neither_value_nor_gradient(joints: torch.Tensor, rays: torch.Tensor) -> None:
    holes, pixels = rays.clone(), project(rays, INTRINSICS)
    holes[:, 3], pixels[:, 3] = torch.nan, torch.nan
    unweighted = ONES.clone()
    unweighted[:, 3] = 0
    joints.requires_grad_(True)
    for loss in (ray_loss(joints, holes, ONES), pixel_loss(joints, pixels, INTRINSICS, ONES)):
        (gradient,) = torch.autograd.grad(loss, joints)
        assert torch.isfinite(gradient).all()
        assert gradient[:, 3].abs().max() == 0
    assert ray_loss(joints, holes, ONES).item() == ray_loss(joints, rays, unweighted).item()


def surface_of(z: list[float], surface: list[float], **more: float) -> torch.Tensor:
    joints = torch.zeros(1, len(z), 3)
    joints[0, :, 2] = torch.tensor(z)
    return surface_loss(
        joints, torch.tensor([surface]), torch.full((len(z),), 0.1), torch.ones(1, len(z)), torch.tensor([3.0]), **more
    )


def test_surface_loss_wants_the_joint_its_offset_behind() -> None:
    assert surface_of([3.1, 2.9], [3.0, 2.8]).item() == pytest.approx(0, abs=1e-9)
    assert surface_of([3.4], [3.0]).item() == pytest.approx(0.3 - 0.05, abs=1e-6)


def test_occluder_background_and_holes_train_no_depth() -> None:
    assert surface_of([3.1, 3.1, 3.1], [1.0, 5.0, math.nan]).item() == 0
    assert surface_of([3.1], [2.2], reach=0.9).item() > 0


DEPTH = torch.full((1, 48, 64), 3.0, dtype=torch.float64)
SMALL = torch.tensor([[52.5, 52.0, 31.5, 23.5]], dtype=torch.float64)


def at(z: float, x: float = 0.0) -> torch.Tensor:
    return torch.tensor([[[x, 0.0, z]]], dtype=torch.float64)


def test_free_space_is_one_sided() -> None:
    for behind in (2.99, 3.0, 3.4, 9.0):
        assert free_space_loss(at(behind), DEPTH, SMALL).item() == 0
    assert free_space_loss(at(2.8), DEPTH, SMALL).item() == pytest.approx(0.2 - 0.02)


def test_beside_the_outline_before_a_wall_nothing_is_pushed() -> None:
    assert free_space_loss(at(2.0), DEPTH, SMALL).item() == 0


def test_free_space_ignores_holes_and_what_is_outside() -> None:
    holes = DEPTH.clone()
    holes[:, :24], holes[:, 24:] = 0, torch.nan
    assert free_space_loss(at(2.8), holes, SMALL).item() == 0
    joints = at(2.8, x=9.0).requires_grad_(True)
    loss = free_space_loss(joints, DEPTH, SMALL)
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(joints.grad).all()


def test_sampled_depth_is_that_of_the_nearest_pixel() -> None:
    depth = torch.arange(1.0, 13.0).reshape(1, 3, 4)
    found = sample_depth(depth, torch.tensor([[[0.0, 0.0], [2.4, 1.0], [2.6, 1.4], [4.0, 0.0], [torch.nan, 0.0]]]))
    assert found[0, :3].tolist() == [1.0, 7.0, 8.0]
    assert found[0, 3:].isnan().all()


def test_gradients_are_those_of_finite_differences(joints: torch.Tensor, rays: torch.Tensor) -> None:
    joints.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda p: ray_loss(p, rays, ONES), joints)
    pixels = project(rays.detach(), INTRINSICS)
    assert torch.autograd.gradcheck(lambda p: pixel_loss(p, pixels, INTRINSICS, ONES), joints)
    surface, offsets = joints.detach()[..., 2] - 0.2, torch.full((15,), 0.05, dtype=torch.float64)
    three = torch.tensor([3.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p: surface_loss(p, surface, offsets, ONES, three, reach=9.0), joints)
    near = at(2.8).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda p: free_space_loss(p, DEPTH, SMALL), near)
