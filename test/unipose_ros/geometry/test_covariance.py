"""Packed covariances: six numbers that must mean the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from unipose_ros.geometry import covariance


def _some(count: int = 5) -> np.ndarray:
    factors = np.random.default_rng(3).normal(size=(count, 3, 3))
    return np.asarray(factors @ factors.transpose(0, 2, 1))


def test_the_six_numbers_are_the_upper_triangle_row_by_row() -> None:
    full = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 5.0], [3.0, 5.0, 6.0]])
    np.testing.assert_array_equal(covariance.pack(full), [1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(covariance.variances(covariance.pack(full)), [1, 4, 6])
    np.testing.assert_array_equal(covariance.expand(covariance.pack(full)), full)


def test_torch_packs_as_numpy_does() -> None:
    full = _some()
    np.testing.assert_array_equal(covariance.pack(torch.from_numpy(full)).numpy(), covariance.pack(full))


def test_expanding_undoes_packing() -> None:
    full = _some()
    np.testing.assert_array_equal(covariance.expand(covariance.pack(full)), full)


def test_rotated_covariances_are_those_of_rotated_points() -> None:
    rotation = Rotation.from_euler("xyz", [0.3, -1.1, 0.7]).as_matrix()
    points = np.random.default_rng(0).normal(size=(2000, 3)) * [0.1, 0.4, 0.02]
    packed = covariance.pack(np.cov(points.T))
    np.testing.assert_allclose(
        covariance.transformed(packed, rotation), covariance.pack(np.cov((points @ rotation.T).T)), rtol=1e-9
    )


def test_a_sized_covariance_keeps_its_shape_and_has_laplaces_mean_variance() -> None:
    packed, scales = covariance.pack(_some()), np.linspace(0.02, 0.2, 5)
    sized = covariance.with_scale(packed, np.array(covariance.LEAST_COVARIANCE), scales)
    np.testing.assert_allclose(covariance.variances(sized).mean(axis=-1), 2 * scales**2)
    np.testing.assert_allclose(covariance.laplace_scale(sized), scales)
    ratio = sized / (packed + np.array(covariance.LEAST_COVARIANCE))
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1], ratio.shape))


def test_outer_products_are_of_rank_one() -> None:
    vectors = np.random.default_rng(1).normal(size=(4, 3))
    np.testing.assert_allclose(
        covariance.expand(covariance.outer_products(vectors)), vectors[:, :, None] * vectors[:, None]
    )


def test_a_ray_covariance_is_long_along_the_ray() -> None:
    point = np.array([[[0.6, -0.3, 2.0]]])
    full = covariance.expand(covariance.ray_covariances(point, along=np.array([[0.3]]), across=np.array([[0.02]])))
    values, axes = np.linalg.eigh(full[0, 0])
    np.testing.assert_allclose(np.sqrt(values), [0.02, 0.02, 0.3])
    assert abs(axes[:, 2] @ point[0, 0]) == pytest.approx(np.linalg.norm(point))


def test_unsure_keypoints_are_blurred() -> None:
    blur = covariance.keypoint_blur(np.array([1.0, 0.6, 0.3, 0.05, 0.0]))
    assert blur[0] == blur[1] == 1
    assert (np.diff(blur[1:4]) > 0).all()
    assert blur[3] == blur[4] < np.inf
