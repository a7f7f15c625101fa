"""Joints that agree best with everything: closed-form cases, outliers, and evidence that is absent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from dense_equations import DenseProblem
from people import JOINTS, LIMBS, boneless, evidence, own_body, person

from unipose_ros.compiled import ENABLED
from unipose_ros.fusion.evidence import BONES, Body, Evidence, bone_lengths
from unipose_ros.fusion.solve import Fused, fuse, fuse_by_numpy
from unipose_ros.joint_sets import ITOP15

ELBOW, HAND = ITOP15.index("left_elbow"), ITOP15.index("left_hand")


def off(found: np.ndarray, ground_truth: np.ndarray) -> np.ndarray:
    return np.linalg.norm(found - ground_truth, axis=-1)


def test_everyone_who_says_the_ground_truth_is_believed() -> None:
    ground_truth = np.stack([person(), person(1.0, 2.0), person(-0.5, 4.0, 0.7)])
    found = fuse(evidence(ground_truth), ground_truth + 0.1)
    np.testing.assert_allclose(found.joints, ground_truth, atol=1e-3)
    np.testing.assert_allclose(found.lengths, bone_lengths(ground_truth), atol=2e-3)


def test_a_network_alone_is_taken_at_its_word() -> None:
    ground_truth = person()[None]
    observed = evidence(ground_truth, rays=0, surfaces=0, lifter=0)
    # Covariances of any shape come back as they are, where nothing else observes the joint.
    turned = np.linalg.svd(np.random.default_rng(0).normal(size=(JOINTS, 3, 3)))[0]
    observed.covariances[:] = 0.04**2 * (turned * [0.2, 1.0, 3.0]) @ turned.transpose(0, 2, 1)
    found = fuse(observed, ground_truth)
    np.testing.assert_allclose(found.joints, ground_truth, atol=1e-6)
    np.testing.assert_allclose(found.covariances[0, HAND], observed.covariances[0, HAND], rtol=0.05)


def test_two_gaussians_meet_in_between() -> None:
    """The lifter's pose and the network agree about all joints but one: that one lies in the middle of the two."""
    ground_truth = person()[None]
    observed = evidence(ground_truth, network=0.05, rays=0, surfaces=0, lifter=0.05)
    observed.joints[0, HAND] += [0.0, 0.02, 0.0]
    found = fuse(observed, ground_truth)
    # The pose's place follows one of fifteen joints a little.
    np.testing.assert_allclose(found.joints[0, HAND] - ground_truth[0, HAND], [0, 0.01, 0], atol=1.5e-3)


def test_a_ray_and_a_depth_make_a_point() -> None:
    ground_truth = person()[None]
    observed = evidence(ground_truth, network=0, lifter=0)
    found = fuse(observed, np.zeros_like(ground_truth) + [0.0, 0.0, 3.0])
    np.testing.assert_allclose(found.joints[0, LIMBS], ground_truth[0, LIMBS], atol=2e-3)
    noise = np.sqrt(np.diagonal(found.covariances[0, HAND]))
    # 2 cm across the ray, 3 cm along it.
    np.testing.assert_allclose(noise, [0.02, 0.02, 0.03], rtol=0.2)


def test_a_ray_moves_a_joint_across_and_not_along() -> None:
    ground_truth = person()[None]
    observed = evidence(ground_truth, network=0.10, rays=0.01, surfaces=0, lifter=0)
    wrong = np.array([0.05, 0.0, 0.08])
    observed.joints[0, HAND] += wrong
    found = fuse(observed, observed.joints)
    moved = found.joints[0, HAND] - ground_truth[0, HAND]
    ray = ground_truth[0, HAND] / np.linalg.norm(ground_truth[0, HAND])
    across = moved - (moved @ ray) * ray
    assert np.linalg.norm(across) < 0.005
    assert moved @ ray == pytest.approx(wrong @ ray, abs=0.01)


def test_the_result_is_a_minimum_of_the_likelihood() -> None:
    """Against the negative log likelihood written down anew, joint by joint."""
    rng = np.random.default_rng(3)
    ground_truth = person()[None]
    observed = evidence(ground_truth, bodies=own_body(ground_truth, 0.03))
    observed.joints[:] += rng.normal(0, 0.05, ground_truth.shape)
    observed.slopes[:] += rng.normal(0, 0.008, observed.slopes.shape)
    observed.surfaces.depths[:] += rng.normal(0, 0.03, observed.surfaces.depths.shape)
    observed = replace(observed, pose=np.full_like(ground_truth, np.nan))
    found = fuse(observed, ground_truth)
    least = minus_log_likelihood(observed, found.joints[0])
    for _ in range(200):
        step = rng.normal(0, 1.0, ground_truth.shape[1:]) * 0.01
        assert minus_log_likelihood(observed, found.joints[0] + step) > least - 0.02


