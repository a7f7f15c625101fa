"""Clouds changed at random, and joints carried back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from unipose_ros.joint_sets import ITOP15
from unipose_training.samples.augment_points import (
    NO_AUGMENTATION,
    PointAugmentation,
    augment_points,
    sample_transform,
    subsample_points,
)

PEOPLE, FRAMES, POINTS, CENTERS = 6, 2, 60, 12
STRONG = PointAugmentation(yaw=180, tilt=90, mirror=0.5, scale=0.5, shift=1.0)
#: Points are lost, and nothing else happens.
LOSSY = replace(NO_AUGMENTATION, drop=0.5, holes=3, hole_radius=0.4, cut=0.5)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cloud() -> Tensor:
    return 0.4 * torch.randn(PEOPLE, FRAMES, POINTS, 3, generator=seeded())


def is_among(points: Tensor, others: Tensor) -> Tensor:
    """(..., N) each point is one of the others, exactly."""
    return (points[..., :, None, :] == others[..., None, :, :]).all(-1).any(-1)


def test_a_change_is_undone() -> None:
    change = sample_transform(PEOPLE, STRONG, seeded())
    joints = torch.randn(PEOPLE, FRAMES, 15, 3, generator=seeded(1))
    assert change.mirrored.any()
    assert not change.mirrored.all()
    assert (change.apply(joints) - joints).abs().amax((1, 2, 3)).min() > 0.1
    back = change.undo(change.apply(joints))
    mirror = list(ITOP15.mirror)
    for person in range(PEOPLE):
        expected = joints[person][:, mirror] if change.mirrored[person] else joints[person]
        assert torch.allclose(back[person], expected, atol=1e-5)
    assert torch.allclose(change.undo(change.swap(change.apply(joints))), joints, atol=1e-5)


def test_bodies_keep_their_shape() -> None:
    """A rotation, a reflection and one scale: distances grow alike."""
    change = sample_transform(PEOPLE, STRONG, seeded())
    joints = torch.randn(PEOPLE, 1, 15, 3, generator=seeded(1))
    before, after = (torch.cdist(places[:, 0], places[:, 0]) for places in (joints, change.apply(joints)))
    assert torch.allclose(after, before * change.scales[:, None, None], atol=1e-5)
    assert torch.linalg.det(change.turned).lt(0).tolist() == change.mirrored.tolist()
    assert change.scales.std() > 0.05


def test_heads_stay_up_within_the_tilt() -> None:
    settings = PointAugmentation(yaw=180, tilt=10, scale=0, shift=0)
    up = sample_transform(200, settings, seeded()).apply(torch.tensor([0.0, -1.0, 0.0]).expand(200, 1, 3))
    assert up[:, 0, 1].max() < -torch.cos(torch.deg2rad(torch.tensor(14.2)))


def test_without_augmentation_nothing_changes() -> None:
    change = sample_transform(PEOPLE, NO_AUGMENTATION, seeded())
    assert torch.equal(change.apply(cloud()), cloud())
    assert torch.equal(change.undo(cloud()[:, :, :15]), cloud()[:, :, :15])
    assert torch.equal(augment_points(cloud(), CENTERS, NO_AUGMENTATION, seeded()), cloud())


def test_lost_points_are_replaced_by_those_left() -> None:
    points = cloud()
    changed = augment_points(points, CENTERS, LOSSY, seeded())
    assert changed.shape == points.shape
    assert is_among(changed[:, :, :CENTERS], points[:, :, :CENTERS]).all()
    assert is_among(changed[:, :, CENTERS:], points[:, :, CENTERS:]).all()
    same = (changed == points).all(-1)
    assert 0.2 < same.float().mean() < 0.9
    # A point that is left stays at its place; a lost one is found nowhere.
    assert not is_among(points[:, :, CENTERS:], changed[:, :, CENTERS:])[~same[:, :, CENTERS:]].any()


@pytest.mark.parametrize(
    "settings",
    [
        replace(NO_AUGMENTATION, drop=1.0),
        replace(NO_AUGMENTATION, holes=20, hole_radius=100.0),
        replace(NO_AUGMENTATION, cut=1.0, drop=1.0, holes=5, hole_radius=9.0),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_something_is_always_left(settings: PointAugmentation, seed: int) -> None:
    points = cloud()
    changed = augment_points(points, CENTERS, settings, seeded(seed))
    assert is_among(changed, points).all()


def test_equal_seeds_give_equal_clouds() -> None:
    settings = PointAugmentation()
    first, again, other = (augment_points(cloud(), CENTERS, settings, seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_thinning_keeps_the_first_centers() -> None:
    points = cloud()
    thin = subsample_points(points, CENTERS, 30, 8, seeded())
    assert thin.shape == (PEOPLE, FRAMES, 30, 3)
    assert torch.equal(thin[:, :, :8], points[:, :, :8])
    assert is_among(thin[:, :, 8:], points[:, :, 8:]).all()
    assert len(torch.unique(thin[0, 0], dim=0)) == 30
    assert torch.equal(subsample_points(points, CENTERS, POINTS, CENTERS, seeded()), points)


@pytest.mark.parametrize(("count", "centers"), [(POINTS + 1, CENTERS), (30, CENTERS + 1)])
def test_points_that_are_not_there_are_asked_for_in_vain(count: int, centers: int) -> None:
    with pytest.raises(ValueError, match="build the samples with as many"):
        subsample_points(cloud(), CENTERS, count, centers, seeded())


@pytest.mark.parametrize("wrong", [{"yaw": -1.0}, {"mirror": 1.5}, {"drop": float("nan")}, {"holes": -1}])
def test_settings_out_of_range_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PointAugmentation(**wrong)


def test_the_origin_follows_what_is_left() -> None:
    before = torch.tensor([[[[-0.2, -0.9, 0.0], [0.2, 0.9, 0.3], [0.0, 0.1, 0.1]]]])
    after = torch.tensor([[[[-0.2, -0.9, 0.0], [0.0, 0.1, 0.1], [0.0, 0.1, 0.1]]]])
    change = sample_transform(1, replace(NO_AUGMENTATION, yaw=30.0, mirror=1.0), torch.Generator().manual_seed(3))
    moved = change.follow(before, after, torch.tensor([True]))
    # Across the view the middle is at (-0.1, -0.4); nothing moves along it.
    assert torch.allclose(moved.apply(torch.tensor([[[-0.1, -0.4, 0.0]]])), torch.zeros(1, 1, 3), atol=1e-6)
    assert torch.allclose(moved.undo(moved.apply(after)[..., :3].repeat(1, 1, 5, 1)), change.undo(
        change.apply(after).repeat(1, 1, 5, 1)), atol=1e-6)  # fmt: skip
    stays = change.follow(before, after, torch.tensor([False]))
    assert torch.equal(stays.shifts, change.shifts)
