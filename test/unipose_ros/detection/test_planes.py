"""Planes in a grid of points, and the fast votes against the plain ones."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_ros.detection.planes import _SAME_DIRECTION, _agreement, _normals, _tolerance, find_planes


def room() -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) points of a floor 1.2 m below the camera and a wall at 4 m, with noise, and (H, W) areas."""
    v, u = np.mgrid[:88, :117]
    x, y = (u - 58) / 96, (v - 44) / 96
    z = np.minimum(4.0, np.where(y > 0, 1.2 / np.maximum(y, 1e-6), np.inf))
    z += np.random.default_rng(0).normal(0, 0.004, z.shape)
    return np.stack([x * z, y * z, z], axis=-1), z**2 / 96**2


def test_floor_and_wall_are_planes_and_a_ball_is_not() -> None:
    points, areas = room()
    ball = np.hypot(points[..., 0], points[..., 1]) < 0.4
    rise = np.sqrt(np.maximum(0.16 - points[..., 0] ** 2 - points[..., 1] ** 2, 0))
    points[ball] *= ((2.5 - rise[ball]) / points[..., 2][ball])[:, None]
    planes = find_planes(points, areas)
    inner = np.zeros_like(ball)
    inner[3:-3, 3:-3] = True
    border = np.abs(points[..., 2] - 4.0) + np.abs(points[..., 1] - 1.2) < 0.4
    assert planes.members[inner & ~ball & ~border].mean() > 0.9
    assert not planes.members[ball].any()
    assert planes.up == pytest.approx([0, -1, 0], abs=0.02)


def test_votes_are_those_of_plain_products() -> None:
    points, _ = room()
    normals = _normals(points)
    there = np.isfinite(normals[..., 0])
    rng = np.random.default_rng(1)
    seeds, voters = rng.integers(there.sum(), size=150), rng.integers(there.sum(), size=900)
    points, normals = points[there], normals[there]
    agree = _agreement(points[seeds], normals[seeds], points[voters], normals[voters])
    offsets = np.abs(np.sum(normals[seeds][:, None] * (points[voters] - points[seeds][:, None]), axis=-1))
    facing = np.abs(np.sum(normals[seeds][:, None] * normals[voters], axis=-1))
    wanted = (offsets < _tolerance(points[voters])) & (facing > _SAME_DIRECTION)
    assert (agree != wanted).mean() < 1e-4  # single precision decides those on the edge


def test_normals_are_those_of_cross_products() -> None:
    points, _ = room()
    cross = np.cross(points[1:-1, 2:] - points[1:-1, :-2], points[2:, 1:-1] - points[:-2, 1:-1])
    wanted = cross / np.linalg.norm(cross, axis=-1, keepdims=True)
    np.testing.assert_allclose(_normals(points)[1:-1, 1:-1], wanted, atol=1e-12)
