"""Arms: inverse kinematics, limits, and that hands get where gestures want them."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_training.synthetic.poses.compose import Armed, Base, draw_gestures, penetration, with_arms
from unipose_training.synthetic.poses.gestures import (
    GESTURES,
    PAIRS,
    Wrists,
    angles_of,
    beyond_limits,
    by_angles,
    by_target,
)
from unipose_training.synthetic.poses.kinematics import BONES, bone_turns, table
from unipose_training.synthetic.poses.sampler import PoseSampler

BONE = {name: number for number, name in enumerate(BONES)}


def _relaxed(count: int) -> Wrists:
    return Wrists(np.zeros(count), np.zeros(count))


def test_angles_come_back() -> None:
    rng, count = np.random.default_rng(0), 500
    drawn = np.stack([rng.uniform(*limits, count) for limits in ((5, 175), (-45, 115), (-90, 90), (2, 145))], 1)
    np.testing.assert_allclose(angles_of(by_angles(*drawn.T, _relaxed(count))), drawn, atol=1e-6)


def test_wrists_reach_their_targets_and_elbows_go_towards_their_poles() -> None:
    rng, count = np.random.default_rng(1), 500
    lengths = np.tile([0.30, 0.25], (count, 1))
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    target, pole = direction * rng.uniform(0.2, 0.54, (count, 1)), rng.normal(size=(count, 3))
    arms = by_target(target, lengths, pole, _relaxed(count))
    elbow = -0.30 * arms.upper[:, :, 2]
    np.testing.assert_allclose(elbow - 0.25 * arms.forearm[:, :, 2], target, atol=1e-9)
    off = pole - (pole * direction).sum(axis=1, keepdims=True) * direction
    aside = elbow - (elbow * direction).sum(axis=1, keepdims=True) * direction
    assert ((off * aside).sum(axis=1) > -1e-9).all()
    for turn in (arms.upper, arms.forearm, arms.hand, arms.shoulder):
        np.testing.assert_allclose(turn @ turn.swapaxes(1, 2), np.tile(np.eye(3), (count, 1, 1)), atol=1e-9)


def test_targets_out_of_reach_stretch_the_arm() -> None:
    arms = by_target(np.array([[0.0, -2.0, 0.0]]), np.array([[0.30, 0.25]]), np.array([[0.0, 0.0, -1.0]]), _relaxed(1))
    assert angles_of(arms)[0, 3] < 4.0
    np.testing.assert_allclose(-arms.forearm[0, :, 2], [0, -1, 0], atol=0.06)


@pytest.mark.parametrize(
    ("angles", "beyond"),
    [((90, 90, 0, 20), False), ((170, 30, 0, 0), False), ((40, 170, 0, 10), False), ((100, 170, 0, 10), True),
     ((90, 0, 120, 90), True), ((90, -80, 0, 0), True), ((90, 45, 0, 158), True)],
)  # fmt: skip
def test_what_shoulders_and_elbows_can_do(angles: tuple[float, ...], beyond: bool) -> None:
    arms = by_angles(*(np.array([float(angle)]) for angle in angles), _relaxed(1))
    assert (beyond_limits(arms)[0] > 0.5) == beyond


def _armed(sampler: PoseSampler, left: str, right: str, count: int = 40) -> tuple[Base, Armed, np.ndarray]:
    skeletons = sampler.skeletons
    body = np.random.default_rng(3).integers(len(skeletons.heads), size=count)
    turns = bone_turns(table(count, {})) @ skeletons.alignments[body, skeletons.hanging]
    base = Base(body, turns, np.full(count, -2.0), np.tile([[0.4, -3.0, 0.4]], (count, 1)))
    armed = with_arms(np.random.default_rng(5), skeletons, base, np.tile([[left, right]], (count, 1)))
    return base, armed, skeletons.joints(body, armed.turns)


@pytest.mark.parametrize("gesture", sorted(set(GESTURES) - {"crossed_under", "crossed_over"}))
def test_every_gesture_fits_most_bodies(sampler: PoseSampler, gesture: str) -> None:
    base, armed, _ = _armed(sampler, gesture, gesture)
    assert (armed.gestures == gesture).all(axis=1).mean() > 0.7
    assert (penetration(sampler.skeletons, base, armed.turns) < 0.06).all()


def test_hands_are_where_gestures_say(sampler: PoseSampler) -> None:
    for gesture, goal, near in (("akimbo", "UpLeg", 0.25), ("pocket", "UpLeg", 0.2)):
        base, armed, joints = _armed(sampler, gesture, gesture)
        done = (armed.gestures == gesture).all(axis=1)
        for side in ("Left", "Right"):
            gap = np.linalg.norm(joints[:, BONE[f"{side}Hand"]] - joints[:, BONE[f"{side}{goal}"]], axis=1)
            assert np.median(gap[done] / sampler.skeletons.size[base.body][done]) * 0.55 < near
    _, armed, joints = _armed(sampler, "akimbo", "akimbo")
    done = (armed.gestures == "akimbo").all(axis=1)
    # Elbows stand out beyond the wrists.
    assert np.median(joints[done, BONE["LeftForeArm"], 0] - joints[done, BONE["LeftHand"], 0]) > 0.08


def test_pointing_arms_are_straight_and_point(sampler: PoseSampler) -> None:
    base, armed, joints = _armed(sampler, "point_at_camera", "hanging")
    done = (armed.gestures == ["point_at_camera", "hanging"]).all(axis=1)
    arm = joints[:, BONE["LeftHand"]] - joints[:, BONE["LeftArm"]]
    wanted = base.towards - joints[:, BONE["LeftArm"]]
    cosine = (arm * wanted).sum(axis=1) / np.linalg.norm(arm, axis=1) / np.linalg.norm(wanted, axis=1)
    assert np.median(np.degrees(np.arccos(cosine[done]))) < 15
    assert np.median(np.linalg.norm(arm, axis=1)[done] / sampler.skeletons.size[base.body][done]) > 0.95


def test_a_raised_arm_lifts_its_shoulder(sampler: PoseSampler) -> None:
    base, armed, joints = _armed(sampler, "raised", "hanging")
    rise = joints[:, BONE["LeftArm"], 2] - joints[:, BONE["RightArm"], 2]
    done = (armed.gestures == ["raised", "hanging"]).all(axis=1)
    scaled = rise[done] * 0.55 / sampler.skeletons.size[base.body][done]
    assert 0.03 < np.median(scaled) < 0.12


def test_a_hand_in_the_belly_is_noticed(sampler: PoseSampler) -> None:
    base, armed, joints = _armed(sampler, "clasped_front", "clasped_front")
    deep = armed.turns.copy()
    # The wrist in the middle of the trunk.
    back = by_target(np.array([[-0.15, 0.0, -0.3]]), np.array([[0.3, 0.25]]), np.array([[1.0, 0.0, 0.0]]), _relaxed(1))
    for bone, turn in (("LeftArm", back.upper), ("LeftForeArm", back.forearm), ("LeftHand", back.hand)):
        number = BONE[bone]
        deep[:, number] = turn @ sampler.skeletons.alignments[base.body, sampler.skeletons.hanging, number]
    del joints
    worse = penetration(sampler.skeletons, base, deep) - penetration(sampler.skeletons, base, armed.turns)
    assert np.median(worse) > 0.02


def test_arms_on_the_floor_are_noticed(sampler: PoseSampler) -> None:
    base, armed, joints = _armed(sampler, "hanging", "hanging", 20)
    lowest = joints[:, [BONE["LeftHand"], BONE["RightHand"]], 2].min(axis=1)
    into = Base(base.body, base.turns, lowest + 0.1, base.towards)
    assert (penetration(sampler.skeletons, into, armed.turns) > 0.05).all()


def test_pairs_are_drawn_as_often_as_they_weigh() -> None:
    count = 4000
    drawn = draw_gestures(np.random.default_rng(2), PAIRS, count)
    total = sum(weight for *_, weight in PAIRS)
    for left, right, weight in PAIRS:
        here = sum(((drawn == pair).all(axis=1)).sum() for pair in {(left, right), (right, left)})
        chance = sum(w for a, b, w in PAIRS if {a, b} == {left, right}) / total
        assert abs(here - chance * count) < 4.5 * np.sqrt(count * chance * (1 - chance)) + 1
        assert weight > 0
