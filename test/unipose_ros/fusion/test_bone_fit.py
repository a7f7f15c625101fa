"""Limbs of a network alone: as long as people's are, and moved where the network is unsure."""

from __future__ import annotations

import numpy as np
import pytest
from people import JOINTS, person

from unipose_ros.compiled import ENABLED
from unipose_ros.fusion.bone_fit import fit_bones, fit_by_numpy
from unipose_ros.fusion.evidence import BONES, bone_lengths
from unipose_ros.joint_sets import ITOP15

ELBOW, HAND = ITOP15.index("left_elbow"), ITOP15.index("left_hand")
FOREARM = next(bone for bone, ends in enumerate(BONES.tolist()) if set(ends) == {ELBOW, HAND})


def isotropic(people: int, stds: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.asarray(stds)[..., None, None] ** 2 * np.eye(3), (people, JOINTS, 3, 3)).copy()


@pytest.mark.parametrize("size", [0.6, 1.0, 1.15])
def test_a_person_in_proportion_stays(size: float) -> None:
    joints = np.stack([person(0.0, 3.0, size), person(1.0, 2.0, size)])
    found, _ = fit_bones(joints, isotropic(2, np.full(JOINTS, 0.05)))
    np.testing.assert_allclose(found, joints, atol=6e-3)


def test_a_short_forearm_is_drawn_out_at_its_uncertain_end() -> None:
    joints = person()[None]
    stds = np.full(JOINTS, 0.02)
    stds[HAND] = 0.10
    short = joints.copy()
    short[0, HAND] = 0.3 * joints[0, ELBOW] + 0.7 * joints[0, HAND]
    found, covariances = fit_bones(short, isotropic(1, stds))
    ratio = bone_lengths(found)[0, FOREARM] / bone_lengths(joints)[0, FOREARM]
    assert 0.93 < ratio < 1.03
    moved = np.linalg.norm(found - short, axis=-1)[0]
    assert moved[ELBOW] < 0.2 * moved[HAND]
    along = joints[0, HAND] - joints[0, ELBOW]
    along /= np.linalg.norm(along)
    # The bone says nothing across itself, and much along itself.
    assert along @ covariances[0, HAND] @ along < 0.4**2 * stds[HAND] ** 2
    across = np.cross(along, [1.0, 0, 0])
    across /= np.linalg.norm(across)
    assert across @ covariances[0, HAND] @ across == pytest.approx(stds[HAND] ** 2, rel=0.4)


def test_what_the_network_does_not_give_is_not_made_up() -> None:
    joints = person()[None]
    joints[0, HAND] = np.nan
    covariances = isotropic(1, np.full(JOINTS, 0.05))
    covariances[0, ELBOW] = np.nan
    found, fitted = fit_bones(joints, covariances)
    assert np.isnan(found[0, HAND]).all()
    assert np.isnan(fitted[0, [HAND, ELBOW]]).all()
    assert np.isfinite(np.delete(found, HAND, axis=1)).all()
    assert fit_bones(joints[:0], covariances[:0])[0].shape == (0, JOINTS, 3)


def test_a_joint_far_from_the_bodys_reach_does_not_drag_it_along() -> None:
    joints = person()[None]
    wrong = joints.copy()
    wrong[0, HAND] += [0.0, 0.0, 1.5]
    found, _ = fit_bones(wrong, isotropic(1, np.full(JOINTS, 0.03)))
    moved = np.linalg.norm(found - joints, axis=-1)[0]
    assert moved[ELBOW] < 0.1
    assert np.delete(moved, [ELBOW, HAND]).max() < 0.01


@pytest.mark.skipif(not ENABLED, reason="nothing is compiled")
@pytest.mark.parametrize("seed", range(5))
def test_loops_find_what_numpy_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    joints = np.stack([person(k, 3.0, 0.8 + 0.1 * k) for k in range(4)]) + rng.normal(0, 0.1, (4, JOINTS, 3))
    turned = np.linalg.svd(rng.normal(size=(4, JOINTS, 3, 3)))[0] * rng.uniform(0.001, 0.3, (4, JOINTS, 1, 3))
    covariances = turned @ turned.transpose(0, 1, 3, 2)
    joints[rng.uniform(size=(4, JOINTS)) < 0.1] = [np.nan, 0.0, np.inf]
    for broken in (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-30):
        covariances[rng.integers(4), rng.integers(JOINTS)] = broken
    joints[3] = np.nan if seed == 1 else joints[3]
    for found, expected in zip(fit_bones(joints, covariances), fit_by_numpy(joints, covariances), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)