def minus_log_likelihood(observed: Evidence, joints: np.ndarray) -> float:
    total = 0.0
    for joint in range(JOINTS):
        apart = joints[joint] - observed.joints[0, joint]
        total += 2.5 * np.log1p(apart @ np.linalg.solve(observed.covariances[0, joint], apart) / 2)
        z = joints[joint, 2]
        if np.isfinite(observed.slopes[0, joint]).all():
            # The standard deviation in meters is that at the joint's depth, which moves by less than a percent.
            square = (
                np.sum((joints[joint, :2] / z - observed.slopes[0, joint]) ** 2) / observed.slope_stds[0, joint] ** 2
            )
            total += 2.0 * np.log1p(square / 2)
        if np.isfinite(observed.surfaces.costs[0, joint, 0]):
            std = observed.surfaces.stds[0, joint, 0]
            square = ((z - observed.surfaces.depths[0, joint, 0]) / std) ** 2
            own = np.exp(-observed.surfaces.costs[0, joint, 0] - square / 2) / (np.sqrt(2 * np.pi) * std)
            front = 5.0 if z < observed.surfaces.depths[0, joint, 0] - 0.03 else 0.0
            total -= np.log(own + np.exp(-observed.surfaces.hidden[0, joint] - front) / 0.65)
    lengths = bone_lengths(joints)
    total += float(
        (((lengths - observed.body.lengths[0]) / (observed.body.stds[0] * observed.body.lengths[0])) ** 2).sum() / 2
    )
    for joint, parts in (
        ("neck", ("left_shoulder", "right_shoulder")),
        ("torso", ("neck", "neck", "left_hip", "right_hip")),
    ):
        middle = np.mean([joints[ITOP15.index(part)] for part in parts], axis=0)
        total += float((((joints[ITOP15.index(joint)] - middle) / 0.01) ** 2).sum() / 2)
    return float(total)


@pytest.mark.parametrize("meters", [0.3, 0.6, 2.0, 50.0])
def test_a_wrong_keypoint_does_not_drag_its_joint(meters: float) -> None:
    ground_truth = person()[None]
    observed = evidence(ground_truth, bodies=own_body(ground_truth))
    observed.slopes[0, HAND] += meters / 3.0
    found = fuse(observed, ground_truth)
    assert off(found.joints, ground_truth).max() < 0.01
    assert found.rays[0, HAND] < 0.1
    assert found.rays[0, ELBOW] > 1


def test_another_persons_keypoints_do_not_drag_a_body() -> None:
    ground_truth = person()[None]
    observed = evidence(ground_truth, bodies=own_body(ground_truth))
    other = person(0.9, 3.2)[None]
    observed.slopes[:] = np.where(np.isfinite(observed.slopes), other[..., :2] / other[..., 2:], np.nan)
    observed = replace(observed, pose=np.full_like(ground_truth, np.nan))
    assert off(fuse(observed, ground_truth).joints, ground_truth).max() < 0.03


def test_a_wrong_network_joint_is_outvoted() -> None:
    ground_truth = person()[None]
    observed = evidence(ground_truth, bodies=own_body(ground_truth))
    observed.joints[0, HAND] += [0.4, -0.5, 0.3]
    assert off(fuse(observed, observed.joints).joints, ground_truth).max() < 0.02


def test_a_surface_that_is_something_else_does_not_count() -> None:
    """Behind the hand the background was hit; in front of the other one another person stands."""
    ground_truth = person()[None]
    observed = evidence(ground_truth, bodies=own_body(ground_truth))
    observed.surfaces.depths[0, HAND] += 0.6
    observed.surfaces.depths[0, ITOP15.index("right_hand")] -= 0.5
    found = fuse(observed, ground_truth)
    assert off(found.joints, ground_truth).max() < 0.02
    assert found.owned[0, HAND] < 0.2
    assert found.owned[0, ELBOW] > 0.9


def test_the_nearer_of_several_surfaces_is_taken() -> None:
    ground_truth = person()[None]
    observed = evidence(ground_truth, network=0.06, lifter=0)
    many = replace(
        observed.surfaces,
        depths=ground_truth[..., 2:] + np.array([0.5, 0.0, -0.4]),
        stds=np.full((1, JOINTS, 3), 0.03),
        costs=np.broadcast_to(np.where(np.isin(np.arange(JOINTS), LIMBS), 1.1, np.inf)[None, :, None], (1, JOINTS, 3)),
    )
    found = fuse(replace(observed, surfaces=many), ground_truth)
    assert off(found.joints, ground_truth)[0, LIMBS].max() < 0.01


