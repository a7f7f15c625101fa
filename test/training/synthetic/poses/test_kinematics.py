"""Trunk and legs as angles: ranges, mirrors, and where limbs point."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.poses.bodies import FAMILIES, draw_bodies
from unipose_training.synthetic.poses.kinematics import (
    BONES,
    RANGES,
    bone_turns,
    mirrored,
    mirrored_turns,
    table,
    within_limits,
)

AHEAD, LEFT, UP = np.array([0.0, -1.0, 0.0]), np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])


def _limb(turns: np.ndarray, bone: str) -> np.ndarray:
    """(N, 3) where a limb that hangs at rest points."""
    return np.asarray(-turns[:, BONES.index(bone), :, 2])


def _angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(np.degrees(np.arccos(np.clip((a * b).sum(axis=1), -1, 1))))


@pytest.mark.parametrize(
    ("angles", "bone", "points"),
    [
        ({"left_flexion": 90.0}, "LeftUpLeg", AHEAD),
        ({"left_abduction": 60.0}, "LeftUpLeg", -0.5 * UP + np.sqrt(0.75) * LEFT),
        ({"right_abduction": 60.0}, "RightUpLeg", -0.5 * UP - np.sqrt(0.75) * LEFT),
        ({"left_flexion": 90.0, "left_turn": 60.0}, "LeftUpLeg", 0.5 * AHEAD + np.sqrt(0.75) * LEFT),
        ({"left_knee": 90.0}, "LeftLeg", -AHEAD),
        # Cross-legged: the thigh ahead and turned outwards, the shin goes to the other side.
        ({"left_flexion": 90.0, "left_rotation": 60.0, "left_knee": 90.0}, "LeftLeg", -0.5 * UP - np.sqrt(0.75) * LEFT),
        ({"tip": -90.0}, "LeftUpLeg", -AHEAD * -1),
    ],
)
def test_where_legs_point(angles: dict[str, float], bone: str, points: np.ndarray) -> None:
    turns = bone_turns(table(1, angles))
    np.testing.assert_allclose(_limb(turns, bone)[0], points, atol=1e-12)


def test_who_lies_on_the_back_faces_up() -> None:
    turns = bone_turns(table(1, {"tip": -90.0}))
    np.testing.assert_allclose(turns[0, BONES.index("Spine1")] @ AHEAD, UP, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_bend_as_bodies_do(family: str) -> None:
    """Angles measured between the turned bones, not read from the table that they come from."""
    angles = draw_bodies(np.random.default_rng(4), family, 200)
    assert within_limits(angles).all()
    turns = bone_turns(angles)
    for side in ("Left", "Right"):
        thigh, shin = _limb(turns, f"{side}UpLeg"), _limb(turns, f"{side}Leg")
        assert _angle(thigh, shin).max() <= RANGES["left_knee"][1] + 0.1
        foot, leg = (turns[:, BONES.index(f"{side}{name}")] for name in ("Foot", "Leg"))
        ankle = _angle(foot @ AHEAD, leg @ AHEAD)
        assert ankle.max() <= 60.0
        pelvis = turns[:, BONES.index("Hips")]
        along = np.einsum("nij,ni->nj", pelvis, thigh)
        # Thighs come to the chest, but hardly behind the pelvis or across the other leg.
        assert along[:, 1].max() < np.sin(np.radians(80))
        outward = along[:, 0] * (1 if side == "Left" else -1)
        assert outward.min() > -np.sin(np.radians(46))


def test_mirrors_agree_and_undo_themselves() -> None:
    angles = np.concatenate([draw_bodies(np.random.default_rng(1), family, 20) for family in FAMILIES])
    np.testing.assert_allclose(mirrored(mirrored(angles)), angles)
    np.testing.assert_allclose(bone_turns(mirrored(angles)), mirrored_turns(bone_turns(angles)), atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_are_decided_by_the_seed(family: str) -> None:
    first, again, other = (draw_bodies(np.random.default_rng(seed), family, 30) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "beyond", [{"left_knee": 160.0}, {"left_flexion": 100.0, "pelvis": 50.0}, {"look": 95.0}, {"right_rotation": -60.0}]
)
def test_beyond_the_limits(beyond: dict[str, float]) -> None:
    assert not within_limits(table(1, beyond))[0]
    assert within_limits(table(1, {name: 0.7 * value for name, value in beyond.items()}))[0]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(SyntheticError, match="levitating"):
        draw_bodies(np.random.default_rng(1), "levitating", 3)
    with pytest.raises(SyntheticError, match="tail"):
        table(1, {"tail": 3.0})
