"""Joints that agree best with everything: closed-form cases, outliers, and evidence that is absent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from people import JOINTS, LIMBS, boneless, evidence, own_body, person

from unipose_ros.fusion.bones import BONES, Body, bone_lengths
from unipose_ros.fusion.evidence import Evidence
from unipose_ros.fusion.solve import fuse
from unipose_ros.joint_sets import ITOP15

ELBOW, HAND = ITOP15.index("left_elbow"), ITOP15.index("left_hand")


def off(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.linalg.norm(found - truth, axis=-1)


def test_everybody_who_says_the_truth_is_believed() -> None:
    truth = np.stack([person(), person(1.0, 2.0), person(-0.5, 4.0, 0.7)])
    found = fuse(evidence(truth), truth + 0.1)
    np.testing.assert_allclose(found.joints, truth, atol=1e-3)
    np.testing.assert_allclose(found.lengths, bone_lengths(truth), atol=2e-3)


def test_a_network_alone_is_taken_at_its_word() -> None:
    truth = person()[None]
    said = evidence(truth, rays=0, surfaces=0, lifter=0)
    # Covariances of any shape come back as they are, where nothing else is said about the joint.
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(JOINTS, 3, 3)))[0]
    said.covariances[:] = 0.04**2 * (turned * [0.2, 1.0, 3.0]) @ turned.transpose(0, 2, 1)
    found = fuse(said, truth)
    np.testing.assert_allclose(found.joints, truth, atol=1e-6)
    np.testing.assert_allclose(found.covariances[0, HAND], said.covariances[0, HAND], rtol=0.05)


def test_two_gaussians_meet_in_between() -> None:
    """The lifter's pose and the network agree about all joints but one: that one lies in the middle of the two."""
    truth = person()[None]
    said = evidence(truth, network=0.05, rays=0, surfaces=0, lifter=0.05)
    said.joints[0, HAND] += [0.0, 0.02, 0.0]
    found = fuse(said, truth)
    # The pose's place follows one of fifteen joints a little.
    np.testing.assert_allclose(found.joints[0, HAND] - truth[0, HAND], [0, 0.01, 0], atol=1.5e-3)


def test_a_ray_and_a_depth_make_a_point() -> None:
    truth = person()[None]
    said = evidence(truth, network=0, lifter=0)
    found = fuse(said, np.zeros_like(truth) + [0.0, 0.0, 3.0])
    np.testing.assert_allclose(found.joints[0, LIMBS], truth[0, LIMBS], atol=2e-3)
    spread = np.sqrt(np.diagonal(found.covariances[0, HAND]))
    # 2 cm across the ray, 3 cm along it.
    np.testing.assert_allclose(spread, [0.02, 0.02, 0.03], rtol=0.2)


def test_a_ray_moves_a_joint_across_and_not_along() -> None:
    truth = person()[None]
    said = evidence(truth, network=0.10, rays=0.01, surfaces=0, lifter=0)
    wrong = np.array([0.05, 0.0, 0.08])
    said.joints[0, HAND] += wrong
    found = fuse(said, said.joints)
    moved = found.joints[0, HAND] - truth[0, HAND]
    ray = truth[0, HAND] / np.linalg.norm(truth[0, HAND])
    across = moved - (moved @ ray) * ray
    assert np.linalg.norm(across) < 0.005
    assert moved @ ray == pytest.approx(wrong @ ray, abs=0.01)


def test_the_result_is_a_minimum_of_the_likelihood() -> None:
    """Against the negative log likelihood written down anew, joint by joint."""
    rng = np.random.default_rng(3)
    truth = person()[None]
    said = evidence(truth, bodies=own_body(truth, 0.03))
    said.joints[:] += rng.normal(0, 0.05, truth.shape)
    said.slopes[:] += rng.normal(0, 0.008, said.slopes.shape)
    said.surfaces.depths[:] += rng.normal(0, 0.03, said.surfaces.depths.shape)
    said = replace(said, pose=np.full_like(truth, np.nan))
    found = fuse(said, truth)
    least = minus_log_likelihood(said, found.joints[0])
    for _ in range(200):
        step = rng.normal(0, 1.0, truth.shape[1:]) * 0.01
        assert minus_log_likelihood(said, found.joints[0] + step) > least - 0.02