def test_known_bones_lengthen_what_the_network_shortens() -> None:
    ground_truth = person()[None]
    observed = evidence(ground_truth, network=0.04, rays=0, surfaces=0, lifter=0, bodies=own_body(ground_truth, 0.02))
    short = ground_truth.copy()
    short[0, HAND] = ground_truth[0, ELBOW] + 0.7 * (ground_truth[0, HAND] - ground_truth[0, ELBOW])
    observed.joints[:] = short
    found = fuse(observed, short)
    whole = np.linalg.norm(ground_truth[0, HAND] - ground_truth[0, ELBOW])
    assert np.linalg.norm(found.joints[0, HAND] - found.joints[0, ELBOW]) == pytest.approx(whole, rel=0.03)
    # What the sensors alone say is still the short forearm.
    forearm = next(b for b, bone in enumerate(BONES.tolist()) if set(bone) == {ELBOW, HAND})
    assert found.lengths[0, forearm] == pytest.approx(0.7 * whole, rel=0.05)


@pytest.mark.parametrize("size", [0.6, 0.8, 1.0, 1.15])
def test_people_of_any_size_keep_it(size: float) -> None:
    ground_truth = person(size=size)[None]
    # The lifter predicts poses of average adults.
    observed = evidence(ground_truth, lifter=0, bodies=Body.of_population(1, size_std=0.2))
    found = fuse(observed, ground_truth)
    assert off(found.joints, ground_truth).max() < 0.02
    assert found.sizes[0] == pytest.approx(size, rel=0.05)


def test_people_do_not_know_of_each_other() -> None:
    ground_truth = np.stack([person(), person(0.4, 2.8)])
    observed = evidence(ground_truth)
    observed.joints[:] += np.random.default_rng(1).normal(0, 0.04, ground_truth.shape)
    both = fuse(observed, ground_truth)
    alone = fuse(pick(observed, [1]), ground_truth[1:])
    np.testing.assert_allclose(both.joints[1], alone.joints[0], atol=1e-9)
    np.testing.assert_allclose(both.covariances[1], alone.covariances[0], rtol=1e-6)


def pick(observed: Evidence, people: list[int]) -> Evidence:
    rows = np.array(people)
    surfaces = type(observed.surfaces)(**{name: value[rows] for name, value in vars(observed.surfaces).items()})
    others = {name: getattr(observed, name)[rows] for name in vars(observed) if name not in ("surfaces", "body")}
    return Evidence(**others, surfaces=surfaces, body=observed.body.select(rows))


def test_fewer_measurements_leave_a_larger_variance() -> None:
    ground_truth = person()[None]
    sizes = [
        np.trace(fuse(observed, ground_truth).covariances[0, HAND])
        for observed in (
            evidence(ground_truth),
            evidence(ground_truth, surfaces=0),
            evidence(ground_truth, surfaces=0, rays=0),
        )
    ]
    assert sizes[0] < sizes[1] < sizes[2]


def test_no_people_give_none() -> None:
    found = fuse(evidence(np.zeros((0, JOINTS, 3))), np.zeros((0, JOINTS, 3)))
    assert found.joints.shape == (0, JOINTS, 3)
    assert found.covariances.shape == (0, JOINTS, 3, 3)


@pytest.mark.parametrize("observed", ["network", "rays", "surfaces", "lifter", "nothing"])
def test_one_source_or_none_gives_finite_numbers_that_are_not_sure(observed: str) -> None:
    ground_truth = person()[None]
    given = dict.fromkeys(("network", "rays", "surfaces", "lifter"), 0.0)
    if observed != "nothing":
        given[observed] = 0.04
    found = fuse(evidence(ground_truth, **given, bodies=Body.of_population(1)), ground_truth)
    assert np.isfinite(found.joints).all()
    assert np.isfinite(found.covariances).all()
    noise = np.sqrt(np.diagonal(found.covariances[0, HAND]))
    assert (noise > 0.02).all()
    if observed in ("lifter", "nothing", "rays"):
        assert noise[2] > 0.2


