"""Student's t, and covariance matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_t

from unipose_ros.fusion.evidence import (
    FREEDOM,
    along_rays,
    annealed_width,
    mixture,
    student_cost,
    student_weight,
    whitening,
)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_costs_are_those_of_students_t(dimensions: int) -> None:
    density = multivariate_t(np.zeros(dimensions), np.eye(dimensions), FREEDOM)
    points = np.random.default_rng(0).normal(0, 3, (20, dimensions))
    expected = density.logpdf(np.zeros(dimensions)) - density.logpdf(points)
    np.testing.assert_allclose(student_cost((points**2).sum(axis=1), dimensions), expected, rtol=1e-6)


def test_weights_are_the_slope_of_the_costs() -> None:
    squares = np.linspace(0, 30, 7)
    step = 1e-6
    slope = (student_cost(squares + step, 3) - student_cost(squares, 3)) / step
    np.testing.assert_allclose(student_weight(squares, 3), 2 * slope, rtol=1e-5)


def test_tensors_and_arrays_get_the_same_numbers() -> None:
    squares = np.linspace(0, 30, 7)
    tensor = torch.from_numpy(squares).requires_grad_()
    cost = student_cost(tensor, 2)
    np.testing.assert_allclose(cost.detach().numpy(), student_cost(squares, 2))
    cost.sum().backward()
    np.testing.assert_allclose(2 * tensor.grad.numpy(), student_weight(squares, 2))


def test_widths_fall_to_one() -> None:
    widths = [annealed_width(progress) for progress in np.linspace(0, 1, 11)]
    assert widths[0] == pytest.approx(4)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == 1


def random_covariances(count: int) -> np.ndarray:
    roots = np.random.default_rng(1).normal(0, 0.1, (count, 3, 3))
    return roots @ roots.transpose(0, 2, 1) + 1e-4 * np.eye(3)


def test_whitening_gives_unit_covariance() -> None:
    full = random_covariances(5)
    white, sound = whitening(full)
    assert sound.all()
    np.testing.assert_allclose(
        white @ full @ white.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (5, 3, 3)), atol=1e-9
    )


@pytest.mark.parametrize("bad", [np.full((3, 3), np.nan), np.zeros((3, 3)), -np.eye(3), np.diag([1.0, 1.0, 0.0])])
def test_what_is_no_covariance_has_no_whitening(bad: np.ndarray) -> None:
    white, sound = whitening(bad[None])
    assert not sound.any()
    assert not white.any()


def test_ray_covariances_are_long_along_the_ray() -> None:
    points = np.array([[0.0, 0.0, 2.0], [1.0, -0.5, 3.0]])
    full = along_rays(points, np.array([0.3, 0.2]), np.array([0.1, 0.05]))
    for point, matrix, along, across in zip(points, full, (0.3, 0.2), (0.1, 0.05), strict=True):
        values, vectors = np.linalg.eigh(matrix)
        np.testing.assert_allclose(np.sqrt(values), [across, across, along])
        assert abs(vectors[:, 2] @ point / np.linalg.norm(point)) == pytest.approx(1)


def test_a_mixture_has_the_moments_of_its_samples() -> None:
    rng = np.random.default_rng(2)
    means, covariances = rng.normal(0, 0.3, (2, 3)), random_covariances(2)
    weights = np.array([0.7, 0.3])
    parts = [
        rng.multivariate_normal(m, c, int(200_000 * w)) for m, c, w in zip(means, covariances, weights, strict=True)
    ]
    samples = np.concatenate(parts)
    mean, covariance = mixture(weights, means, covariances)
    np.testing.assert_allclose(mean, samples.mean(axis=0), atol=2e-3)
    np.testing.assert_allclose(covariance, np.cov(samples.T), atol=1e-3)