def minus_log_likelihood(said: Evidence, joints: np.ndarray) -> float:
    total = 0.0
    for joint in range(JOINTS):
        apart = joints[joint] - said.joints[0, joint]
        total += 2.5 * np.log1p(apart @ np.linalg.solve(said.covariances[0, joint], apart) / 2)
        z = joints[joint, 2]
        if np.isfinite(said.slopes[0, joint]).all():
            # The standard deviation in meters is that at the joint's depth, which moves by less than a percent.
            square = np.sum((joints[joint, :2] / z - said.slopes[0, joint]) ** 2) / said.slope_stds[0, joint] ** 2
            total += 2.0 * np.log1p(square / 2)
        if np.isfinite(said.surfaces.costs[0, joint, 0]):
            std = said.surfaces.stds[0, joint, 0]
            square = ((z - said.surfaces.depths[0, joint, 0]) / std) ** 2
            own = np.exp(-said.surfaces.costs[0, joint, 0] - square / 2) / (np.sqrt(2 * np.pi) * std)
            front = 5.0 if z < said.surfaces.depths[0, joint, 0] - 0.03 else 0.0
            total -= np.log(own + np.exp(-said.surfaces.hidden[0, joint] - front) / 0.65)
    lengths = bone_lengths(joints)
    total += float((((lengths - said.body.lengths[0]) / (said.body.stds[0] * said.body.lengths[0])) ** 2).sum() / 2)
    for joint, parts in (
        ("neck", ("left_shoulder", "right_shoulder")),
        ("torso", ("neck", "neck", "left_hip", "right_hip")),
    ):
        middle = np.mean([joints[ITOP15.index(part)] for part in parts], axis=0)
        total += float((((joints[ITOP15.index(joint)] - middle) / 0.01) ** 2).sum() / 2)
    return float(total)


@pytest.mark.parametrize("meters", [0.3, 0.6, 2.0, 50.0])
def test_a_wrong_keypoint_does_not_drag_its_joint(meters: float) -> None:
    truth = person()[None]
    said = evidence(truth, bodies=own_body(truth))
    said.slopes[0, HAND] += meters / 3.0
    found = fuse(said, truth)
    assert off(found.joints, truth).max() < 0.01
    assert found.rays[0, HAND] < 0.1
    assert found.rays[0, ELBOW] > 1


def test_another_persons_keypoints_do_not_drag_a_body() -> None:
    truth = person()[None]
    said = evidence(truth, bodies=own_body(truth))
    other = person(0.9, 3.2)[None]
    said.slopes[:] = np.where(np.isfinite(said.slopes), other[..., :2] / other[..., 2:], np.nan)
    said = replace(said, pose=np.full_like(truth, np.nan))
    assert off(fuse(said, truth).joints, truth).max() < 0.03


def test_a_wrong_network_joint_is_outvoted() -> None:
    truth = person()[None]
    said = evidence(truth, bodies=own_body(truth))
    said.joints[0, HAND] += [0.4, -0.5, 0.3]
    assert off(fuse(said, said.joints).joints, truth).max() < 0.02


def test_a_surface_that_is_something_else_does_not_count() -> None:
    """Behind the hand the background was hit; in front of the other one somebody else stands."""
    truth = person()[None]
    said = evidence(truth, bodies=own_body(truth))
    said.surfaces.depths[0, HAND] += 0.6
    said.surfaces.depths[0, ITOP15.index("right_hand")] -= 0.5
    found = fuse(said, truth)
    assert off(found.joints, truth).max() < 0.02
    assert found.owned[0, HAND] < 0.2
    assert found.owned[0, ELBOW] > 0.9


def test_the_nearer_of_several_surfaces_is_taken() -> None:
    truth = person()[None]
    said = evidence(truth, network=0.06, lifter=0)
    many = replace(
        said.surfaces,
        depths=truth[..., 2:] + np.array([0.5, 0.0, -0.4]),
        stds=np.full((1, JOINTS, 3), 0.03),
        costs=np.broadcast_to(np.where(np.isin(np.arange(JOINTS), LIMBS), 1.1, np.inf)[None, :, None], (1, JOINTS, 3)),
    )
    found = fuse(replace(said, surfaces=many), truth)
    assert off(found.joints, truth)[0, LIMBS].max() < 0.01


def test_known_bones_lengthen_what_the_network_shortens() -> None:
    truth = person()[None]
    said = evidence(truth, network=0.04, rays=0, surfaces=0, lifter=0, bodies=own_body(truth, 0.02))
    short = truth.copy()
    short[0, HAND] = truth[0, ELBOW] + 0.7 * (truth[0, HAND] - truth[0, ELBOW])
    said.joints[:] = short
    found = fuse(said, short)
    whole = np.linalg.norm(truth[0, HAND] - truth[0, ELBOW])
    assert np.linalg.norm(found.joints[0, HAND] - found.joints[0, ELBOW]) == pytest.approx(whole, rel=0.03)
    # What the sensors alone say is still the short forearm.
    forearm = next(b for b, bone in enumerate(BONES.tolist()) if set(bone) == {ELBOW, HAND})
    assert found.lengths[0, forearm] == pytest.approx(0.7 * whole, rel=0.05)