def test_one_keypoint_and_nothing_else() -> None:
    ground_truth = person()[None]
    observed = evidence(ground_truth, network=0, surfaces=0, lifter=0, bodies=Body.of_population(1))
    observed.slopes[:, [joint for joint in range(JOINTS) if joint != HAND]] = np.nan
    found = fuse(observed, ground_truth)
    assert np.isfinite(found.joints).all()
    assert off(found.joints, ground_truth)[0, HAND] < 0.3


@pytest.mark.parametrize("broken", [np.nan, np.inf, 0.0, -1.0])
def test_covariances_that_are_none_are_not_used(broken: float) -> None:
    ground_truth = person()[None]
    observed = evidence(ground_truth)
    observed.covariances.setflags(write=True) if not observed.covariances.flags.writeable else None
    observed.covariances[0, HAND] = np.diag(np.full(3, broken))
    observed.joints[0, HAND] += 0.5
    found = fuse(observed, ground_truth)
    assert off(found.joints, ground_truth)[0, HAND] < 0.02
    assert found.networks[0, HAND] == 0


def test_bodies_are_checked() -> None:
    body = boneless(2)
    with pytest.raises(ValueError, match=r"lengths"):
        replace(body, lengths=-body.lengths)
    with pytest.raises(ValueError, match=r"sizes"):
        replace(body, sizes=np.zeros(3))


def noisy(seed: int) -> tuple[Evidence, np.ndarray]:
    """Four people of any size about whom the sources disagree, and some of whom some sources say nothing."""
    rng = np.random.default_rng(seed)
    ground_truth = np.stack([person(x, z, size) for x, z, size in rng.uniform((-1, 1.5, 0.6), (1, 5, 1.2), (4, 3))])
    bodies = Body.of_population(4, size_std=0.2)
    bodies.follows[1] = 0.0
    exact = evidence(ground_truth, bodies=bodies)
    shape = (4, JOINTS, 3, 3)
    turned = np.linalg.svd(rng.normal(size=shape))[0] * rng.uniform(0.01, 0.2, (4, JOINTS, 1, 3))
    depths = exact.surfaces.depths + rng.normal(0, 0.2, (4, JOINTS, 3))
    costs = np.where(rng.uniform(size=depths.shape) < 0.3, np.inf, rng.uniform(0, 3, depths.shape))
    joints = ground_truth + rng.normal(0, 0.1, ground_truth.shape)
    pose = exact.pose * rng.uniform(0.8, 1.2) + rng.normal(0, 0.1, joints.shape)
    slopes = exact.slopes + rng.normal(0, 0.02, exact.slopes.shape)
    for values in (joints, pose, slopes):
        values[rng.uniform(size=values.shape[:2]) < 0.2] = np.nan
    joints[2], pose[3] = np.nan, np.nan
    observed = replace(
        exact,
        joints=joints,
        covariances=turned @ turned.transpose(0, 1, 3, 2),
        slopes=slopes,
        surfaces=replace(exact.surfaces, depths=depths, stds=rng.uniform(0.01, 0.1, depths.shape), costs=costs),
        pose=pose,
        pose_covariances=(turned @ turned.transpose(0, 1, 3, 2))[::-1].copy(),
    )
    return observed, ground_truth + rng.normal(0, 0.3, ground_truth.shape)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("run", [fuse, fuse_by_numpy])
def test_blocks_of_joints_add_up_to_the_rows_of_all_equations(
    seed: int, run: Callable[[Evidence, np.ndarray], Fused]
) -> None:
    observed, start = noisy(seed)
    found, expected = run(observed, start), DenseProblem(observed).run(start)
    for name, values in vars(expected).items():
        assert np.isfinite(values).all()
        # A hundredth of a micrometer, and as exact where numbers are large.
        np.testing.assert_allclose(getattr(found, name), values, rtol=1e-7, atol=1e-8, err_msg=name)


@pytest.mark.skipif(not ENABLED, reason="nothing is compiled")
@pytest.mark.parametrize("broken", [np.nan, np.inf, 0.0, -1.0, 1e-7])
def test_loops_take_broken_numbers_as_numpy_does(broken: float) -> None:
    observed, start = noisy(9)
    observed.covariances[0, :4] = broken
    observed.pose_covariances[1, 3] = np.diag([1.0, 1.0, broken])
    observed.pose_covariances[2, 4] = broken
    observed.joints[1, 5] = broken
    observed.slopes[2, 6] = broken
    start[3] = start[3, :1]  # all bones are without a direction
    found, expected = fuse(observed, start), fuse_by_numpy(observed, start)
    for name, values in vars(expected).items():
        np.testing.assert_allclose(getattr(found, name), values, rtol=1e-6, atol=1e-7, err_msg=name)
