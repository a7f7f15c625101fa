from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unipose_ros.lifting.localization import Observations, solve_root_translation

RNG = np.random.default_rng(3)
POSE = RNG.normal(0, 0.35, (1, 15, 3))


def seen_from(translation, scale=1.0, pose=POSE, depth=False, **changes) -> Observations:
    """Rays, and depths if asked for, exactly as a person at that place shows."""
    points = scale * pose + np.asarray(translation)
    unknown = np.full(points.shape[:2], np.nan)
    fields = {
        "pose": pose,
        "rays": points / points[..., 2:],
        "ray_stds": np.full(points.shape[:2], 0.004),
        "pose_stds": np.full((*points.shape[:2], 2), 0.03),
        "depths": points[..., 2] if depth else unknown,
        "depth_stds": np.full(points.shape[:2], 0.02),
    }
    return Observations(**fields | changes)


@settings(max_examples=30, deadline=None)
@given(x=st.floats(-2, 2), y=st.floats(-1, 1), z=st.floats(1.5, 8))
def test_a_person_of_the_usual_size_is_put_where_it_is(x, y, z):
    placed = solve_root_translation(seen_from((x, y, z)), size_std=0.07)
    np.testing.assert_allclose(placed.translations[0], [x, y, z], atol=1e-6)
    assert placed.scales[0] == pytest.approx(1.0, abs=1e-6)


def test_size_and_distance_grow_alike_in_the_image():
    """A person 10 % taller at 3.3 m gives the same rays as the usual one at 3 m."""
    near = solve_root_translation(seen_from((0.3, 0, 3.0)), size_std=0.07)
    far = solve_root_translation(seen_from((0.33, 0, 3.3), scale=1.1), size_std=0.07)
    np.testing.assert_allclose(far.translations, near.translations, atol=1e-6)


def test_depth_says_how_large_a_person_is():
    placed = solve_root_translation(seen_from((0.2, 0.1, 4.0), scale=1.2, depth=True), size_std=0.07)
    # The prior still pulls a little towards 1.
    assert placed.scales[0] == pytest.approx(1.2, abs=0.02)
    np.testing.assert_allclose(placed.translations[0], [0.2, 0.1, 4.0], atol=0.04)


def test_one_valid_depth_pixel_is_enough_to_fix_the_distance():
    evidence = seen_from((0, 0, 4.0), scale=1.2, depth=True)
    only = np.where(np.arange(15) == 4, evidence.depths, np.nan)
    one = Observations(**vars(evidence) | {"depths": only})
    alone = solve_root_translation(seen_from((0, 0, 4.0), scale=1.2), size_std=0.07)
    fused = solve_root_translation(one, size_std=0.07)
    assert abs(alone.translations[0, 2] - 4.0) > 0.5
    assert abs(fused.translations[0, 2] - 4.0) < 0.15
    assert fused.covariances[0, 2, 2] < 0.1 * alone.covariances[0, 2, 2]


def test_std_of_the_distance_is_that_of_the_size():
    placed = solve_root_translation(seen_from((0, 0, 5.0)), size_std=0.07)
    assert np.sqrt(placed.covariances[0, 2, 2]) == pytest.approx(0.07 * 5.0, rel=0.1)
    assert np.sqrt(placed.covariances[0, 0, 0]) < 0.05


def test_fusion_weighs_by_inverse_variance():
    """Pose known exactly, so a reading and the image are two measurements of one number."""
    exact = np.zeros((1, 15, 2)) + 1e-9
    still = {"pose_stds": exact, "ray_stds": np.full((1, 15), 1e-2)}
    ground_truth = seen_from((0, 0, 3.0), **still)
    image = solve_root_translation(ground_truth, size_std=0.0)
    reading = np.where(np.arange(15) == 0, 3.3 + POSE[..., 2], np.nan)
    std = np.sqrt(image.covariances[0, 2, 2])
    fused = solve_root_translation(
        Observations(**vars(ground_truth) | {"depths": reading, "depth_stds": np.full((1, 15), std)}), size_std=0.0
    )
    assert fused.translations[0, 2] == pytest.approx(3.15, abs=0.02)
    assert fused.covariances[0, 2, 2] == pytest.approx(std**2 / 2, rel=0.1)


def test_covariance_tells_the_errors_that_noise_makes():
    people = 600
    pose = np.repeat(POSE, people, axis=0)
    ground_truth = seen_from((0.4, 0.1, 3.0), pose=pose)
    rays = ground_truth.rays.copy()
    noise, rng = 0.01, np.random.default_rng(0)
    rays[..., :2] += rng.normal(0, noise, rays[..., :2].shape)
    stds = {"ray_stds": np.full((people, 15), noise), "pose_stds": np.full((people, 15, 2), 1e-6)}
    placed = solve_root_translation(Observations(**vars(ground_truth) | {"rays": rays} | stds), size_std=0.0)
    errors = placed.translations - [0.4, 0.1, 3.0]
    claimed = placed.covariances[:, [0, 1, 2], [0, 1, 2]].mean(axis=0)
    np.testing.assert_allclose((errors**2).mean(axis=0), claimed, rtol=0.35)


def test_keypoints_that_are_missing_have_no_influence():
    evidence = seen_from((0.5, 0, 3.0))
    rays, pose = evidence.rays.copy(), evidence.pose.copy()
    rays[0, 7], pose[0, 7] = np.nan, 99.0
    placed = solve_root_translation(Observations(**vars(evidence) | {"rays": rays, "pose": pose}), size_std=0.07)
    np.testing.assert_allclose(placed.translations[0], [0.5, 0, 3.0], atol=1e-6)


def test_joint_covariances_grow_away_from_the_middle():
    placed = solve_root_translation(seen_from((0, 0, 3.0)), size_std=0.07)
    far = np.array([[[0.0, 0, 0], [1.0, 0, 0]]])
    near_cov, far_cov = placed.joint_covariances(far)[0]
    np.testing.assert_allclose(near_cov, placed.covariances[0, :3, :3])
    assert far_cov[0, 0] > near_cov[0, 0]