@pytest.mark.parametrize("size", [0.6, 0.8, 1.0, 1.15])
def test_people_of_any_size_keep_it(size: float) -> None:
    truth = person(size=size)[None]
    # The lifter says poses of average adults.
    said = evidence(truth, lifter=0, bodies=Body.of_population(1, size_std=0.2))
    found = fuse(said, truth)
    assert off(found.joints, truth).max() < 0.02
    assert found.sizes[0] == pytest.approx(size, rel=0.05)


def test_people_do_not_know_of_each_other() -> None:
    truth = np.stack([person(), person(0.4, 2.8)])
    said = evidence(truth)
    said.joints[:] += np.random.default_rng(1).normal(0, 0.04, truth.shape)
    both = fuse(said, truth)
    alone = fuse(pick(said, [1]), truth[1:])
    np.testing.assert_allclose(both.joints[1], alone.joints[0], atol=1e-9)
    np.testing.assert_allclose(both.covariances[1], alone.covariances[0], rtol=1e-6)


def pick(said: Evidence, people: list[int]) -> Evidence:
    rows = np.array(people)
    surfaces = type(said.surfaces)(**{name: value[rows] for name, value in vars(said.surfaces).items()})
    others = {name: getattr(said, name)[rows] for name in vars(said) if name not in ("surfaces", "body")}
    return Evidence(**others, surfaces=surfaces, body=said.body.select(rows))


def test_who_says_less_leaves_more_doubt() -> None:
    truth = person()[None]
    sizes = [
        np.trace(fuse(said, truth).covariances[0, HAND])
        for said in (evidence(truth), evidence(truth, surfaces=0), evidence(truth, surfaces=0, rays=0))
    ]
    assert sizes[0] < sizes[1] < sizes[2]


def test_nobody_gives_nobody() -> None:
    found = fuse(evidence(np.zeros((0, JOINTS, 3))), np.zeros((0, JOINTS, 3)))
    assert found.joints.shape == (0, JOINTS, 3)
    assert found.covariances.shape == (0, JOINTS, 3, 3)


@pytest.mark.parametrize("said", ["network", "rays", "surfaces", "lifter", "nothing"])
def test_one_source_or_none_gives_finite_numbers_that_are_not_sure(said: str) -> None:
    truth = person()[None]
    given = dict.fromkeys(("network", "rays", "surfaces", "lifter"), 0.0)
    if said != "nothing":
        given[said] = 0.04
    found = fuse(evidence(truth, **given, bodies=Body.of_population(1)), truth)
    assert np.isfinite(found.joints).all()
    assert np.isfinite(found.covariances).all()
    spread = np.sqrt(np.diagonal(found.covariances[0, HAND]))
    assert (spread > 0.02).all()
    if said in ("lifter", "nothing", "rays"):
        assert spread[2] > 0.2


def test_one_keypoint_and_nothing_else() -> None:
    truth = person()[None]
    said = evidence(truth, network=0, surfaces=0, lifter=0, bodies=Body.of_population(1))
    said.slopes[:, [joint for joint in range(JOINTS) if joint != HAND]] = np.nan
    found = fuse(said, truth)
    assert np.isfinite(found.joints).all()
    assert off(found.joints, truth)[0, HAND] < 0.3


@pytest.mark.parametrize("broken", [np.nan, np.inf, 0.0, -1.0])
def test_covariances_that_are_none_are_not_used(broken: float) -> None:
    truth = person()[None]
    said = evidence(truth)
    said.covariances.setflags(write=True) if not said.covariances.flags.writeable else None
    said.covariances[0, HAND] = np.diag(np.full(3, broken))
    said.joints[0, HAND] += 0.5
    found = fuse(said, truth)
    assert off(found.joints, truth)[0, HAND] < 0.02
    assert found.networks[0, HAND] == 0


def test_bodies_are_checked() -> None:
    body = boneless(2)
    with pytest.raises(ValueError, match=r"lengths"):
        replace(body, lengths=-body.lengths)
    with pytest.raises(ValueError, match=r"sizes"):
        replace(body, sizes=np.zeros(3))
